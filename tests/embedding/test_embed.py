"""A scene's features lie where its patches lie, whatever the tiling."""

import copy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from skyweave.backbone import Backbone, build_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.sensors import get_sensor
from skyweave.data.raster import read_observation
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.inference import InferenceConfig
from skyweave.inference.config import Precision
from small_disk import fill, mounted_disk

RGB = get_sensor("rgb")
TRANSFORM = Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000)


def in_tiles(tile: int, overlap: int, precision: Precision = "float32") -> EmbeddingConfig:
    return EmbeddingConfig(inference=InferenceConfig(tile, overlap, precision=precision), storage="float32")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("tiny", seed=0, width=48, depth=2, heads=2).eval()


def write_scene(
    path: Path, rows: int, columns: int, crs: str | None = "EPSG:32633", nodata: float | None = None, hole: Any = None
) -> Path:
    row, column = np.mgrid[:rows, :columns]
    noise = np.random.default_rng(3).normal(0, 8, (3, rows, columns))
    smooth = np.stack([120 + 60 * np.sin(row / 19), 120 + 60 * np.cos(column / 23), 90 + (row + column) / 8])
    pixels = np.clip(smooth + noise, 1, 255).astype(np.uint8)
    if hole is not None:
        pixels[:, *hole] = nodata
    profile = {"driver": "GTiff", "height": rows, "width": columns, "count": 3, "dtype": "uint8", "nodata": nodata}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        place = {"crs": crs, "transform": TRANSFORM} if crs else {}
        with rasterio.open(path, "w", **profile, **place) as target:
            target.write(pixels)
            target.descriptions = ("red", "green", "blue")
    return path


def read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            return source.read()


