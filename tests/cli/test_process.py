"""A command ends tidily: by signals, by pipes and streams that are closed, and on a disk that is full."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from skyweave.cli import main as cli
from skyweave.core.errors import DataError

COMMAND = [sys.executable, "-m", "skyweave"]
WRITES_FOR_EVER = """
import sys, time
from skyweave.cli import main as cli
from skyweave.core.atomic_write import write_aside
def run(args):
    with write_aside(sys.argv[1]) as aside:
        aside.write_text("half")
        print("writing", flush=True)
        time.sleep(60)
class Module:
    def add_parser(subparsers):
        subparsers.add_parser("embed").set_defaults(run=run)
cli.importlib.import_module = lambda name: Module
sys.exit(cli.main(["embed"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_old_file_and_nothing_else(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a shell's background job ignores interrupts
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, errors) == (128 + number, "interrupted\n")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_nohup_is_respected(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", WRITES_FOR_EVER, str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("shell", ["{} | head -n 1", "{} | true", "{} >&-", "{} 2>&-", "{} <&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", ["--help", "sensors", "sensors --json"])
def test_a_closed_pipe_or_stream_is_no_fault(shell: str, arguments: str) -> None:
    command = shell.format(f"'{sys.executable}' -m skyweave {arguments}")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


def test_output_that_cannot_be_printed_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "sensors"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_characters_that_a_terminal_cannot_show_are_no_fault() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*COMMAND, "sensors", "show", "sentinel2-l2a"], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0 and not done.stderr


def test_no_home_and_no_temporary_folder(tmp_path: Path) -> None:
    keep = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    scene(tmp_path / "scene.tif", 32)
    for extra in ({}, {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc/nothing"}):
        arguments = ["inspect", str(tmp_path / "scene.tif")]
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, env=environment | extra, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["SKYWEAVE_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_that_cannot_be_written_is_said_so(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(tmp_path / "images" / "a.tif", 32)
    source = "name: a, sensor: rgb, unit: uint8, files: '*.tif', bands: sensor"
    (tmp_path / "dataset.yaml").write_text(f"sources: [{{{source}}}]")
    arguments = ["shards", str(tmp_path / "dataset.yaml"), "--data", str(tmp_path / "images"), "-o"]
    monkeypatch.delenv("SKYWEAVE_CACHE", raising=False)
    monkeypatch.setenv(name, "/proc/nothing")
    assert cli.main([*arguments, str(tmp_path / "shards")]) == 2
    assert "set SKYWEAVE_CACHE to another folder" in capsys.readouterr().err
    monkeypatch.setenv("SKYWEAVE_CACHE", str(tmp_path / "cache"))
    assert cli.main([*arguments, str(tmp_path / "shards")]) == 0


def test_the_processes_of_a_simulation_end_with_it(tmp_path: Path, repository: Path) -> None:
    world = str(repository / "configs" / "world" / "crossing.yaml")
    arguments = ["simulate", world, "-o", str(tmp_path / "out"), "--scenes", "2", "--workers", "2"]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    time.sleep(4.0)
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "interrupted\n")


@pytest.mark.parametrize("storage", ["float16", "float32", "int8"])
def test_a_full_disk_leaves_the_good_old_map(
    tmp_path: Path, storage: str, small_files: None, capsys: pytest.CaptureFixture[str]
) -> None:
    scene(tmp_path / "scene.tif", 128)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    target = tmp_path / "out.tif"
    target.write_text("good")
    preview = str(tmp_path / "preview.png")
    assert cli.main([*embed(tmp_path / "scene.tif"), "-o", str(target), "--dtype", storage, "--preview", preview]) == 2
    captured = capsys.readouterr()
    assert "valid" not in captured.out
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: ") and "choose another -o" in last and ".out." not in last
    assert target.read_text() == "good"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "scene.tif"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 40 kB: for a program, nearly the same as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", [b"caf\xe9.tif", b"\xff"])
def test_names_that_are_not_utf8_are_said_so(
    tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene(tmp_path / "plain.tif", 32)
    os.rename("plain.tif", name)
    for arguments in (["inspect", os.fsdecode(name)], embed(os.fsdecode(name), "-o", "out.tif")):
        assert cli.main(arguments) == 2
        printed = capsys.readouterr().err
        assert "is not UTF-8; rename the file or folder: mv -- $'" in printed
        command = printed.partition(": mv")[2].strip().replace("NEW_NAME", "renamed.tif")
        subprocess.run(["bash", "-c", f"mv {command}"], check=True)
        assert cli.main(["inspect", "renamed.tif"]) == 0
        capsys.readouterr()
        os.rename("renamed.tif", name)
    os.mkdir("photos")
    os.rename(name, b"photos/" + name + b".jpg")
    assert cli.main(["orthomosaic", "photos", "-o", "mosaic.tif"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_of_a_name_in_a_folder_says_which() -> None:
    try:
        "caf\udce9.tif".encode()
    except UnicodeEncodeError as error:
        assert isinstance(cli.as_user_error(error), DataError)
        assert r"$'caf\xe9.tif' is not UTF-8" in str(cli.as_user_error(error))


@pytest.mark.parametrize(
    "name", ["-scene.tif", "a b.tif", "a\nb.tif", "[scene]*?.tif", "é.tif", "x" * 251 + ".tif", "a:b.tif", "%20.tif"]
)
def test_any_other_name_is_fine(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene(tmp_path / "s.tif", 32)
    os.rename("s.tif", name)
    assert cli.main(["inspect", "--quick", "--", name]) == 0, capsys.readouterr().err
    out = name.replace("scene", "out") if "scene" in name else "o" + name[1:]
    assert cli.main([*embed(), f"--output={out}", "--", name]) == 0, capsys.readouterr().err
    assert (tmp_path / out).exists() and len(list(tmp_path.iterdir())) == 2


def embed(*arguments: str | Path) -> list[str]:
    return ["embed", *map(str, arguments), "--sensor", "rgb", "--unit", "uint8", "--bands", "red,green,blue"]


def scene(path: Path, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(20, 230, (3, size, size)).astype(np.uint8)
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6), **profile) as target:
        target.write(pixels)
