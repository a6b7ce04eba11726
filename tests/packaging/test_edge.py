"""The distribution skyweave-edge applies a model with the libraries that it declares, and no others."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import rasterio

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

import onnx

from skyweave.core.sensors import get_sensor, sensor_to_dict

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"typing-extensions": "typing_extensions", "lazy-loader": "lazy_loader", "pyyaml": "yaml"}
OF_DEPENDENCIES = {"google", "flatbuffers", "packaging"}  # onnxruntime's
RUN = """
import sys
allowed = set(sys.argv[1].split(",")) | set(sys.stdlib_module_names)

class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and not name.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
sys.path.insert(0, sys.argv[2])
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: find(name, *rest) if name.split(".")[0] in allowed else None
from skyweave.cli.main import main
sys.exit(main(sys.argv[3:]))
"""


def write_model(path: Path) -> None:
    """Features that are means of patches, as `skyweave export` describes them."""
    helper, sensor = onnx.helper, get_sensor("rgb")
    node = helper.make_node("AveragePool", ["pixels"], ["features"], kernel_shape=[8, 8], strides=[8, 8])
    shapes = (["n", 3, "h", "w"], ["n", 3, "y", "x"])
    pixels, features = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in zip(("pixels", "features"), shapes, strict=True)
    )
    model = helper.make_model(helper.make_graph([node], "means", [pixels], [features]), ir_version=9)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 20))
    facts = {"inputs": json.dumps({"pixels": sensor_to_dict(sensor)}), "fingerprint": "0" * 16, "patch_size": "8"}
    for name, value in (facts | {"ground_sample_distance": "10", "nodata": "true"}).items():
        model.metadata_props.add(key=f"skyweave.{name}", value=value)
    onnx.save(model, str(path))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The files of the wheel, linked."""
    content = tomllib.loads((ROOT / "edge" / "pyproject.toml").read_text())
    folder = tmp_path / "site"
    (folder / "skyweave").mkdir(parents=True)
    for source, target in content["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        (folder / target).symlink_to((ROOT / "edge" / source).resolve())
    return folder


def allowed() -> str:
    content = tomllib.loads((ROOT / "edge" / "pyproject.toml").read_text())
    names = [line.split(">")[0].strip().lower() for line in content["project"]["dependencies"]]
    return ",".join(["skyweave", *(MODULES.get(name, name) for name in names), *OF_DEPENDENCIES])


def run(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, allowed(), str(package), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=package, env={"PATH": ""})


def test_it_applies_a_model_without_other_libraries(package: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).integers(1, 255, (3, 40, 56)).astype(np.uint8)
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 4e5, 0, -10, 5e6)}
    profile = {"driver": "GTiff", "height": 40, "width": 56, "count": 3, "dtype": "uint8", **place}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile) as target:
        target.write(pixels)
    words = ["model.onnx", "scene.tif", "-o", "out.tif"]
    paths = [str(tmp_path / word) if "." in word else word for word in words]
    done = run(package, "apply", *paths, "--unit", "uint8", "--bands", "sensor", "--dtype", "float32")
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "out.tif") as written:
        assert written.crs == "EPSG:32633" and written.transform.a == 80
        means = pixels.reshape(3, 5, 8, 7, 8).mean((2, 4))
        np.testing.assert_allclose(written.read(), means, rtol=1e-5)


def test_what_it_lacks_is_named(package: Path) -> None:
    done = run(package, "embed", "scene.tif", "-o", "out.tif", "--sensor", "rgb", "--unit", "uint8")
    assert done.returncode == 2 and "not in skyweave-edge" in done.stderr
