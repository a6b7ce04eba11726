"""No pixel is lost or shifted: sizes, windows, overlaps, holes, types, reference systems and directions of the axes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.inference import (
    InferenceConfig,
    InferenceJob,
    Provenance,
    RasterDescription,
    compute_raster,
    get_writer,
    open_scene,
    plan_windows,
    write_raster,
)

RED = get_sensor("rgb").select(["red"])
NODATA = 0
CRSS = ("EPSG:32633", "EPSG:3857", "EPSG:4326", None)


class CellMeans:
    """Says of each cell the mean of its valid pixels, and counts what it saw."""

    channels = 1

    def __init__(self, cell: int) -> None:
        self.cell = cell

    def __call__(self, windows: Sequence[tuple[Observation, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [cell_means(observation.pixels[0], observation.valid[0], self.cell) for (observation,) in windows]

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.where(valid, values, np.nan).astype(np.float32)


def cell_means(pixels: np.ndarray, valid: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    below, right = -pixels.shape[0] % cell, -pixels.shape[1] % cell
    padded = [np.pad(part.astype(float), ((0, below), (0, right))) for part in (pixels * valid, valid)]
    total, count = (part.reshape(part.shape[0] // cell, cell, -1, cell).sum((1, 3)) for part in padded)
    return (total / np.maximum(count, 1))[None].astype(np.float32), count > 0


@st.composite
def cases(draw: st.DrawFn) -> dict:
    rows, columns = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    part = (top, left, draw(st.integers(1, rows - top)), draw(st.integers(1, columns - left)))
    cell = draw(st.integers(1, 5))
    tile = cell * draw(st.integers(1, 8))
    return {
        "shape": (rows, columns),
        "window": draw(st.sampled_from([None, part])),
        "cell": cell,
        "tile": tile,
        "overlap": draw(st.integers(0, tile - cell)),
        "dtype": draw(st.sampled_from(["uint8", "uint16", "int16", "float32"])),
        "crs": draw(st.sampled_from(CRSS)),
        "signs": draw(st.sampled_from([(1, -1), (1, 1), (-1, -1), (-1, 1)])),
        "holes": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "workers": draw(st.integers(1, 3)),
        "columns_at_once": draw(st.sampled_from([1 << 28, 64])),
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_is_where_its_pixels_are(tmp_path: Path, case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyweave.inference.job.MAX_OPEN_BYTES", case["columns_at_once"])
    random = np.random.default_rng(case["shape"][0] * 99 + case["shape"][1])
    pixels = random.integers(1, 250, case["shape"]).astype(case["dtype"])
    pixels[random.random(case["shape"]) < case["holes"]] = NODATA
    step = 1e-4 if case["crs"] == "EPSG:4326" else 10.0
    place = Affine(step * case["signs"][0], 0, 15.0, 0, step * case["signs"][1], 50.0)
    rows, columns = case["shape"]
    profile = {"driver": "GTiff", "count": 1, "height": rows, "width": columns, "dtype": case["dtype"]}
    grid = {"crs": case["crs"], "transform": place} if case["crs"] else {}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **grid, nodata=NODATA) as target:
        target.write(pixels[None])
    config = InferenceConfig(
        tile=case["tile"], overlap=case["overlap"], window=case["window"], batch=3, workers=case["workers"]
    )
    source = open_scene([tmp_path / "scene.tif"], [RED], case["cell"], config, [{"unit": "uint8", "bands": "sensor"}])
    plan = plan_windows(source.shape, case["cell"], case["tile"], config, 1)
    provenance = Provenance("m", "f", "r", "rgb", ("red",), "uint8", 1.0, case["cell"], 8, 0, "float32", ("scene.tif",))
    description = RasterDescription(
        *source.shape, ("mean",), "float32", float("nan"), source.crs, source.transform, 1.0, "values", provenance
    )
    job = InferenceJob(description, plan, source, CellMeans(case["cell"]), source.identity, "cpu", config)
    output = tmp_path / "out.tif"
    with compute_raster(job, output) as raster:
        write_raster(raster, output, get_writer(output, None, "float32"), "float32")
    top, left, height, width = case["window"] or (0, 0, rows, columns)
    part = pixels[top : top + height, left : left + width].astype(float)
    expected, valid = cell_means(part, part != NODATA, case["cell"])
    with rasterio.open(output) as written:
        values = written.read()
        np.testing.assert_array_equal(~np.isnan(values[0]), valid)
        np.testing.assert_allclose(values[:, valid], expected[:, valid], rtol=1e-5)
        if case["crs"]:
            assert written.crs == case["crs"]
            corner = (15.0 + left * step * case["signs"][0], 50.0 + top * step * case["signs"][1])
            assert (written.transform.c, written.transform.f) == pytest.approx(corner)
            sides = case["cell"] * step * case["signs"][0], case["cell"] * step * case["signs"][1]
            assert (written.transform.a, written.transform.e) == pytest.approx(sides)
