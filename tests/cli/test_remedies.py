"""Every remedy that an error names is known here, and works: it is followed, and the error is gone.

The remedies are found in the sources: options, words in backquotes and installations in the messages of errors that
are raised. A new one fails `test_every_remedy_is_known` until it is tried here, or beside what it is about.
"""

import ast
import os
import re
import shutil
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from fabricated_inputs import command_line, write_inputs
from skyweave.cli import main as cli
from skyweave.core.errors import ConfigError
from skyweave.inference import FinishedRaster, Provenance, RasterDescription
from skyweave.inference.formats.geotiff import GeoTiffWriter

SOURCE = Path(cli.__file__).parents[1]
TESTS = Path(__file__).parents[1]
REMEDY = re.compile(r"`([^`]+)`|(?<![\w-])(--[a-z][\w-]+)|(pip install [\w'\[\],]*[\w'\]])")
COMMANDS = ("evaluate", "suite", "download", "benchmark", "embed", "export")
BASE = {name: " ".join(command_line(name)) for name in COMMANDS}
SCALED = BASE["embed"].replace("scene.tif", "scaled.tif")

# What is said to help: a command line with the error, and one that follows the advice.
FOLLOWED: dict[str, tuple[str, str]] = {
    "--all": ("download geobench -o out/a", "download geobench --task list"),
    "--bands": ("export backbone.safetensors -o out/m.onnx --bands red", BASE["export"]),
    "--cache": (f"{BASE['evaluate']} --cache out/cache", f"{BASE['evaluate']} --cache out/c --strategy no_fusion"),
    "--configs": ("suite backbone.safetensors --data labelled -o out/s --configs labelled", BASE["suite"]),
    "--connect": ("fleet record -o out/r.mcap --seconds 0.1", " ".join(command_line("fleet record"))),
    "--data": ("suite backbone.safetensors --data imagery -o out/suite --configs tasks", BASE["suite"]),
    "--delay": (f"{BASE['evaluate']} --delay 0.1", f"{BASE['evaluate']} --delay 0.1 --strategy no_fusion"),
    "--fabricate": (f"{BASE['benchmark']} --fabricate", BASE["benchmark"]),
    "--features": (
        "export perception.safetensors -o out/m.onnx --sensor rgb --size 16",
        "export perception.safetensors -o out/m.onnx --sensor rgb --size 16 --features",
    ),
    "--format": (
        BASE["embed"].replace("out/map.tif", "out/map.xyz"),
        BASE["embed"].replace("out/map.tif", "out/map.xyz --format geotiff"),
    ),
    "--frames": ("view recording --png out/s.png --frames 90:91", "view recording --png out/s.png --frames 0:1"),
    "--ignore-scale-tags": (SCALED, f"{SCALED} --ignore-scale-tags"),
    "--packet-loss": (
        f"{BASE['evaluate']} --packet-loss 0.1",
        f"{BASE['evaluate']} --packet-loss 0.1 --strategy no_fusion",
    ),
    "--resolution": (
        "orthomosaic flight -o out/mosaic.tif --resolution 1e-5",
        "orthomosaic flight -o out/mosaic.tif --resolution 1",
    ),
    "--resume": (
        "finetune finetune.yaml --data labelled -o out/run --resume",
        "finetune finetune.yaml --data labelled -o out/run",
    ),
    "--relay": ("fleet keys out/k", "fleet keys out/k --relay router"),
    "--sha256": ("download geobench --all -o out/a --sha256 0", BASE["download"]),
    "--strategy": (f"{BASE['evaluate']} --packet-loss 1", f"{BASE['evaluate']} --packet-loss 1 --strategy no_fusion"),
    "--task": ("download geobench -o out/a", BASE["download"]),
    "--task list": ("download geobench -o out/a", "download geobench --task list"),
    "--tasks": ("suite backbone.safetensors --data imagery -o out/suite --configs tasks", BASE["suite"]),
    "--url": ("download geobench --all -o out/a --url archive.zip", BASE["download"]),
    "--weights": (
        "benchmark geobench miniature -o out/runs --weights none --method frozen --task m-eurosat",
        BASE["benchmark"],
    ),
    "cell": ("probe no_cell.yaml --data labelled --weights backbone.safetensors", BASE["suite"]),
    "skyweave fleet keys": ("fleet dashboard --keys secrets --fleet a --connect tls/127.0.0.1:1", "fleet keys out/k A"),
    "skyweave train": (
        "evaluate backbone.safetensors recording",
        "train perception.yaml --data . -o out/run",
    ),
}
# Tried beside what they are about: the file of the test, which names the remedy.
TRIED_ELSEWHERE = {
    "--camera": "orthomosaic/test_lens.py",
    "--dem": "orthomosaic/test_places.py",
    "--focal": "orthomosaic/test_mapping.py",
    "--gsd": "data/test_places.py",
    "--height": "orthomosaic/test_mapping.py",
    "--nodata": "data/test_declarations.py",
    "--port": "fleet/test_fleet_command.py",
    "--poses": "orthomosaic/test_mapping.py",
    "--save-poses": "fabricated_inputs.py",
    "backbone": "pretraining/test_train.py",
    "blocks": "downstream/finetuning/test_run.py",
    "classes": "downstream/labels/test_dataset.py",
    "clouds": "data/test_products.py",
    "column": "downstream/labels/test_dataset.py",
    "crs": "inference/test_parts.py",
    "cut -d, -f1-7": "detection/test_formats.py",
    "decode_received": "collaboration/test_messages.py",
    "domain": "perception/test_domain.py",
    "exclude": "downstream/labels/test_matching.py",
    "files": "downstream/labels/test_dataset.py",
    "further": "downstream/probing/test_probe.py",
    "iconv": "core/test_csv_table.py",
    "label_column": "downstream/labels/test_dataset.py",
    "labels": "downstream/labels/test_dataset.py",
    "name": "downstream/labels/test_matching.py",
    "pattern": "downstream/labels/test_dataset.py",
    "project_to_bev": "mapping/test_place.py",
    "skyweave fleet record": "fleet/test_fleet_command.py",
    "skyweave fleet up": "fleet/test_fleet_command.py",
    "skyweave.collaboration.entropy_tables.freeze_tables": "collaboration/test_messages.py",
    "tiles": "downstream/labels/test_dataset.py",
    "module.state_dict()": "core/test_expanding_files.py",
}
# Their commands are run by the tests beside what they are about, and by data/test_foreign_commands.py.
OTHER_PROGRAMS = ("iconv", "rio", "gdalwarp", "gdal_translate", "ffmpeg", "exiftool")
# No remedies: the argument that is wrong, or a right value of it; `test_wrong_inputs` tries these.
WRONG_ARGUMENTS = {
    "--count", "--max-cloud", "--offset", "--opset", "--ray", "--seconds", "--seeds", "--shard-mb", "--spacing",
    "--tile", "--workers",
    "bands", "ground", "ignore",
    "inspect", "limits", "nan", "none", "second",
}  # fmt: skip


