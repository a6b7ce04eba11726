"""Images of other grids are laid on the first one's, window by window, and no window changes what another sees."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import GeoTransform
from skyweave.core.sensors import Band, Encoding, Sensor
from skyweave.data.raster import open_image
from skyweave.data.regridded import RESAMPLINGS, RegriddedImage

HEIGHT = Sensor(
    "height", "m", (Band("height", kind="elevation", unit="metre", mean=0, std=1),), 30, (Encoding("metre"),)
)
GRID = GeoTransform("EPSG:32632", (10, 0, 6e5, 0, -10, 5e6))
SHAPE = (90, 110)


def write(path, values, place, crs="EPSG:32632", nodata=None):
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": crs, "transform": Affine(*place)}
    with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], nodata=nodata, **profile) as dataset:
        dataset.write(values.astype("float32"), 1)
    return path


def plane(place, shape, crs="EPSG:32632"):
    """Return heights that are linear in the grid's easting and northing, at the centres of pixels."""
    row, column = np.mgrid[: shape[0], : shape[1]] + 0.5
    a, b, c, d, e, f = place
    x, y = (a * column + b * row + c).ravel(), (d * column + e * row + f).ravel()
    if crs != GRID.crs:
        x, y = map(np.array, transform(crs, GRID.crs, x.tolist(), y.tolist()))
    return (0.1 * (x - 6e5) - 0.05 * (y - 5e6)).reshape(shape)


def regrid(path, resampling="bilinear", **reading):
    image = open_image(path, HEIGHT, unit="metre", bands="sensor", **reading)
    return RegriddedImage(image, GRID, SHAPE, 10, resampling)


@pytest.mark.parametrize(
    ("crs", "place", "shape"),
    [
        ("EPSG:32632", (30, 0, 6e5 - 95, 0, -30, 5e6 + 77), (60, 60)),
        ("EPSG:32632", (4, 3, 6e5 - 900, 3, -4, 5e6 + 100), (500, 500)),
        ("EPSG:4326", (3e-4, 0, 10.268, 0, -2e-4, 45.149), (70, 60)),
        ("EPSG:32633", (20, 0, 128_000, 0, -20, 5_010_500), (90, 80)),
    ],
)
def test_a_plane_stays_one(tmp_path, crs, place, shape) -> None:
    path = write(tmp_path / "dem.tif", plane(place, shape, crs), place, crs)
    seen = regrid(path).read()
    assert seen.valid.mean() > 0.9 and seen.ground_sample_distance == 10
    expected = plane(GRID.affine, SHAPE)
    inner = seen.valid[0].copy()
    inner[[0, -1]] = inner[:, [0, -1]] = False
    assert np.abs(seen.pixels[0] - expected)[inner].max() < 0.02


@pytest.mark.parametrize("resampling", RESAMPLINGS)
@pytest.mark.parametrize("metres", [7.0, 25.0])
def test_windows_are_parts_of_the_whole(tmp_path, resampling, metres) -> None:
    place = (metres, 0, 6e5 + 13, 0, -metres, 5e6 - 17)
    values = np.random.default_rng(0).normal(100, 20, (int(900 / metres), int(1300 / metres)))
    values[3:9, 5:12] = -9
    image = regrid(write(tmp_path / "dem.tif", values, place, nodata=-9), resampling)
    whole = image.read()
    assert 0.8 < whole.valid.mean() < 1
    for window in ((0, 0, 20, 30), (17, 31, 40, 13), (80, 100, 10, 10), (44, 50, 1, 1)):
        part, expected = image.read(window), whole.window(*window)
        np.testing.assert_array_equal(part.valid, expected.valid)
        np.testing.assert_allclose(part.pixels, expected.pixels, rtol=0, atol=1e-4)


def test_a_finer_image_is_averaged_not_picked(tmp_path) -> None:
    values = np.indices((900, 1100)).sum(0) % 2 * 100.0
    seen = regrid(write(tmp_path / "fine.tif", values, (1, 0, 6e5, 0, -1, 5e6))).read()
    assert np.abs(seen.pixels[0, 2:-2, 2:-2] - 50).max() < 2


def test_no_data_has_no_weight_whoever_declares_it(tmp_path) -> None:
    values = np.full((40, 40), 200.0)
    values[10:20, 10:20] = -9999
    path = write(tmp_path / "dem.tif", values, (30, 0, 6e5, 0, -30, 5e6))
    seen = regrid(path, nodata=-9999).read()
    assert not seen.valid[0, 33:57, 33:57].any()
    np.testing.assert_allclose(seen.pixels[seen.valid], 200, atol=1e-3)


def test_what_cannot_be_laid_over_is_refused(tmp_path) -> None:
    values = np.full((40, 40), 200.0)
    away = write(tmp_path / "away.tif", values, (30, 0, 7e5, 0, -30, 5e6))
    with pytest.raises(DataError, match="covers nothing of the first scene"):
        regrid(away)
    with pytest.raises(ConfigError, match="choose one of nearest, bilinear"):
        regrid(write(tmp_path / "dem.tif", values, (30, 0, 6e5, 0, -30, 5e6)), "lanczos9")
    with pytest.raises(DataError, match="no place on the Earth"):
        regrid(write(tmp_path / "plain.tif", values, (30, 0, 6e5, 0, -30, 5e6), crs=None), ground_sample_distance=30)
