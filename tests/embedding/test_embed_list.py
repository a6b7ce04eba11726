"""`skyweave embed --list`: many scenes come out as each would alone, once."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from fabricated_archive import open_inline_pool
from fabricated_labels import write_raster
from skyweave.backbone import build_backbone, save_checkpoint
from skyweave.cli.main import main

DECLARED = ("--sensor", "rgb", "--unit", "uint8", "--bands", "sensor")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("skyweave.inference.archive.archive_run.open_pool", open_inline_pool)
    save_checkpoint(tmp_path / "small.safetensors", build_backbone("tiny", seed=0, width=24, depth=1, heads=3), "small")
    random = np.random.default_rng(0)
    for number in range(3):
        write_raster(
            tmp_path / "scenes" / f"scene{number}.tif", random.integers(1, 255, (3, 40 + number, 50), np.uint8)
        )
    (tmp_path / "scenes" / "damaged.tif").write_bytes((tmp_path / "scenes" / "scene0.tif").read_bytes()[:2000])
    return tmp_path


def embed(archive: Path, *options: str) -> int:
    return main(["embed", *DECLARED, "--weights", str(archive / "small.safetensors"), *options])


def test_a_list_is_what_each_scene_alone_is(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = ("--list", str(archive / "scenes" / "*.tif"), "--into", str(archive / "out"))
    assert embed(archive, *everything) == 3
    captured = capsys.readouterr()
    assert "3 scenes embedded, 0 done before, 1 failed" in captured.out
    assert "error: damaged: " in captured.err and "GDAL cannot read it" in captured.err
    assert embed(archive, str(archive / "scenes" / "scene1.tif"), "-o", str(archive / "alone.tif")) == 0
    with rasterio.open(archive / "out" / "scene1.tif") as listed, rasterio.open(archive / "alone.tif") as alone:
        np.testing.assert_array_equal(listed.read(), alone.read())
        assert listed.tags() == alone.tags()
    (archive / "scenes" / "damaged.tif").unlink()
    capsys.readouterr()
    assert embed(archive, *everything, "--json", "--workers", "2") == 0  # which changes no value
    assert json.loads(capsys.readouterr().out)["done_before"] == 3
    assert embed(archive, *everything, "--dtype", "int8", "--json") == 0
    assert json.loads(capsys.readouterr().out)["computed"] == 3


def test_what_does_not_go_with_a_list(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, out = str(archive / "scenes" / "*.tif"), str(archive / "out")
    for options, message in (
        (("--list", scenes), "--list needs --into"),
        (("--list", scenes, "--into", out, "--preview", str(archive / "p.png")), "--preview is for one scene"),
        (("--list", scenes, "--into", out, "--stac", "x"), "both name scenes"),
        (("--list", scenes, "--into", out, "--part", "0/4"), "numbered from 1"),
        (("--list", scenes, "--into", out, "--processes", "0"), "--processes 0: use 1 or more"),
        (("--list", scenes, "--into", out, "--patch-size", "0"), "a patch of 0 pixels"),
        (("--list", scenes, "--into", str(archive / "scenes")), "lies among the outputs"),
    ):
        assert embed(archive, *options) == 2
        assert message in capsys.readouterr().err
    (archive / "none").mkdir()
    (archive / "none" / "damaged.tif").write_bytes(b"II*\0damaged")
    assert embed(archive, "--list", str(archive / "none" / "*.tif"), "--into", out) == 2
    assert "no scene could be embedded; the first: " in capsys.readouterr().err
