"""Work that was killed goes on, and what comes out is the same byte for byte."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from fabricated_labels import write_raster
from skyweave.backbone import Backbone, build_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import get_sensor
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.inference import InferenceConfig

CONFIG = EmbeddingConfig(inference=InferenceConfig(16, 8, workers=1), storage="float32")
STRIPS = 4


class Stopped(Exception):
    """Stands for a process that ends without a word."""


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("tiny", seed=0, width=24, depth=1, heads=3, patch_size=4).eval()


def make_scene(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, (3, 117, 61), np.uint8)
    pixels[:, 40:60, 10:50] = 0
    return write_raster(folder / "scene.tif", pixels, nodata=0)


def embed(folder: Path, backbone: Backbone, progress: Callable[[int, int], None] | None = None) -> bytes:
    output = folder / "out.tif"
    embed_scene(
        folder / "scene.tif",
        output,
        backbone,
        get_sensor("rgb"),
        unit="uint8",
        bands="sensor",
        config=CONFIG,
        progress=progress,
    )
    return output.read_bytes()


def stop_at(count: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= count:
            raise Stopped

    return progress


def test_any_number_of_stops_changes_nothing(tmp_path: Path, backbone: Backbone) -> None:
    make_scene(tmp_path)
    calls: list[tuple[int, int]] = []
    expected = embed(tmp_path, backbone, lambda done, total: calls.append((done, total)))
    total = calls[-1][1]
    assert calls[-1][0] == total == 14 * 7
    (tmp_path / "out.tif").unlink()
    kept = []
    for count in (30, 40, 60, 98):
        with pytest.raises(Stopped):
            embed(tmp_path, backbone, stop_at(count))
        assert not (tmp_path / "out.tif").exists()
        kept.append(len((tmp_path / "out.tif.partial" / "journal.jsonl").read_text().splitlines()) - 1)
    assert kept == sorted(kept) and kept[0] == 1 and kept[-1] == STRIPS - 1
    calls.clear()
    assert embed(tmp_path, backbone, lambda done, total: calls.append((done, total))) == expected
    assert calls[0][0] > 30 and len(calls) < 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tif", "scene.tif"]


def test_other_work_begins_anew_and_so_does_what_was_damaged(tmp_path: Path, backbone: Backbone) -> None:
    scene = make_scene(tmp_path)
    expected = embed(tmp_path, backbone)
    with pytest.raises(Stopped):
        embed(tmp_path, backbone, stop_at(60))
    partial = tmp_path / "out.tif.partial"
    with (partial / "values").open("r+b") as values:
        values.seek(50)
        values.write(b"lost in a power cut")
    with (partial / "journal.jsonl").open("a") as journal:
        journal.write('{"checksum": 12, "fai')
    first: list[int] = []
    assert embed(tmp_path, backbone, lambda done, total: first.append(done)) == expected and first[0] <= 16
    with pytest.raises(Stopped):
        embed(tmp_path, backbone, stop_at(60))
    with rasterio.open(scene, "r+") as dataset:
        dataset.write(dataset.read() // 2)
    first.clear()
    assert embed(tmp_path, backbone, lambda done, total: first.append(done)) != expected and first[0] <= 16


def test_two_processes_do_not_write_one_output(tmp_path: Path, backbone: Backbone) -> None:
    make_scene(tmp_path)

    def again(done: int, total: int) -> None:
        with pytest.raises(ConfigError, match="another process is writing"):
            embed(tmp_path, backbone)
        raise Stopped

    with pytest.raises(Stopped):
        embed(tmp_path, backbone, again)
    assert not list(tmp_path.glob("*out*"))


def test_a_process_that_is_killed_loses_nothing(tmp_path: Path, backbone: Backbone) -> None:
    scene, weights = make_scene(tmp_path), tmp_path / "small.safetensors"
    save_checkpoint(weights, backbone, "small")
    options = ["--sensor", "rgb", "--unit", "uint8", "--bands", "sensor", "--weights", str(weights), "--json"]
    command = ["embed", str(scene), *options, "--tile", "16", "--overlap", "8", "--batch", "1"]
    command += ["--dtype", "float32", "-o"]
    assert main([*command, str(tmp_path / "whole.tif")]) == 0
    journal, output = tmp_path / "out.tif.partial" / "journal.jsonl", str(tmp_path / "out.tif")
    process = subprocess.Popen([sys.executable, "-m", "skyweave", *command, output])
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 1):
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert main([*command, output]) == 0
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not journal.parent.exists()
