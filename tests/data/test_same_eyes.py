"""Whatever a raster is like, every reader sees the same values at the same places as a few lines of rasterio."""

import importlib.util

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from drawn_rasters import PLACES, rasters, write_and_read
from skyweave.core.errors import DataError, MissingExtraError
from skyweave.data.inspection import inspect_raster
from skyweave.data.raster import open_image, read_observation
from skyweave.downstream.labels.config import ImageSourceConfig
from skyweave.downstream.labels.images import read_image


@given(how=rasters(), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_reader_sees_the_same(tmp_path, how, data):
    path = tmp_path / "drawn.tif"
    sensor, names, values, valid, stored, transform = write_and_read(path, how)

    image = read_observation(path, sensor, unit="raw", bands=names)
    assert np.array_equal(image.valid, valid)
    np.testing.assert_allclose(image.pixels[valid], values[valid], rtol=1e-5, atol=1e-5)
    assert image.ground_sample_distance == pytest.approx(PLACES[how["place"]][3], rel=2e-3)
    if how["place"] == "none":
        assert image.geometry is None
    else:
        assert image.geometry.affine == pytest.approx(tuple(transform[:6]))

    rows, columns = how["shape"][1:]
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    size = data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, columns - column))
    part = open_image(path, sensor, unit="raw", bands=names).read((row, column, *size))  # as embed reads tiles
    inside = (slice(None), slice(row, row + size[0]), slice(column, column + size[1]))
    assert np.array_equal(part.pixels, image.pixels[inside]) and np.array_equal(part.valid, valid[inside])

    (tmp_path / "drawn.yaml").write_text(sensor_yaml(sensor, how))
    source = ImageSourceConfig(str(tmp_path / "drawn.yaml"), "drawn.tif", "raw", bands=names)
    labelled, _ = read_image(source, path)  # as finetune and probe read images
    assert np.array_equal(labelled.valid, valid) and np.array_equal(labelled.pixels, image.pixels)

    check_without_gdal(path, sensor, names, image)
    report = inspect_raster(path)
    assert (report.rows, report.columns) == (rows, columns) and len(report.measured) == len(stored)
    for channel, index in enumerate(np.argsort(how["order"])):
        band = report.measured[index]
        assert band.nodata_share == pytest.approx(1 - valid[channel].mean())
        if valid[channel].any():
            measured = stored[channel][valid[channel]]
            assert (band.minimum, band.maximum) == (measured.min(), measured.max())


def check_without_gdal(path, sensor, names, expected):
    """What `skyweave apply` reads where GDAL is not installed is the same, or refused."""
    find = importlib.util.find_spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rasterio" else find(name))
        try:
            image = open_image(path, sensor, unit="raw", bands=names)
            read = image.read((0, 0, *image.shape))
        except (DataError, MissingExtraError) as error:
            assert any(word in str(error) for word in ("without GDAL", "takes PROJ"))
            return
    assert np.array_equal(read.valid, expected.valid)
    np.testing.assert_array_equal(read.pixels[read.valid], expected.pixels[expected.valid])
    assert read.ground_sample_distance == pytest.approx(expected.ground_sample_distance, rel=1e-6)
    assert (read.geometry is None) == (expected.geometry is None)
    if read.geometry is not None:
        assert read.geometry.affine == pytest.approx(expected.geometry.affine)
        if read.geometry.crs != "user-defined":
            assert CRS.from_user_input(read.geometry.crs) == CRS.from_user_input(expected.geometry.crs)


def sensor_yaml(sensor, how):
    """Return the sensor as a YAML file has it."""
    scale, offset = how["scale"]
    bands = "".join(
        f"  - {{name: {band.name}, wavelength: {band.wavelength}, mean: 0, std: 1.0e+9}}\n" for band in sensor.bands
    )
    return (
        f"name: drawn\nground_sample_distance: 7\nunit: dn\nencodings: {{raw: {{scale: {scale}, offset: {offset}}}}}\n"
        f"bands:\n{bands}"
    )
