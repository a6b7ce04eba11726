"""Whatever is wrong with whichever argument of a command: one line that helps, exit code 2, and outputs as before.

The cases are made from the parsers: a command line that works, and for each of its arguments every kind of wrong value.
"""

import argparse
import io
import itertools
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fabricated_inputs import COMMAND_LINES, command_line, write_inputs
from skyweave.cli import main as cli
from skyweave.core.errors import SkyweaveError
from skyweave.core.run_arguments import OutputFile, OutputFolder
from skyweave.inference.scene_arguments import EXIT_PARTIAL

SECONDS = 20
INTERRUPTED = 130
MEMORY_GB = 12
MAX_BROKEN_FILES = 6  # of a folder
REMEDY = re.compile(  # what to do, or what would be right
    r"\b(add|ask|check|choose|compare|copy|correct|declare|delete|did you mean|download|drop|expected|export|fetch|"
    r"fewer|free|give|install|its tasks are|leave|look|make|mend|missing|must|name (it|a|the|one)|needs?|needed|"
    r"no such|one has|open|put|rectify|remove|rename|repair|resume|rotate|run|save|see|set|start|starts|such as|take|"
    r"there (are|is no)|train|try|use|valid|wait|write)\b",
    re.I,
)
NUMBERS = ("-1", "0", "nan", "1" + "0" * 30, "1e300", "x")
NOT_UTF8 = os.fsdecode(b"caf\xe9")
NAMES = ("no_such_name", "", "a\nb", "[")
KINDS_OF_FILES = {
    "missing": None,
    "empty": b"",
    "garbage": bytes(range(256)) * 8,
    "text": b"no such content\n",
    "nul": b"\0" * 64,
    "not utf-8": b"name: caf\xe9\n",
    "list": b"[1, 2, 3]\n",
    "other keys": b'{"some": {"thing": [1, null, "x"]}}\n',
    "numbers": b'{"name": 1e999, "data": -1, "bands": 7, "images": 3}\n',
    "deep": b"[" * 4000,
    "page": b"<html><body>404 not found</body></html>\n",
}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command and subcommand."""
    result: dict[str, argparse.ArgumentParser] = {}

    def collect(parser: argparse.ArgumentParser, name: str) -> None:
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not below or parser.get_default("run"):
            result[name] = parser
        for action in below:
            for command, subparser in action.choices.items():
                collect(subparser, f"{name} {command}".strip())

    collect(cli.build_parser(cli.COMMANDS), "")
    return result


PARSERS = parsers()


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command line by its name in ``COMMAND_LINES``."""
    return PARSERS[name] if name in PARSERS else PARSERS[name.split()[0]]


def test_every_command_has_a_command_line_here() -> None:
    assert {name for name in PARSERS if name} <= set(COMMAND_LINES)


SERVING = {"label", "serve", "fleet router"}  # until they are interrupted


class InterruptsOnceItServes(io.StringIO):
    """Standard output of what serves: the line that says where is answered by Ctrl-C."""

    def write(self, text: str) -> int:
        if not self.getvalue():
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


# Command lines that need a fleet that runs, or minutes, or never end.
LONG = SERVING | {
    "node",
    "export",
    "fleet up",
    "fleet status",
    "fleet dashboard",
    "fleet record",
    "fleet replay",
    "demo",
}