def messages() -> Iterator[tuple[str, str]]:
    """Yield file and message of every error that is raised, with {} where a value comes in."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield str(path.relative_to(SOURCE)), " ".join(text_of(part) for part in node.exc.args)


def text_of(node: ast.expr) -> str:
    """Return a string of the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


def remedies() -> dict[str, str]:
    """Return the remedies in messages, each with one that names it."""
    return {next(filter(None, match)): message for _, message in messages() for match in REMEDY.findall(message)}


def options_by_command() -> dict[str, set[str]]:
    """Return the options of every command."""
    result: dict[str, set[str]] = {}

    def collect(parser: object, name: str) -> None:
        for action in parser._actions:  # type: ignore[attr-defined]
            result.setdefault(name, set()).update(action.option_strings)
            if isinstance(action.choices, dict):
                for command, below in action.choices.items():
                    collect(below, f"{name} {command}".strip())

    collect(cli.build_parser(cli.COMMANDS), "")
    return result


OPTIONS = options_by_command()


def is_a_command(remedy: str) -> bool:
    """Return whether a remedy is a command line of ours that can be parsed: its options exist, and its files."""
    words = remedy.split()
    names = [" ".join(words[1:count]) for count in range(len(words), 1, -1)]
    name = next((name for name in names if name in OPTIONS), None)
    paths = [word for word in words if word.startswith("configs/") and "..." not in word]
    known = name is not None and {word for word in words if word.startswith("--")} <= OPTIONS[name]
    return known and all((TESTS.parent / path).exists() for path in paths)


def test_every_remedy_is_known() -> None:
    unknown = []
    for remedy, message in remedies().items():
        if remedy.startswith("skyweave ") and is_a_command(remedy):
            continue
        if remedy == "--allow-open" or remedy.startswith("pip install") or remedy.split()[0] in OTHER_PROGRAMS:
            continue
        if remedy.startswith("--") and remedy not in WRONG_ARGUMENTS | FOLLOWED.keys() | TRIED_ELSEWHERE.keys():
            known = any(remedy.split()[0] in options for options in OPTIONS.values())
            if known and is_typed_in_a_test(remedy):
                continue
        if remedy not in WRONG_ARGUMENTS | FOLLOWED.keys() | TRIED_ELSEWHERE.keys():
            unknown.append(f"{remedy}: {message}")
    assert not unknown, "try these in a test, and name it here:\n" + "\n".join(unknown)


