"""Elevation models: what is no height on Earth is unknown, whatever the file declares."""

import shlex

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.rio.main import main_group

from skyweave.core.errors import DataError
from skyweave.data.elevation import mask_voids, read_elevation

UTM = "EPSG:32632"
BOUNDS = (384_400.0, 5_150_000.0, 385_400.0, 5_151_000.0)


def write_heights(path, heights, **profile):
    profile = {"crs": UTM, "transform": Affine(10, 0, 384_300, 0, -10, 5_151_300), "nodata": None} | profile
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=len(heights), width=heights.shape[1], dtype=heights.dtype, **profile
    ) as dataset:
        dataset.write(heights, 1)
    return path


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("void", [-32768, -9999, 32767])
def test_voids_are_unknown_and_named(tmp_path, dtype, void):
    heights = np.full((130, 130), 440, dtype)
    heights[:, :62] = void
    notes = []
    model = read_elevation(write_heights(tmp_path / "dem.tif", heights), UTM, BOUNDS, notes)
    known = model.heights[np.isfinite(model.heights)]
    assert known.size and np.all(known == 440)
    assert np.isnan(model.heights[:, 0]).all()
    assert str(void) in notes[0] and "unknown" in notes[0]


def test_a_model_without_voids_says_nothing(tmp_path):
    notes = []
    heights = np.arange(130 * 130, dtype=np.float32).reshape(130, 130) / 100
    read_elevation(write_heights(tmp_path / "dem.tif", heights), UTM, BOUNDS, notes)
    assert notes == []
    assert mask_voids(np.array([np.nan, -430.0, 8849.0]), "dem")[1] is None


def test_declared_scale_and_unit_are_applied(tmp_path):
    path = write_heights(tmp_path / "dem.tif", np.full((130, 130), 1000, np.int16))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets, dataset.units = (0.1,), (20.0,), ("ft",)
    assert np.nanmean(read_elevation(path, UTM, BOUNDS).heights) == pytest.approx(120 * 0.3048)


def test_heights_in_feet_by_the_vertical_reference_system(tmp_path):
    path = write_heights(tmp_path / "dem.tif", np.full((130, 130), 1000, np.float32), crs="EPSG:32632+6360")
    assert np.nanmean(read_elevation(path, UTM, BOUNDS).heights) == pytest.approx(1000 * 1200 / 3937, rel=1e-6)


def test_nothing_but_voids_and_several_bands_are_refused(tmp_path):
    path = write_heights(tmp_path / "dem.tif", np.full((130, 130), -32768, np.int16))
    with pytest.raises(DataError, match=r"does not cover.*-32768"):
        read_elevation(path, UTM, BOUNDS)
    with rasterio.open(
        tmp_path / "rgb.tif", "w", driver="GTiff", count=3, height=9, width=9, dtype="uint8", crs=UTM,
        transform=Affine(100, 0, 384_300, 0, -100, 5_151_300),
    ):  # fmt: skip
        pass
    with pytest.raises(DataError, match="3 bands"):
        read_elevation(tmp_path / "rgb.tif", UTM, BOUNDS)


def test_a_rotated_and_a_south_up_model_are_read_right(tmp_path):
    rows, columns = np.mgrid[0:130, 0:130] + 0.5
    for name, (a, b, c, d, e, f) in {
        "south_up": (10, 0, 384_300, 0, 10, 5_150_000),
        "rotated": (10.4, 6, 384_100, 6, -10.4, 5_150_700),
    }.items():
        x, y, transform = a * columns + b * rows + c, d * columns + e * rows + f, Affine(a, b, c, d, e, f)
        heights = ((x - 384_000) / 10 + (y - 5_150_000) / 20).astype(np.float32)
        model = read_elevation(write_heights(tmp_path / f"{name}.tif", heights, transform=transform), UTM, BOUNDS)
        points = np.array([[384_900.0, 5_150_400.0], [384_800.0, 5_150_600.0]])
        expected = (points[:, 0] - 384_000) / 10 + (points[:, 1] - 5_150_000) / 20
        np.testing.assert_allclose(model.height(points), expected, atol=0.3)


@pytest.mark.parametrize(
    ("unit", "metres"),
    [
        ("US_survey_foot", 1200 / 3937), ("international feet", 0.3048), ("Fathoms", 1.8288), ("decimeters", 0.1),
        ("Metres", 1.0), ("ftUS", 1200 / 3937),
    ],
)  # fmt: skip
def test_units_are_known_by_their_usual_names(tmp_path, unit, metres):
    path = write_heights(tmp_path / "dem.tif", np.full((130, 130), 500, np.float32))
    with rasterio.open(path, "r+") as dataset:
        dataset.units = (unit,)
    assert np.nanmean(read_elevation(path, UTM, BOUNDS).heights) == pytest.approx(500 * metres)


def test_a_unit_that_is_not_known_is_asked_for(tmp_path):
    path = write_heights(tmp_path / "dem.tif", np.full((130, 130), 500, np.float32))
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("cubits",)
    with pytest.raises(DataError, match=r"heights in 'cubits' are not read.*`rio edit-info") as refused:
        read_elevation(path, UTM, BOUNDS)
    command = shlex.split(str(refused.value).split("`")[1])
    main_group(command[1:], standalone_mode=False)
    assert np.nanmean(read_elevation(path, UTM, BOUNDS).heights) == pytest.approx(500)


def test_heights_above_the_ellipsoid_and_shaded_reliefs_are_noted(tmp_path):
    for crs, dtype, words in (
        (CRS.from_user_input(UTM).to_3d().to_wkt(), np.float32, "count from the ellipsoid"),
        (UTM, np.uint8, "no elevation model"),
    ):
        notes = []
        read_elevation(
            write_heights(tmp_path / "dem.tif", np.full((130, 130), 200, dtype), crs=crs), UTM, BOUNDS, notes
        )
        assert len(notes) == 1 and words in notes[0]