def direct(path: Path, backbone: Backbone, patch_size: int | None = None) -> np.ndarray:
    observation = read_observation(path, RGB, unit="uint8")
    return backbone.embed(observation, patch_size).dense()[0].numpy()


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (61, 83), (100, 8)])
def test_single_tile_equals_direct_embedding(tmp_path: Path, backbone: Backbone, rows: int, columns: int) -> None:
    scene, output = write_scene(tmp_path / "scene.tif", rows, columns), tmp_path / "out.tif"
    result = embed_scene(scene, output, backbone, RGB, unit="uint8", config=in_tiles(128, 0))
    expected = direct(scene, backbone)
    assert (result.rows, result.columns) == expected.shape[1:] == (-(-rows // 8), -(-columns // 8))
    np.testing.assert_array_equal(read(output), expected)
    assert result.valid_fraction == 1 and result.notes == ()


def test_georeference_is_exact_and_the_file_tells_what_it_is(tmp_path: Path, backbone: Backbone) -> None:
    scene, output = write_scene(tmp_path / "scene.tif", 61, 83), tmp_path / "out.tif"
    result = embed_scene(
        scene,
        output,
        backbone,
        RGB,
        unit="uint8",
        model_name="m",
        config=EmbeddingConfig(4, InferenceConfig(32, 8)),
    )
    assert result.ground_sample_distance == 2
    with rasterio.open(output) as target:
        assert target.crs == "EPSG:32633"
        assert target.transform == Affine(2, 0, 370_000, 0, -2, 5_800_000)
        assert (target.height, target.width, target.count) == (16, 21, 48)
        assert target.profile["tiled"] and target.compression.value == "ZSTD"
        tags = target.tags()
        assert (tags["MODEL"], tags["BANDS"], tags["UNIT"], tags["GSD"]) == ("m", "red,green,blue", "uint8", "0.5")
        assert len(tags["FINGERPRINT"]) == 16 and tags["PATCH_SIZE"] == "4"
        assert target.descriptions[0] == "feature 000"


def test_tiling_is_deterministic_and_seams_are_small(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 203, 190)
    tiled, again = tmp_path / "tiled.tif", tmp_path / "again.tif"
    for output in (tiled, again):
        embed_scene(scene, output, backbone, RGB, unit="uint8", config=in_tiles(64, 32))
    np.testing.assert_array_equal(read(tiled), read(again))
    values = read(tiled)
    assert values.shape == (48, 26, 24) and np.isfinite(values).all()
    hard = tmp_path / "hard.tif"
    embed_scene(scene, hard, backbone, RGB, unit="uint8", config=in_tiles(64, 0))
    seams = [7, 15]  # where tiles without overlap meet
    assert steps_between_columns(read(hard))[seams].min() > 2 * np.median(steps_between_columns(read(hard)))
    blended = steps_between_columns(values)
    assert blended.max() < 0.5 * steps_between_columns(read(hard)).max()
    assert blended.max() < 2 * np.median(blended)


def steps_between_columns(features: np.ndarray) -> np.ndarray:
    """Root mean square difference of neighbouring columns, (columns - 1,)."""
    return np.sqrt(((features[:, :, 1:] - features[:, :, :-1]) ** 2).mean(axis=(0, 1)))


def test_nodata_is_nodata(tmp_path: Path, backbone: Backbone) -> None:
    hole = (slice(0, 64), slice(64, 128))
    scene = write_scene(tmp_path / "scene.tif", 128, 128, nodata=0, hole=hole)
    output = tmp_path / "out.tif"
    result = embed_scene(scene, output, backbone, RGB, unit="uint8", config=in_tiles(64, 0))
    values = read(output)
    assert np.isnan(values[:, :8, 8:]).all()
    assert np.isfinite(values[:, 8:]).all() and np.isfinite(values[:, :8, :8]).all()
    assert result.valid_fraction == 0.75


def test_all_nodata_scene_is_all_nodata_and_says_so(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 40, 40, nodata=0, hole=(slice(None), slice(None)))
    for storage in ("int8", "float16"):
        output, preview = tmp_path / f"{storage}.tif", tmp_path / f"{storage}.png"
        result = embed_scene(
            scene, output, backbone, RGB, unit="uint8", preview=preview, config=EmbeddingConfig(storage=storage)
        )
        assert result.valid_fraction == 0 and "no valid pixel" in result.notes[0]
        with rasterio.open(output) as target:
            assert not target.read_masks().any()
        assert preview.exists()


def test_no_crs_works_and_is_noted(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 5, 40, crs=None)  # less than a patch high, too
    result = embed_scene(scene, tmp_path / "out.tif", backbone, RGB, unit="uint8")
    assert any("no CRS" in note for note in result.notes)
    assert (result.rows, result.columns) == (1, 5)
    assert np.isfinite(read(tmp_path / "out.tif")).all()


def test_storage_types_agree(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 96, 96, nodata=0, hole=(slice(0, 8), slice(0, 8)))
    values, sizes = {}, {}
    for storage in ("float32", "float16", "int8"):
        path = tmp_path / f"{storage}.tif"
        embed_scene(
            scene,
            path,
            backbone,
            RGB,
            unit="uint8",
            config=EmbeddingConfig(4, InferenceConfig(64, 16), storage),
        )
        with rasterio.open(path) as source:
            values[storage] = source.read(masked=True).astype(np.float32)
            if storage == "int8":
                scale, offset = (np.array(a, np.float32)[:, None, None] for a in (source.scales, source.offsets))
                values[storage] = values[storage] * scale + offset
                assert np.abs(values[storage] - values["float32"]).max() <= 0.51 * scale.max()
        sizes[storage] = path.stat().st_size
        np.testing.assert_array_equal(values[storage].mask, values["float32"].mask)
    np.testing.assert_allclose(values["float16"].compressed(), values["float32"].compressed(), rtol=1e-3, atol=1e-3)
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["float16.tif", "float32.tif", "int8.tif", "scene.tif"]


def test_preview_is_transparent_where_nodata(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 64, 64, nodata=0, hole=(slice(0, 16), slice(0, 16)))
    preview = tmp_path / "preview.png"
    embed_scene(scene, tmp_path / "out.tif", backbone, RGB, unit="uint8", preview=preview)
    picture = read(preview)
    assert picture.shape == (4, 8, 8)
    assert (picture[3, :2, :2] == 0).all() and (picture[3, 2:] == 255).all()
    assert len(np.unique(picture[:3])) > 20


def test_what_can_be_read_of_a_damaged_scene_is_embedded(tmp_path: Path, backbone: Backbone) -> None:
    write_scene(tmp_path / "plain.tif", 200, 200)
    scene = tmp_path / "scene.tif"
    rasterio.shutil.copy(tmp_path / "plain.tif", scene, compress="deflate", blockysize=10)
    whole = embed_scene(scene, tmp_path / "whole.tif", backbone, RGB, unit="uint8", config=in_tiles(72, 0))
    content = scene.read_bytes()
    scene.write_bytes(content[:-10_000] + b"damaged" * 1000 + content[-3_000:])  # the last rows but one
    result = embed_scene(scene, tmp_path / "o.tif", backbone, RGB, unit="uint8", config=in_tiles(72, 0))
    assert whole.failures == () and "scene.tif" in result.failures[0] and result.failures[0].startswith("3 windows")
    values, expected = read(tmp_path / "o.tif"), read(tmp_path / "whole.tif")
    assert np.isnan(values[:, 16 + 2 :]).all()
    np.testing.assert_array_equal(values[:, :16], expected[:, :16])
    with rasterio.open(tmp_path / "o.tif") as written:
        assert "3 windows" in written.tags()["FAILURES"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.tif", "plain.tif", "scene.tif", "whole.tif"]


def test_a_scene_of_which_nothing_can_be_read_leaves_nothing_behind(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 200, 200)
    scene.write_bytes(scene.read_bytes()[:500])
    with pytest.raises(DataError, match=r"scene\.tif"):
        embed_scene(scene, tmp_path / "o.tif", backbone, RGB, unit="uint8", preview=tmp_path / "o.png")
    assert [p.name for p in tmp_path.iterdir()] == ["scene.tif"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, backbone: Backbone) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, backbone, "small")
    scene = write_scene(tmp_path / "scene.tif", 128, 128)
    before = sorted(tmp_path.iterdir())
    limited = (
        "import resource, sys\n"
        "from skyweave.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        f"sys.exit(main(['embed', {str(scene)!r}, '-o', {str(tmp_path / 'out.tif')!r}, '--sensor', 'rgb', '--unit',"
        f" 'uint8', '--weights', {str(weights)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ") and "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("storage", ["float16", "int8", "float32"])
def test_a_disk_that_fills_up_gives_a_whole_map_or_an_error(tmp_path: Path, backbone: Backbone, storage: str) -> None:
    scene, config = write_scene(tmp_path / "scene.tif", 256, 256), EmbeddingConfig(storage=storage)
    embed_scene(scene, tmp_path / "whole.tif", backbone, RGB, unit="uint8", config=config)
    outcomes = set()
    with mounted_disk(tmp_path / "disk", 4_000_000) as disk:
        output = disk / "map.tif"
        for free in (0, 210_000, 240_000, 270_000, 300_000, 900_000):
            output.write_bytes(b"the one before")
            filler = fill(disk, free)
            try:
                embed_scene(scene, output, backbone, RGB, unit="uint8", config=config)
                np.testing.assert_array_equal(read(output), read(tmp_path / "whole.tif"))
                outcomes.add("whole")
            except OSError as error:
                assert output.read_bytes() == b"the one before"
                assert "disk" in str(error) or "No space left" in str(error), error
                outcomes.add("error")
            filler.unlink()
            assert set(disk.iterdir()) <= {output, disk / "map.tif.partial"}  # with space it goes on from there
    assert outcomes == {"whole", "error"}


def test_command_writes_map_and_picture(tmp_path: Path, backbone: Backbone, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, backbone, "small")
    scene = write_scene(tmp_path / "scene.tif", 64, 80)
    declared = ["--sensor", "rgb", "--unit", "uint8", "--weights", str(weights)]
    command = ["embed", str(scene), "-o", str(tmp_path / "out.tif"), "--preview", str(tmp_path / "out.png"), *declared]
    assert main([*command, "--dtype", "float32", "--precision", "float32"]) == 0
    assert "10 x 8 pixels (width x height) of 4 m" in capsys.readouterr().out
    np.testing.assert_allclose(read(tmp_path / "out.tif"), direct(scene, backbone), atol=1e-5)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert main([*command, "--unit", "dn"]) == 2
    assert "uint8" in capsys.readouterr().err
    assert main([*command, "--tile", "4"]) == 2
    assert "smaller than a patch" in capsys.readouterr().err


def test_an_output_that_is_the_scene_or_a_part_of_it_is_refused(tmp_path: Path, backbone: Backbone) -> None:
    scene = write_scene(tmp_path / "scene.tif", 32, 32)
    virtual = tmp_path / "scene.vrt"
    shutil.copy(scene, tmp_path / "copy.tif")
    virtual.write_text(
        '<VRTDataset rasterXSize="32" rasterYSize="32">'
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">scene.tif'
            f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    before = scene.read_bytes()
    for source, output, preview in ((scene, scene, None), (virtual, scene, None), (scene, tmp_path / "o.tif", scene)):
        with pytest.raises(ConfigError, match=r"would overwrite .*scene\.tif, which is read"):
            embed_scene(source, output, backbone, RGB, unit="uint8", bands="sensor", preview=preview)
    assert scene.read_bytes() == before and not (tmp_path / "o.tif").exists()


def test_features_that_are_not_finite_are_an_error(tmp_path: Path, backbone: Backbone) -> None:
    broken = copy.deepcopy(backbone)
    with torch.no_grad():
        next(parameter for name, parameter in broken.named_parameters() if "fc1" in name).fill_(float("nan"))
    with pytest.raises(DataError, match="not finite for valid pixels"):
        embed_scene(
            write_scene(tmp_path / "s.tif", 32, 32), tmp_path / "o.tif", broken, RGB, unit="uint8", bands="sensor"
        )
    assert not (tmp_path / "o.tif").exists()


def test_flips_average_four_mirror_images(backbone: Backbone, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 64, 48)
    with rasterio.open(scene) as source:
        pixels, profile = source.read(), source.profile

    def features(axes: tuple[int, ...], flips: bool) -> np.ndarray:
        with rasterio.open(tmp_path / "mirrored.tif", "w", **profile) as target:
            target.write(np.flip(pixels, axes))
            target.descriptions = ("red", "green", "blue")
        config = EmbeddingConfig(
            inference=InferenceConfig(tile=64, precision="float32"), storage="float32", flips=flips
        )
        embed_scene(tmp_path / "mirrored.tif", tmp_path / "out.tif", backbone, RGB, unit="uint8", config=config)
        with rasterio.open(tmp_path / "out.tif") as written:
            assert ("four mirror images" in written.tags()["READOUT"]) == flips
            return np.asarray(np.flip(written.read(), axes))

    each = [features(axes, False) for axes in ((), (1,), (2,), (1, 2))]
    np.testing.assert_allclose(features((), True), np.mean(each, axis=0), atol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 1e-3


def test_flips_of_a_scene_that_ends_within_a_patch(backbone: Backbone, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif", 61, 43)
    words = ["embed", str(scene), "--sensor", "rgb", "--unit", "uint8", "--weights", str(tmp_path / "w.safetensors")]
    save_checkpoint(tmp_path / "w.safetensors", backbone, "small")
    assert main([*words, "-o", str(tmp_path / "one.tif")]) == 0
    assert main([*words, "-o", str(tmp_path / "four.tif"), "--flips"]) == 0
    with rasterio.open(tmp_path / "one.tif") as one, rasterio.open(tmp_path / "four.tif") as four:
        assert four.shape == one.shape
        similarity = np.corrcoef(one.read()[:, -1, -1], four.read()[:, -1, -1])[0, 1]
    assert similarity > 0.995  # the last patch is where it was; other patches are at 0.988