@pytest.mark.parametrize("name", sorted(set(COMMAND_LINES) - LONG))
def test_the_command_lines_work(name: str, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or what is wrong with an argument would not be what is answered."""
    shutil.rmtree("out", ignore_errors=True)
    assert cli.main(command_line(name)) == 0, capsys.readouterr().err


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    before = Path.cwd(), os.environ.get("SKYWEAVE_CACHE"), resource.getrlimit(resource.RLIMIT_AS)
    os.chdir(folder)
    os.environ["SKYWEAVE_CACHE"] = str(folder / "cache")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GB * 2**30, before[2][1]))
    yield folder
    os.chdir(before[0])
    resource.setrlimit(resource.RLIMIT_AS, before[2])
    os.environ.pop("SKYWEAVE_CACHE") if before[1] is None else os.environ.update(SKYWEAVE_CACHE=before[1])


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(f"not answered within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def attempt(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Run a command with something wrong; return what is wrong with the answer.

    What a command may still do with an odd value is its work: then all that it writes is whole.
    """
    errors: list[Exception] = []
    monkeypatch.setattr(cli, "as_user_error", lambda error: errors.append(error) or as_user_error(error))  # type: ignore[func-returns-value]
    before = contents(Path("out"))
    capsys.readouterr()
    serving = " ".join(arguments[:2]) in SERVING or arguments[0] in SERVING
    output = InterruptsOnceItServes()
    if serving:
        monkeypatch.setattr(sys, "stdout", output)
    signal.alarm(SECONDS)
    try:
        code = cli.main(arguments)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        signal.alarm(0)
        monkeypatch.undo()
    printed = capsys.readouterr().err
    error = as_user_error(errors[0]) if errors else None
    if code == 0 or (output.getvalue() and code == INTERRUPTED):  # it served
        return None
    lines = [line for line in printed.splitlines() if "error: " in line]
    if arguments[0] == "benchmark" and code == 1 and "failed: " in printed:  # of several runs it makes what it can
        return None if all(REMEDY.search(line) for line in printed.splitlines()) else f"no remedy: {printed}"
    if arguments[0] == "validate" and code == 1:  # what departs is its answer, on standard output
        return None
    if code == EXIT_PARTIAL:  # the rest of the scene is written
        return None if lines and all(REMEDY.search(line) for line in lines) else f"no remedy: {printed}"
    if code != 2 or "Traceback" in printed:
        return f"exit code {code}: {printed[-1500:]}"
    if not lines or printed.splitlines()[-1] != lines[-1]:
        return f"the last line is no error: {printed[-500:]}"
    if error is not None and not is_ours(error):
        return f"an error of {type(error).__module__}.{type(error).__name__}: {lines[-1]}"
    if error is not None and not REMEDY.search(lines[-1].partition("error: ")[2]):
        return f"no remedy: {lines[-1]}"
    if "no space left" in lines[-1]:  # of several files, what was written is whole; and a scene can be gone on with
        for unfinished in Path("out").glob("*.partial"):
            shutil.rmtree(unfinished)
        return None if set(contents(Path("out"))) == set(before) else f"something is left after {lines[-1]}"
    if contents(Path("out")) != before:
        return f"something is left: {sorted(set(contents(Path('out'))) ^ set(before))} after {lines[-1]}"
    return None


as_user_error = cli.as_user_error


def is_ours(error: Exception) -> bool:
    """Return whether an error is of the hierarchy, or the operating system's, which `cli.describe_error` explains."""
    if isinstance(error, SkyweaveError):
        return True
    plain = type(error).__module__ == "builtins" and isinstance(error, OSError)
    return plain and (error.errno in cli.REMEDIES or error.errno is None)


def contents(folder: Path) -> dict[str, int]:
    """Return a checksum of every file below a folder."""
    return {str(path): zlib.crc32(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def old_outputs(arguments: list[str], name: str) -> None:
    """Put good old files where the command is to write."""
    shutil.rmtree("out", ignore_errors=True)
    Path("out").mkdir()
    args = vars(cli.build_parser([name.split()[0]]).parse_args(arguments))
    for action in parser_of(name)._actions:
        if isinstance(action.type, OutputFile) and args.get(action.dest) is not None:
            args[action.dest].write_text("good")


def fresh_folder(name: str) -> Path:
    """Return an empty folder."""
    folder = Path(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def wrong_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield files that cannot be what ``path`` is, by kind, with its ending."""
    folder = fresh_folder("wrong")
    contents = dict(KINDS_OF_FILES)
    whole = path.read_bytes()
    if path.suffix != ".yaml":  # of which a part may say enough
        contents |= {"truncated": whole[: len(whole) * 2 // 3], "cut early": whole[:40]}
    for kind, content in contents.items():
        wrong = folder / f"{kind.replace(' ', '_')}{path.suffix}"
        if content is not None:
            wrong.write_bytes(content)
        yield kind, wrong
    for beside in (".json",):  # a card beside weights stays the right one
        if path.suffix == ".safetensors" and path.with_suffix(beside).exists():
            for wrong in list(folder.glob("*.safetensors")):
                shutil.copy(path.with_suffix(beside), wrong.with_suffix(beside))
    if path.suffix == ".safetensors":
        yield from wrong_weights(path, folder)
    (folder / f"folder{path.suffix}").mkdir()
    yield "folder", folder / f"folder{path.suffix}"
    os.mkfifo(folder / f"pipe{path.suffix}")
    yield "a pipe that nobody writes into", folder / f"pipe{path.suffix}"
    yield "a device without end", Path("/dev/zero")
    yield "not UTF-8", copy_as(path, folder / f"{NOT_UTF8}{path.suffix}")
    (folder / f"dangling{path.suffix}").symlink_to("nowhere")
    yield "dangling link", folder / f"dangling{path.suffix}"
    (folder / f"loop{path.suffix}").symlink_to(f"loop{path.suffix}")
    yield "link to itself", folder / f"loop{path.suffix}"
    yield "long name", folder / f"{'x' * 300}{path.suffix}"
    if os.geteuid() != 0:
        unreadable = folder / f"unreadable{path.suffix}"
        shutil.copy(path, unreadable)
        unreadable.chmod(0)
        yield "unreadable", unreadable


def wrong_weights(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield weights, with their card, whose last tensor is not finite, of another type or shape, or missing."""
    with safe_open(path, "numpy") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    name = max(tensors)
    last = tensors.pop(name)
    kinds = {
        "with NaN": np.full_like(last, np.nan),
        "with infinity": np.full_like(last, np.inf),
        "of whole numbers": np.ones(last.shape, np.int64),
        "of complex numbers": np.ones(last.shape, np.complex64),
        "of another shape": np.ones((*last.shape, 2), last.dtype),
        "empty": np.ones((0, *last.shape), last.dtype),
    }
    for kind, changed in (*kinds.items(), ("without a tensor", None)):
        wrong = folder / f"{kind.replace(' ', '_')}.safetensors"
        save_file(tensors if changed is None else tensors | {name: changed}, wrong, metadata)
        copy_as(path.with_suffix(".json"), wrong.with_suffix(".json"))
        yield f"weights {kind}", wrong


def copy_as(path: Path, copy: Path) -> Path:
    """Copy a file; return where it is now."""
    shutil.copy(path, copy)
    return copy


def wrong_folders(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield folders that cannot be what ``path`` is, by kind: absent, empty, and with one broken file each."""
    folder = fresh_folder("wrong")
    yield "missing", folder / "missing"
    (folder / "empty").mkdir()
    yield "empty", folder / "empty"
    (folder / "file").write_text("no folder\n")
    yield "file", folder / "file"
    os.mkfifo(folder / "pipe")
    yield "a pipe that nobody writes into", folder / "pipe"
    files = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    if not files:
        return
    for kind in ("with a pipe", "with a name that is not UTF-8"):
        odd = folder / kind.replace(" ", "_")
        shutil.copytree(path, odd, copy_function=os.link)
        first = odd / files[0]
        first.rename(first.with_name(f"{NOT_UTF8}{first.suffix}")) if "name" in kind else first.unlink()
        if "pipe" in kind:
            os.mkfifo(first)
        yield kind, odd
    kinds = [kind for kind in KINDS_OF_FILES if kind != "missing"] + ["truncated"]
    cases = list(itertools.product(files, kinds))
    step = max(1, len(cases) // MAX_BROKEN_FILES) | 1  # odd: every kind takes its turn
    for number, (file, kind) in list(enumerate(cases))[::step]:
        broken = folder / f"{number}"
        shutil.copytree(path, broken, copy_function=os.link)
        content = (path / file).read_bytes()
        (broken / file).unlink()
        (broken / file).write_bytes(KINDS_OF_FILES.get(kind) or content[: len(content) // 2])
        yield f"{kind} {file}", broken


def replaced(arguments: list[str], value: str, by: str) -> list[str]:
    """Return arguments with one of them replaced."""
    return [by if argument == value else argument for argument in arguments]


def paths_of(name: str) -> list[str]:
    """Return the arguments of a command line that are inputs; what it writes is below ``out``."""
    return [argument for argument in command_line(name) if Path(argument).exists() and argument[:3] not in (".", "out")]


def report(failures: list[tuple[str, str]]) -> None:
    assert not failures, f"{len(failures)} answers:\n" + "\n".join(f"- {case}: {why}" for case, why in failures)


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_wrong_inputs(
    name: str, inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    arguments = command_line(name)
    for value in paths_of(name):
        wrong = wrong_folders(Path(value)) if Path(value).is_dir() else wrong_files(Path(value))
        for kind, path in wrong:
            changed = replaced(arguments, value, str(path))
            old_outputs(changed, name)
            if why := attempt(changed, capsys, monkeypatch):
                failures.append((f"{value} is {kind}", why))
    report(failures)


def test_wrong_weights_are_never_used(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is a command that answers all others with an error silent about these."""
    for name, value in (("embed", "backbone"), ("predict", "finetuned"), ("evaluate", "perception")):
        for kind, path in wrong_weights(Path(f"{value}.safetensors"), fresh_folder("wrong")):
            if kind != "weights of whole numbers":
                changed = replaced(command_line(name), f"{value}.safetensors", str(path))
                assert cli.main(changed) == 2, f"{name}: {kind}"
                assert path.name in capsys.readouterr().err, f"{name}: {kind}"


def wrong_values(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield command lines with a wrong number, or a name that does not exist, for every option that takes one."""
    arguments = command_line(name)
    positions = {argument: position for position, argument in enumerate(arguments)}
    for action in parser_of(name)._actions:
        if action.nargs == 0 or isinstance(action, argparse._SubParsersAction) or not action.option_strings:
            continue
        if isinstance(action.type, OutputFile | OutputFolder):
            continue
        option = action.option_strings[-1]
        position = next((positions[text] for text in action.option_strings if text in positions), None)
        rest = arguments if position is None else arguments[:position] + arguments[position + 2 :]
        for value in NUMBERS if action.type in (int, float) else NAMES:
            yield f"{option} {value!r}", [*rest, f"{option}={value}"]


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_wrong_values(
    name: str, inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    for case, arguments in wrong_values(name):
        try:
            old_outputs(arguments, name)
        except SystemExit:  # argparse has an answer
            if "error: " not in capsys.readouterr().err:
                failures.append((case, "no error line"))
            continue
        if why := attempt(arguments, capsys, monkeypatch):
            failures.append((case, why))
    report(failures)


def wrong_outputs(output: Path, suffix: str, inputs: list[str]) -> Iterator[tuple[str, Path]]:
    """Yield places where a file cannot be written, by kind."""
    folder = Path("out")
    if suffix:
        for source in inputs:
            if Path(source).is_file():
                hard, soft = folder / f"hard{Path(source).suffix}", folder / f"soft{Path(source).suffix}"
                for link in (hard, soft):
                    link.unlink(missing_ok=True)
                os.link(source, hard)
                soft.symlink_to(Path(source).absolute())
                yield from ((f"the input {source}", Path(source)), ("a hard link to it", hard), ("a link to it", soft))
        (folder / f"folder{suffix}").mkdir(exist_ok=True)
        yield "a folder", folder / f"folder{suffix}"
        yield "another ending", output.with_suffix(".xyz")
    (folder / "file").write_text("good")
    yield "below a file", folder / "file" / output.name
    yield "not UTF-8", folder / f"{NOT_UTF8}{suffix}"
    for name, minor in (("null", 3), ("full", 7)):
        yield f"like /dev/{name}", device(folder / name, minor)
    yield "below a device", Path(os.devnull) / output.name
    yield "a long name", folder / f"{'x' * 300}{suffix}"
    loop = folder / f"loop{suffix}"
    loop.unlink(missing_ok=True)
    loop.symlink_to(loop.name)
    yield "a link to itself", loop


def device(path: Path, minor: int) -> Path:
    """Make a device like those of /dev, or where that is not allowed, a link to it; return where it is."""
    path.unlink(missing_ok=True)
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    except PermissionError:
        path.symlink_to(f"/dev/{path.name}")
    return path


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_wrong_outputs(
    name: str, inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []
    arguments = command_line(name)
    args = vars(cli.build_parser([name.split()[0]]).parse_args(arguments))
    for action in parser_of(name)._actions:
        if not isinstance(action.type, OutputFile | OutputFolder) or args.get(action.dest) is None:
            continue
        output = args[action.dest]
        old_outputs(arguments, name)
        suffix = output.suffix if isinstance(action.type, OutputFile) else ""
        for kind, path in wrong_outputs(output, suffix, paths_of(name)):
            before = contents(Path())
            changed = replaced(arguments, str(output), str(path))
            if why := attempt(changed, capsys, monkeypatch):
                failures.append((f"{action.dest} is {kind}", why))
            elif "/dev/" in kind:
                if not path.is_char_device():
                    failures.append((f"{action.dest} is {kind}", "it was replaced"))
                old_outputs(arguments, name)
            elif contents(Path()) != before:
                failures.append((f"{action.dest} is {kind}", "a file was changed"))
    report(failures)


@pytest.mark.parametrize(
    "arguments",
    [
        "export backbone.onnx.safetensors -o backbone.onnx --sensor rgb",  # its item is the card of the weights
        "orthomosaic flight -o flight/two.tif",
        "orthomosaic flight -o out/mosaic.tif --preview flight/three.png",
        "finetune config.json --data labelled -o .",
        "shards dataset.yaml --data imagery -o .",
    ],
)
def test_inputs_that_no_argument_names_are_no_outputs(
    arguments: str, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("two.tif", "three.png"):
        shutil.copy("flight/one.jpg", f"flight/{name}")
    shutil.copy("finetune.yaml", "config.json")
    for suffix in ("safetensors", "json"):
        shutil.copy(f"backbone.{suffix}", f"backbone.onnx.{suffix}")
    before = contents(Path())
    assert cli.main(arguments.split()) == 2
    assert "which is read" in capsys.readouterr().err
    assert contents(Path()) == before
    for name in (
        "flight/two.tif",
        "flight/three.png",
        "config.json",
        "backbone.onnx.safetensors",
        "backbone.onnx.json",
    ):
        Path(name).unlink()


def test_outputs_are_declared() -> None:
    """What is called an output, or is written to in the help, is known as one: so it is checked before any work."""
    for name, parser in PARSERS.items():
        for action in parser._actions:
            is_output = action.dest in ("output", "preview", "png") or "to write" in (action.help or "")
            if is_output and action.nargs != 0:
                assert isinstance(action.type, OutputFile | OutputFolder), f"{name}: {action.dest}"


def test_answers_are_counted_as_json(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old_outputs(command_line("embed"), "embed")
    assert cli.main([*command_line("embed"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid_fraction"] == 1.0
