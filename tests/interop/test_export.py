"""What is written computes what the backbone computes: every test compares files with `Backbone` itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

import onnx
import onnxruntime
import pystac
from pystac.extensions.mlm import MLMExtension

from skyweave.backbone import Backbone, BackboneConfig, build_backbone, fingerprint
from skyweave.backbone.batch import SensorBatch
from skyweave.cli.main import main
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor
from skyweave.interop.export import ExportedModel, example_input, export_model
from skyweave.interop.graph import SensorGraph

pytestmark = pytest.mark.timeout(600)  # tracing takes seconds of a free core, and minutes of a busy one
TOLERANCE = 1e-4
SENTINEL2 = get_sensor("sentinel2-l2a")


def small(sensor: Sensor, tokenizer: str = "spectral") -> Backbone:
    config = BackboneConfig(width=24, depth=2, heads=2, patch_size=8, tokenizer=tokenizer, mixes=8)  # type: ignore[arg-type]
    return build_backbone(config, [sensor], seed=0).eval()


def run_onnx(path: Path, pixels: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"pixels": pixels.numpy()}), strict=True))


def run_program(path: Path, pixels: torch.Tensor) -> list[np.ndarray]:
    with torch.inference_mode():
        return [output.numpy() for output in torch.export.load(path).module()(pixels)]


@torch.inference_mode()
def expected(backbone: Backbone, sensor: Sensor, pixels: torch.Tensor) -> dict[str, np.ndarray]:
    """By the backbone itself, which knows nothing of graphs."""
    gsd = torch.full((len(pixels),), sensor.ground_sample_distance)
    features = backbone(SensorBatch(pixels.nan_to_num(0.0), ~pixels.isnan(), sensor, gsd))
    named = {"embedding": features.pooled, "features": features.dense()}
    named |= {f"level_{n}": level for n, level in enumerate(features.level_maps(), 1)}
    named["valid"] = features.valid.unflatten(1, features.grid)
    return {name: value.numpy() for name, value in named.items()}


def assert_same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    for name, value in got.items():
        assert value.shape == want[name].shape, name
        np.testing.assert_allclose(value, want[name], rtol=0, atol=TOLERANCE, err_msg=name)
    if want.get("valid", np.ones(1)).any():
        assert want["features"].std() > 0.1  # constants would prove nothing


CASES = {
    "four bands of sentinel 2": (SENTINEL2.select(["nir", "red", "B8A", "swir16"]), "spectral", {}),
    "all bands, with nodata and levels": (SENTINEL2, "spectral", {"nodata": True, "levels": True}),
    "radar, a patch embedding of its own": (get_sensor("sentinel1-grd"), "per_sensor", {"patch_size": 4}),
    "more bands than response functions": (get_sensor("enmap"), "spectral", {}),
}
SLOW = ["more bands than response functions"]


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]
)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ExportedModel, Backbone, Sensor, dict[str, bool]]:
    sensor, tokenizer, options = CASES[request.param]
    backbone = small(sensor, tokenizer)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    return export_model(backbone, path, sensor, **options), backbone, sensor, options


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 40), (2, 24, 96), (1, 8, 8)], ids=str)
def test_onnx_is_the_backbone(
    written: tuple[ExportedModel, Backbone, Sensor, dict[str, bool]], shape: tuple[int, int, int]
) -> None:
    exported, backbone, sensor, options = written
    pixels = example_input(SensorGraph(backbone, sensor), *shape, seed=shape[1])
    if options.get("nodata"):
        pixels[0, :, :8, :8] = torch.nan
        pixels[-1, 1:4, 3:9, 5:] = torch.nan
    got = run_onnx(exported.path, pixels)
    assert list(got) == list(exported.outputs)
    patch = options.get("patch_size", 8)
    want = expected(backbone, sensor, pixels) if patch == 8 else fine(backbone, sensor, pixels, patch)
    assert_same(got, want)


@torch.inference_mode()
def fine(backbone: Backbone, sensor: Sensor, pixels: torch.Tensor, patch: int) -> dict[str, np.ndarray]:
    gsd = torch.full((len(pixels),), sensor.ground_sample_distance)
    features = backbone(SensorBatch(pixels, ~pixels.isnan(), sensor, gsd), patch)
    return {"embedding": features.pooled.numpy(), "features": features.dense().numpy()}


def test_a_file_says_what_to_feed(written: tuple[ExportedModel, Backbone, Sensor, dict[str, bool]]) -> None:
    exported, backbone, sensor, _ = written
    item = pystac.Item.from_file(str(exported.card))
    card = MLMExtension.ext(item)
    assert card.input[0].bands == [band.name for band in sensor.bands]
    assert card.input[0].input.shape == [-1, len(sensor), -1, -1]
    assert {output.name: output.result.shape for output in card.output} == exported.outputs
    asset = item.assets["model"]
    assert (exported.card.parent / asset.href).resolve() == exported.path.resolve()
    for entry, band in zip(asset.extra_fields["bands"], sensor.bands, strict=True):
        assert entry["name"] == band.name and entry["gsd"] == sensor.ground_sample_distance
        if band.wavelength is not None:
            assert entry["eo:center_wavelength"] == pytest.approx(band.wavelength / 1000)
        assert entry["unit"] == {"reflectance": "1", "db": "dB"}[band.unit]
    properties = {entry.key: entry.value for entry in onnx.load(str(exported.path)).metadata_props}
    assert properties["skyweave.fingerprint"] == fingerprint(backbone)
    assert item.properties["mlm:hyperparameters"]["fingerprint"] == fingerprint(backbone)
    assert json.loads(properties["skyweave.units"]) == {band.name: band.unit for band in sensor.bands}


def test_a_program_is_the_backbone(tmp_path: Path) -> None:
    sensor = SENTINEL2.select(["blue", "nir"])
    backbone = small(sensor)
    exported = export_model(backbone, tmp_path / "model.pt2", sensor)
    for shape in ((1, 16, 16), (3, 64, 40)):
        pixels = example_input(SensorGraph(backbone, sensor), *shape)
        got = dict(zip(exported.outputs, run_program(exported.path, pixels), strict=True))
        assert_same(got, expected(backbone, sensor, pixels))
    assert MLMExtension.ext(pystac.Item.from_file(str(exported.card))).framework == "PyTorch"


def test_exporting_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    """What a backbone computes once and keeps must not become a symbol of the trace."""
    sensor = SENTINEL2.select(["green"])
    backbone = small(sensor)
    export_model(backbone, tmp_path / "model.pt2", sensor, size=16)
    pixels = example_input(SensorGraph(backbone, sensor), 1, 16, 16)
    assert_same(expected(backbone, sensor, pixels), expected(small(sensor), sensor, pixels))


def test_mistakes_are_named_before_any_work(tmp_path: Path) -> None:
    backbone = small(SENTINEL2)
    with pytest.raises(ValueError, match=r"\.onnx or \.pt2"):
        export_model(backbone, tmp_path / "model.bin", SENTINEL2)
    with pytest.raises(ValueError, match=r"size 20 is no multiple .* use 16"):
        export_model(backbone, tmp_path / "model.onnx", SENTINEL2, size=20)
    with pytest.raises(ValueError, match="Linear cannot be exported"):
        export_model(torch.nn.Linear(1, 1), tmp_path / "model.onnx", SENTINEL2)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OSError, match="No space"):
        export_model(small(SENTINEL2), tmp_path / "model.pt2", SENTINEL2, size=16)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_exports_shipped_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.onnx"
    code = main(["export", "tiny", "-o", str(path), "--sensor", "sentinel2-l2a", "--bands", "B04,B08", "--json"])
    assert code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"] == {"embedding": [-1, 192], "features": [-1, 192, -1, -1]}
    from skyweave.backbone import load_backbone

    backbone, sensor = load_backbone("tiny"), SENTINEL2.select(["B04", "B08"])
    for shape in ((1, 32, 32), (2, 64, 128)):
        pixels = example_input(SensorGraph(backbone, sensor), *shape)
        assert_same(run_onnx(path, pixels), expected(backbone, sensor, pixels))


def test_the_command_names_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(tmp_path / "x.onnx"), "--sensor", "sentinel2-l2a"]
    assert main(["export", "tiny", *out, "--bands", "B04,B99"]) == 2
    assert "B99" in capsys.readouterr().err
    assert main(["export", "tiny", *out, "--gsd", "-1"]) == 2
    assert "--gsd is -1" in capsys.readouterr().err
    assert main(["export", "nothing", *out]) == 2
    assert "no weights 'nothing'" in capsys.readouterr().err
