"""Every map and picture of a raster has its values at its places, as a few lines of rasterio read them."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from drawn_rasters import PLACES, rasters, write_and_read
from skyweave.core.errors import DataError
from skyweave.core.images.true_color import NODATA_GREY
from skyweave.data.raster_windows import RasterWindows
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.predict_scene import predict_scene
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.exported import ExportedFile, apply_model
from skyweave.inference import InferenceConfig
from skyweave.search.labelling.scene_image import render_scene
from skyweave.search.places import GridPlaces
from skyweave.viewing.raster import render_raster

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class SumOfBands(torch.nn.Module):
    """A network that says of each pixel the sum of its valid bands."""

    def forward(self, batches):
        """Return (batch, 1, rows, columns)."""
        (batch,) = batches
        return torch.where(batch.valid, batch.pixels, 0.0).sum(1, keepdim=True)


class SumOfBandsSession:
    """The same as ONNX Runtime would run it: pixels without data are NaN."""

    def run(self, names, inputs):
        """Return (batch, rows, columns)."""
        return [np.nansum(inputs["pixels"], axis=1)]


def exported(sensor):
    """Return an exported model that says the sum of the bands."""
    return ExportedFile(
        path=Path("sum.onnx"), sensors=(sensor,), inputs=("pixels",), outputs={"values": (-1, -1, -1)}, fingerprint="0",
        patch_size=1, ground_sample_distance=7.0, precision="float32", nodata=True, size=None, task="regression",
        classes=(), tile=16, _session=SumOfBandsSession(),
    )  # fmt: skip


def read_map(path):
    """Return values, validity, transform and reference system of a map."""
    with rasterio.open(path) as dataset:
        return dataset.read(1), dataset.read_masks(1) > 0, dataset.transform, dataset.crs


@given(how=rasters(), tile=st.integers(8, 24), data=st.data())
@FEW
def test_predict_and_apply_write_the_values_where_they_are(tmp_path, how, tile, data):
    path = tmp_path / "drawn.tif"
    sensor, names, values, valid, _, transform = write_and_read(path, how)
    rows, columns = how["shape"][1:]
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    size = data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, columns - column))
    part = data.draw(st.sampled_from([None, (row, column, *size)]))
    config = InferenceConfig(tile=tile, overlap=tile // 4, window=part, precision="float32")
    reading = {"unit": "raw", "bands": names}
    model = FinetunedModel(make_task("regression", "sum"), SumOfBands(), [sensor], tile).eval()
    predict_scene(path, tmp_path / "predicted.tif", model, config=config, **reading)
    apply_model(exported(sensor), [path], tmp_path / "applied.tif", [reading], config=config)

    first_row, first_column, rows, columns = part or (0, 0, rows, columns)
    inside = slice(first_row, first_row + rows), slice(first_column, first_column + columns)
    expected, known = np.where(valid, values, 0).sum(0)[inside], valid.any(0)[inside]
    for name in ("predicted", "applied"):
        given_values, given_valid, given_transform, crs = read_map(tmp_path / f"{name}.tif")
        assert np.array_equal(given_valid, known), name
        np.testing.assert_allclose(given_values[known], expected[known], rtol=1e-5, atol=1e-4, err_msg=name)
        if PLACES[how["place"]][0]:
            assert given_transform.almost_equals(transform * transform.translation(first_column, first_row), 1e-6)
            assert crs == CRS.from_user_input(PLACES[how["place"]][0])


def rendered(stored, valid, eight_bit):
    """Return the colours of values: as they are, or between their 2nd and 98th percentile."""
    low, high = np.zeros(len(stored)), np.full(len(stored), 255.0)
    if not eight_bit:
        shown = stored[:, valid] if valid.any() else np.array([[0.0, 1.0]] * len(stored))
        low, high = np.percentile(shown, [2, 98], axis=1) if valid.any() else (low, low + 1)
    scaled = (np.where(valid, stored, 0) - low[:, None, None]) / np.maximum(high - low, 1e-12)[:, None, None]
    image = np.round(scaled.clip(0, 1) * 255).astype(int)
    return np.where(valid, image, NODATA_GREY)


@given(how=rasters(), patch=st.integers(1, 5), data=st.data())
@FEW
def test_view_search_and_label_show_the_values_where_they_are(tmp_path, how, patch, data):
    path = tmp_path / "drawn.tif"
    *_, valid, stored, transform = write_and_read(path, how)
    order = np.argsort(np.argsort(how["order"]))  # from the sensor's order back to the file's
    in_file, valid_in_file = stored[order].astype(float), valid[order]
    shown = [0, 1, 2] if len(in_file) >= 3 else [0]
    known = valid_in_file[shown].all(0)
    expected = rendered(in_file[shown], known, how["dtype"] == "uint8")
    if len(shown) == 1:
        expected = np.repeat(expected, 3, axis=0)
    notes = []
    image = render_raster(path, notes).transpose(2, 0, 1)
    if not notes:  # which name what was left out beside what the file declares
        np.testing.assert_allclose(image, expected, atol=1)  # rounding

    windows = RasterWindows(path)  # of `search --scene` and of the page of `label`
    rows, columns = how["shape"][1:]
    row, column = data.draw(st.integers(-3, rows - 1)), data.draw(st.integers(-3, columns - 1))
    size = data.draw(st.integers(1, rows + 3)), data.draw(st.integers(1, columns + 3))
    padded = np.full((3, rows + 60, columns + 60), NODATA_GREY)
    padded[:, 3 : 3 + rows, 3 : 3 + columns] = expected
    cut = padded[:, row + 3 : row + 3 + size[0], column + 3 : column + 3 + size[1]]
    shown_part = windows.render((row, column, *size)).transpose(2, 0, 1)
    np.testing.assert_allclose(shown_part[:, : cut.shape[1], : cut.shape[2]], cut, atol=1)

    if PLACES[how["place"]][0] is None or min(rows, columns) < patch:
        return
    grid = (rows // patch, columns // patch)
    places = GridPlaces(
        np.arange(grid[0] * grid[1]), grid, (transform * transform.scale(patch))[:6], PLACES[how["place"]][0]
    )
    scene = render_scene(path, places).transpose(2, 0, 1)
    np.testing.assert_allclose(scene, expected[:, : grid[0] * patch, : grid[1] * patch], atol=1)
    shifted = (transform * transform.translation(0.5, 0) * transform.scale(patch))[:6]
    with pytest.raises(DataError, match="another grid"):
        render_scene(path, GridPlaces(places.cells, grid, shifted, places.crs))