def is_typed_in_a_test(remedy: str) -> bool:
    """Return whether a test types an option."""
    return any(remedy in path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__))


def test_what_is_tried_elsewhere_is() -> None:
    for remedy, file in TRIED_ELSEWHERE.items():
        words = remedy.removeprefix("skyweave ").split()
        assert words[-1].rpartition(".")[2] in (TESTS / file).read_text(), f"{file} does not name {remedy}"


def test_every_option_in_a_message_exists() -> None:
    for file, message in messages():
        if "`rio " in message:
            continue
        for match in re.findall(r"(?<![\w-])--[a-z][\w-]+", message):
            assert any(match in options for options in OPTIONS.values()), f"{file}: {message}"


def test_extras_that_are_to_be_installed_bring_what_is_missing() -> None:
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for remedy in remedies():
        for names in re.findall(r"skyweave\[([\w,]+)\]", remedy):
            assert set(names.split(",")) <= set(extras), remedy
    distributions = {
        "sklearn": "scikit-learn", "PIL": "pillow", "rerun": "rerun-sdk", "zenoh": "eclipse-zenoh",
        "prometheus_client": "prometheus-client", "mcap_protobuf": "mcap-protobuf-support",
        "foxglove_schemas_protobuf": "foxglove-schemas-protobuf", "rio_cogeo": "rio-cogeo",
        "pystac_client": "pystac-client", "odc": "odc-stac", "rio_tiler": "rio-tiler",
    }  # fmt: skip
    for library, extra in cli.EXTRAS.items():
        packages = [re.split(r"[\[<>=!~ ;]", package)[0].lower() for package in extras[extra]]
        assert distributions.get(library, library).lower() in packages, f"{library} is not in skyweave[{extra}]"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    content = yaml.safe_load((folder / "probe.yaml").read_text())
    del content["cell"]
    (folder / "no_cell.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(folder / "scene.tif", folder / "scaled.tif")
    with rasterio.open(folder / "scaled.tif", "r+") as scaled:
        scaled.scales = (0.5, 0.5, 0.5)
    before, cache = Path.cwd(), os.environ.get("SKYWEAVE_CACHE")
    os.chdir(folder)
    os.environ["SKYWEAVE_CACHE"] = str(folder / "cache")
    yield folder
    os.chdir(before)
    os.environ.pop("SKYWEAVE_CACHE") if cache is None else os.environ.update(SKYWEAVE_CACHE=cache)


@pytest.mark.parametrize("remedy", FOLLOWED)
def test_a_remedy_works(remedy: str, inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, right = FOLLOWED[remedy]
    shutil.rmtree("out", ignore_errors=True)
    code = cli.main(wrong.split())
    printed = capsys.readouterr().err
    assert code in (1, 2) and ("error: " in printed or "failed: " in printed)
    assert remedy.split()[0] in printed or remedy.removeprefix("skyweave ") in printed, printed
    assert cli.main(right.split()) == 0, capsys.readouterr().err


def test_a_page_can_be_served_to_others(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*command_line("fleet dashboard"), "--host", "0.0.0.0"]
    arguments = [word for word in arguments if word not in ("--keys", "secrets")]
    assert cli.main(arguments) == 2
    assert "--allow-open" in capsys.readouterr().err
    interrupt = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    assert cli.main([*arguments, "--allow-open"]) == 0
    assert "http://" in capsys.readouterr().out


def features(storage: str, value: float, path: Path) -> Callable[[], None]:
    """Return what writes a map of one value."""

    def write() -> None:
        provenance = Provenance("m", "f", "dense", "rgb", ("red",), "uint8", 1.0, 8, 8, 0, "float32", ("s.tif",))
        place = (None, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), 8.0)
        description = RasterDescription(1, 1, ("a", "b"), "float32", float("nan"), *place, "features", provenance)
        raster = FinishedRaster(description, lambda *window: np.full((2, 1, 1), value, np.float32))
        GeoTiffWriter().write(raster, path, storage)

    return write


def test_features_that_float16_cannot_hold_are_written_as_float32(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--dtype float32"):
        features("float16", 1e6, tmp_path / "a.tif")()
    features("float32", 1e6, tmp_path / "a.tif")()
