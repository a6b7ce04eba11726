"""On a disk that is full every command ends with an error, and every file in the output's folder is as it was."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from fabricated_embeddings import clustered_features, write_embeddings
from fabricated_photo import DOWN, RELATIVE, write_photo, xmp_of
from skyweave.cli.main import main
from small_disk import fill, mounted_disk

READING = ["--sensor", "rgb", "--unit", "uint8", "--bands", "red,green,blue"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, embeddings of two dates, and photographs."""
    folder = tmp_path_factory.mktemp("inputs")
    pixels = np.random.default_rng(0).integers(1, 255, (3, 128, 128), np.uint8)
    profile = {"driver": "GTiff", "count": 3, "height": 128, "width": 128, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(folder / "scene.tif", "w", **profile, transform=Affine(0.5, 0, 370_000, 0, -0.5, 5.8e6)) as file:
        file.write(pixels)
    for seed, name in enumerate(("before.tif", "after.tif")):
        write_embeddings(folder / name, clustered_features(40, 60, seed=seed)[0].astype(np.float32))
    (folder / "photos").mkdir()
    write_photo(folder / "photos" / "1.jpg", xmp=xmp_of("drone-dji", {**DOWN, **RELATIVE}))
    return folder


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "embed": lambda inputs, disk: ["embed", f"{inputs}/scene.tif", "-o", f"{disk}/out.tif", *READING],
    "embed --format zarr": lambda inputs, disk: ["embed", f"{inputs}/scene.tif", "-o", f"{disk}/out.zarr", *READING],
    "embed --list": lambda inputs, disk: ["embed", "--list", f"{inputs}/sc*.tif", "--into", f"{disk}/new", *READING],
    "search": lambda inputs, disk: [
        "search", f"{inputs}/before.tif", "--point", "13.12", "52.32", "-n", "200", "-o", f"{disk}/hits.geojson",
    ],
    "search --save-index": lambda inputs, disk: [
        "search", f"{inputs}/before.tif", "--save-index", f"{disk}/index.safetensors",
    ],
    "change": lambda inputs, disk: ["change", f"{inputs}/before.tif", f"{inputs}/after.tif", "-o", f"{disk}/out.tif"],
    "orthomosaic": lambda inputs, disk: ["orthomosaic", f"{inputs}/photos", "-o", f"{disk}/out.tif"],
    "view": lambda inputs, disk: ["view", f"{inputs}/scene.tif", "--png", f"{disk}/out.png"],
    "export": lambda inputs, disk: ["export", "tiny", "-o", f"{disk}/out.onnx", "--sensor", "rgb"],
}  # fmt: skip


OTHERS = ("out.tif", "out.tif.aux.xml", "out.png", "out.onnx", "hits.geojson", "index.safetensors", "notes.txt")
"""In the folder: what was written before under the outputs' names, and what has nothing to do with them."""


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but that which fills the disk."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "filler")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_changes_no_file(
    name: str, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    with mounted_disk(tmp_path / "disk", 2_000_000) as disk:
        for other in (
            "out.tif",
            "out.png",
            "out.onnx",
            "hits.geojson",
            "index.safetensors",
            "notes.txt",
            "out.tif.aux.xml",
        ):
            (disk / other).write_bytes(os.urandom(3000))
        (disk / "below").mkdir()
        (disk / "below" / "deep.txt").write_text("somebody's")
        before = content(disk)
        filler = fill(disk)
        assert main(command(inputs, disk)) in (2, 3), capsys.readouterr()
        assert "disk" in capsys.readouterr().err
        after = content(disk)
        journal = {file: after.pop(file) for file in list(after) if file.startswith("new/")}  # by which it goes on
        assert after == before and not any(file.endswith(".tif") for file in journal)
        filler.unlink()
