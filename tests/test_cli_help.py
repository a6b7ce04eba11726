"""The command line answers at once, and every command explains itself."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skyweave.cli import main as cli
from skyweave.core.errors import DataError, UnknownNameError


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([command, "--help"])
    assert leaving.value.code == 0
    assert f"skyweave {command}" in capsys.readouterr().out


def test_every_command_file_is_listed() -> None:
    package = Path(cli.__file__).parents[1]
    modules = {
        ".".join(("skyweave", *p.relative_to(package).with_suffix("").parts)) for p in package.rglob("command_*.py")
    }
    assert modules == {module for module, _ in cli.COMMANDS.values()}
    assert all(module.endswith(f".command_{command}") for command, (module, _) in cli.COMMANDS.items())


@pytest.mark.parametrize("arguments", [["--help"], ["embed", "--help"], ["probe", "--help"]], ids=" ".join)
def test_help_is_light_and_fast(arguments: list[str]) -> None:
    heavy = "import sys; print({'torch', 'numpy', 'rasterio', 'sklearn', 'rich'} & set(sys.modules))"
    code = f"from skyweave.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n{heavy}"
    seconds = []
    for _ in range(5):  # the machine may be busy: the best of five is the cost of the command
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
        assert done.stdout.splitlines()[-1] == "set()", "help imports something heavy"
    assert min(seconds) < 0.5, f"help took {sorted(seconds)} seconds"


def test_package_import_is_light_and_load_is_there() -> None:
    light = "import sys, skyweave\nassert 'torch' not in sys.modules and 'load' in dir(skyweave)\n"
    code = light + "print(callable(skyweave.load))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_no_arguments_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "COMMAND" in capsys.readouterr().out


def test_user_error_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing.tif"
    code = cli.main(["embed", str(missing), "-o", str(tmp_path / "o.tif"), "--sensor", "rgb", "--unit", "uint8"])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and "missing.tif" in captured.err
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYWEAVE_DEBUG", "1")
    command = [
        "embed",
        str(tmp_path / "missing.tif"),
        "-o",
        str(tmp_path / "o.tif"),
        "--sensor",
        "rgb",
        "--unit",
        "uint8",
    ]
    assert cli.main(command) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "out.tif"),
            "out.tif: no space left on the disk",
        ),
        (UnknownNameError("sensor 'x' has no band 'rde'; nearest: red"), "sensor 'x' has no band 'rde'; nearest: red"),
        (ModuleNotFoundError("No module named 'rasterio'", name="rasterio.windows"), "pip install 'skyweave[geo]'"),
        (FileNotFoundError(2, "No such file or directory", "a.tif"), "a.tif: there is no such file or folder"),
        (DataError("two\nlines"), "two lines"),
    ],
)
def test_errors_say_what_helps(
    error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_a_command_that_raises(error, monkeypatch) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and expected in printed and printed.count("\n") == 1


@pytest.mark.parametrize("error", [TypeError("NoneType"), ValueError("bad axis"), KeyError("width")], ids=repr)
def test_a_fault_of_ours_is_not_the_users_mistake(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_a_command_that_raises(error, monkeypatch) == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed and "fault of skyweave" in printed and "report it" in printed


def run_a_command_that_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    from skyweave.core.sensors import command_sensors

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(command_sensors, "run", fail)
    return cli.main(["sensors"])
