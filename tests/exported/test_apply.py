"""An exported model over a scene gives what the model itself gives, with GDAL and without."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

import onnx

from skyweave.backbone import Backbone, BackboneConfig, build_backbone
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError, MissingExtraError, WeightsError
from skyweave.core.sensors import get_sensor
from skyweave.data.header import read_header
from skyweave.data.stored_values import read_stored
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.exported import apply_model, load_exported
from skyweave.inference import InferenceConfig
from skyweave.interop.export import ExportedModel, export_model
from skyweave.interop.quantise import quantise_onnx

pytestmark = pytest.mark.timeout(600)  # tracing takes seconds of a free core, and minutes of a busy one
RGB = get_sensor("rgb")
TRANSFORM = Affine(0.5, 0, 370_000, 0, -0.5, 5_800_000)
TOLERANCE = 1e-4  # of features in float32 against PyTorch's
CONFIG = InferenceConfig(tile=32, overlap=8, precision="float32")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    config = BackboneConfig(width=24, depth=2, heads=2, patch_size=8, mixes=8)
    return build_backbone(config, [RGB], seed=0).eval()


@pytest.fixture(scope="module")
def exported(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    return export_model(backbone, path, RGB, ground_sample_distance=0.5, nodata=True)


@pytest.fixture
def without_gdal(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rasterio" else find(name))


def write_scene(path: Path, **profile: Any) -> Path:
    row, column = np.mgrid[:70, :93]
    pixels = np.stack([120 + 60 * np.sin(row / 19), 120 + 60 * np.cos(column / 23), 90 + (row + column) / 8])
    pixels = np.clip(pixels + np.random.default_rng(3).normal(0, 8, pixels.shape), 1, 255)
    pixels[:, 20:45, 30:50] = 0
    place = {"crs": "EPSG:32633", "transform": TRANSFORM}
    options = {"driver": "GTiff", "height": 70, "width": 93, "count": 3, "dtype": "uint8", "nodata": 0, **place}
    with rasterio.open(path, "w", **{**options, **profile}) as target:
        target.write(pixels.astype(target.dtypes[0]))
        target.descriptions = ("red", "green", "blue")
    return path


def read(path: Path) -> tuple[np.ndarray, Any, Affine, tuple[str, ...]]:
    with rasterio.open(path) as file:
        return file.read(), file.crs, file.transform, file.descriptions


def test_features_are_those_of_embed(backbone: Backbone, exported: ExportedModel, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "scene.tif")
    embed_scene(
        scene,
        tmp_path / "torch.tif",
        backbone,
        RGB,
        unit="uint8",
        config=EmbeddingConfig(inference=CONFIG, storage="float32"),
    )
    applied = apply_model(
        load_exported(exported.path),
        [scene],
        tmp_path / "onnx.tif",
        [{"unit": "uint8"}],
        storage="float32",
        config=CONFIG,
    )
    expected, given = read(tmp_path / "torch.tif"), read(tmp_path / "onnx.tif")
    assert applied.kind == "features" and applied.bands == expected[3]
    assert np.isnan(expected[0]).any()
    np.testing.assert_allclose(given[0], expected[0], rtol=0, atol=TOLERANCE)
    assert given[1:] == expected[1:]


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_without_gdal_the_file_is_the_same(
    exported: ExportedModel, storage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scene, file = (
        write_scene(tmp_path / "scene.tif", tiled=True, blockxsize=32, blockysize=32),
        load_exported(exported.path),
    )
    arguments = {"storage": storage, "config": CONFIG}
    apply_model(file, [scene], tmp_path / "gdal.tif", [{"unit": "uint8"}], **arguments)  # type: ignore[arg-type]
    expected = read(tmp_path / "gdal.tif")
    request.getfixturevalue("without_gdal")
    applied = apply_model(file, [scene], tmp_path / "plain.tif", [{"unit": "uint8"}], **arguments)  # type: ignore[arg-type]
    given = read(tmp_path / "plain.tif")
    np.testing.assert_array_equal(given[0], expected[0])
    assert given[1:] == expected[1:] and applied.valid_fraction < 1
    with rasterio.open(tmp_path / "gdal.tif") as one, rasterio.open(tmp_path / "plain.tif") as other:
        assert other.scales == one.scales and other.offsets == one.offsets
        assert other.tags()["FINGERPRINT"] == one.tags()["FINGERPRINT"]
        np.testing.assert_equal(other.nodata, one.nodata)


FILES = {
    "strips": {},
    "tiles, deflated": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate", "predictor": 2},
    "planes": {"interleave": "band", "tiled": True, "blockxsize": 16, "blockysize": 16},
    "sixteen bits": {"dtype": "uint16", "nodata": 0},
    "floats without nodata": {"dtype": "float32", "nodata": None},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 13, 0, -1e-4, 52)},
    "no place": {"crs": None, "transform": Affine.identity()},
    "turned": {"transform": Affine(0.4, 0.3, 370_000, 0.3, -0.4, 5_800_000)},
}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_gdal_reads_them(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = write_scene(tmp_path / "scene.tif", **FILES[name])
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    windows = [None, ((3, 61), (17, 92)), ((69, 70), (0, 1))]
    header = read_header(path)
    expected = [read_stored(header, (0, 1, 2), "file", window) for window in windows]
    request.getfixturevalue("without_gdal")
    given = read_header(path)
    assert given.bands == header.bands and given.shape == header.shape
    assert given.crs == header.crs and given.affine == header.affine
    metres = header.ground_sample_distance
    assert given.ground_sample_distance == (metres and pytest.approx(metres, rel=1e-5))
    for window, (stored, mask) in zip(windows, expected, strict=True):
        again = read_stored(given, (0, 1, 2), "file", window)
        np.testing.assert_array_equal(again[0], stored)
        np.testing.assert_array_equal(again[1], mask)
    fewer, _ = read_stored(given, (0, 1, 2), "file", None, (7, 9))
    assert fewer.shape == (3, 7, 9)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_alpha_band_is_a_mask(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = write_scene(tmp_path / "scene.tif", nodata=None)
    with rasterio.open(path) as source:
        pixels = np.concatenate([source.read(), np.full((1, 70, 93), 255, np.uint8)])
    pixels[3, 5:9] = 0
    with rasterio.open(
        path, "w", driver="GTiff", height=70, width=93, count=4, dtype="uint8", photometric="rgb", alpha="yes"
    ) as target:
        target.write(pixels)
    header = read_header(path)
    expected = read_stored(header, (0, 1, 2))
    request.getfixturevalue("without_gdal")
    given = read_header(path)
    assert given.bands == header.bands
    np.testing.assert_array_equal(read_stored(given, (0, 1, 2))[1], expected[1])
    assert not expected[1].all()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Path]:
    yield write_scene(tmp_path / "scene.tif")


def test_what_only_gdal_reads_is_refused(scene: Path, without_gdal: None) -> None:
    scene.with_name("scene.tif.aux.xml").write_text("<PAMDataset><NoDataValue>7</NoDataValue></PAMDataset>")
    with pytest.raises(DataError, match="only GDAL reads"):
        read_header(scene)
    with pytest.raises(MissingExtraError, match="skyweave\\[geo\\]"):
        read_header(__file__)
    scene.with_name("broken.tif").write_bytes(b"II*\0no directory")
    with pytest.raises(DataError, match="truncated or damaged"):
        read_header(scene.with_name("broken.tif"))


def test_a_damaged_block_is_named_and_the_rest_written(
    exported: ExportedModel, tmp_path: Path, without_gdal: None
) -> None:
    scene = write_scene(tmp_path / "scene.tif", tiled=True, blockxsize=32, blockysize=32, compress="deflate")
    with scene.open("r+b") as file:
        file.seek(scene.stat().st_size * 2 // 5)
        file.write(bytes(200))
    applied = apply_model(load_exported(exported.path), [scene], tmp_path / "o.tif", [{"unit": "uint8"}], config=CONFIG)
    assert applied.failures and 0 < applied.valid_fraction < 1


def test_the_command(exported: ExportedModel, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["apply", str(exported.path), str(scene), "-o", str(tmp_path / "o.tif"), "--unit", "uint8", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "features"
    assert main([*words, "--kind", "classes"]) == 2
    assert "gives no classes; choose features" in capsys.readouterr().err


def test_models_that_do_not_fit_are_refused(exported: ExportedModel, scene: Path, tmp_path: Path) -> None:
    file = load_exported(exported.path)
    with pytest.raises(ConfigError, match="reads 1 scenes"):
        apply_model(file, [scene, scene], tmp_path / "o.tif", [{"unit": "uint8"}] * 2)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(WeightsError, match="export the model again"):
        load_exported(tmp_path / "text.onnx")


def test_int8_is_near_and_smaller(exported: ExportedModel, tmp_path: Path) -> None:
    onnx.save(quantise_onnx(onnx.load(str(exported.path))), str(tmp_path / "int8.onnx"))
    exact, near = load_exported(exported.path), load_exported(tmp_path / "int8.onnx")
    assert near.fingerprint == exact.fingerprint and near.sensors == exact.sensors
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 48)).astype(np.float32)
    expected, given = exact.run(["features"], [pixels])[0], near.run(["features"], [pixels])[0]
    assert 0 < np.sqrt(np.square(given - expected).mean()) / expected.std() < 0.05
    assert exported.parity is not None and exported.parity.largest_difference < TOLERANCE
