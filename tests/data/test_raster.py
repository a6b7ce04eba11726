import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, Encoding, Sensor, get_sensor
from skyweave.data.header import read_header
from skyweave.data.raster import read_observation

RGB = get_sensor("rgb")
NAIP = get_sensor("naip")
L2A = get_sensor("sentinel2-l2a")


def write(path, values, crs="EPSG:32633", pixel=10.0, names=None, tags=None, origin=(400_000, 5_800_000), **profile):
    values = np.asarray(values)
    place = {"crs": crs, "transform": Affine(pixel, 0, origin[0], 0, -pixel, origin[1])} if crs else {}
    with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
        dtype=values.dtype, **place, **profile,
    ) as dataset:  # fmt: skip
        dataset.write(values)
        if names:
            dataset.descriptions = names
        dataset.update_tags(**(tags or {}))
    return path


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(1, 250, (3, 20, 30), dtype=np.uint8)


def test_values_place_time_and_distance(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, tags={"datetime": "2021-07-23T13:22:41.750000000"})
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert np.array_equal(image.pixels, colours) and image.valid.all()
    assert image.ground_sample_distance == 10.0
    assert image.geometry.crs == "EPSG:32633"
    assert image.time == np.datetime64("2021-07-23T13:22:41.75", "ns").astype(int)
    assert image.notes == ()


def test_window_reads_the_same_as_the_whole(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours)
    whole = read_observation(path, RGB, unit="uint8", bands="sensor")
    part = read_observation(path, RGB, unit="uint8", bands="sensor", window=(3, 5, 7, 11))
    expected = whole.window(3, 5, 7, 11)
    assert np.array_equal(part.pixels, expected.pixels) and part.geometry == expected.geometry
    with pytest.raises(ValueError, match=r"rows 15:25.*leaves the image of 20 x 30"):
        read_observation(path, RGB, unit="uint8", bands="sensor", window=(15, 0, 10, 10))


def test_file_order_never_matters(tmp_path, colours):
    plain = read_observation(write(tmp_path / "a.tif", colours), RGB, unit="uint8", bands="sensor")
    bgr = write(tmp_path / "b.tif", colours[::-1])
    declared = read_observation(bgr, RGB, unit="uint8", bands=["B", "G", "R"])
    own_names = write(tmp_path / "c.tif", colours[::-1], names=["Blue", "Green", "Red"])
    named = read_observation(own_names, RGB, unit="uint8")
    skipped = read_observation(bgr, RGB, unit="uint8", bands=[None, "green", "red"])
    assert np.array_equal(declared.pixels, plain.pixels) and np.array_equal(named.pixels, plain.pixels)
    assert [band.name for band in skipped.sensor.bands] == ["red", "green"]
    assert np.array_equal(skipped.pixels, plain.pixels[:2])


def test_order_is_never_assumed(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, photometric="MINISBLACK")
    with pytest.raises(ValueError, match=r"cannot tell which of its 3 bands.*bands: sensor"):
        read_observation(path, RGB, unit="uint8")
    with pytest.raises(ValueError, match=r"has the 4 bands of naip, but it has 3"):
        read_observation(path, NAIP, unit="uint8", bands="sensor")
    named = write(tmp_path / "b.tif", colours, names=["Red", "Green", "Blue"])
    with pytest.raises(ValueError, match=r"band 1 is declared as 'blue', but the file calls it 'Red'"):
        read_observation(named, RGB, unit="uint8", bands=["blue", "green", "red"])
    with pytest.raises(ValueError, match=r"1 of the 4 bands of naip are missing: nir"):
        read_observation(named, NAIP, unit="uint8")
    with pytest.raises(ValueError, match=r"no band 'gren'.*did you mean 'green'"):
        read_observation(path, RGB, unit="uint8", bands=["red", "gren", "blue"])
    with pytest.raises(ValueError, match=r"names red more than once"):
        read_observation(path, RGB, unit="uint8", bands=["red", "R", "blue"])


def test_nodata_declared_given_and_overridden(tmp_path, colours):
    colours[1, 4, 5] = 0
    colours[:, 6, 6] = 255
    path = write(tmp_path / "a.tif", colours, nodata=0)
    declared = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert declared.valid.sum() == declared.valid.size - 1 and not declared.valid[1, 4, 5]
    assert declared.pixels[1, 4, 5] == 0
    given = read_observation(path, RGB, unit="uint8", bands="sensor", nodata=255)
    assert (~given.valid).sum() == 3 and given.valid[1, 4, 5]
    assert read_observation(path, RGB, unit="uint8", bands="sensor", nodata=None).valid.all()
    with pytest.raises(ValueError, match=r"nodata -9999 cannot occur in uint8"):
        read_observation(path, RGB, unit="uint8", bands="sensor", nodata=-9999)


def test_near_infrared_marked_as_alpha_is_no_mask(tmp_path):
    values = np.full((4, 8, 8), 90, np.uint8)
    values[3, 2] = 0  # water is black in the near infrared
    path = write(tmp_path / "a.tif", values, photometric="RGB", alpha="UNSPECIFIED")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], rasterio.enums.ColorInterp.alpha]
    assert read_observation(path, NAIP, unit="uint8", bands="sensor").valid.all()
    masked = read_observation(path, RGB, unit="uint8", bands=["red", "green", "blue", None])
    assert not masked.valid[:, 2].any() and masked.valid[:, 3].all()


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_sixteen_bit_and_float(tmp_path, dtype):
    stored = np.random.default_rng(1).integers(200, 4000, (12, 9, 9)).astype(dtype)
    image = read_observation(write(tmp_path / "a.tif", stored), L2A, unit="dn", bands="sensor")
    assert image.pixels.dtype == np.float32
    np.testing.assert_allclose(image.pixels, stored * 1e-4, rtol=1e-6)
    shifted = read_observation(tmp_path / "a.tif", L2A, unit="dn", bands="sensor", offset=-100)
    np.testing.assert_allclose(shifted.pixels, (stored - 100.0) * 1e-4, atol=1e-6)


def test_nan_and_infinity_are_masked(tmp_path):
    stored = np.full((12, 8, 8), 0.2, np.float32)
    stored[0, 1, 1], stored[3, 2, 2], stored[5, 3, 3] = np.nan, np.inf, -np.inf
    image = read_observation(write(tmp_path / "a.tif", stored), L2A, unit="reflectance", bands="sensor")
    assert (~image.valid).sum() == 3 and np.isfinite(image.pixels).all()
    assert not image.valid[0, 1, 1] and not image.valid[3, 2, 2] and not image.valid[5, 3, 3]


def test_all_nodata_is_kept_and_masked(tmp_path):
    path = write(tmp_path / "a.tif", np.full((12, 8, 8), -32768, np.int16), nodata=-32768)
    image = read_observation(path, L2A, unit="dn", bands="sensor")
    assert not image.valid.any() and not image.pixels.any()


def test_wrong_units_are_refused(tmp_path, colours):
    deep = write(tmp_path / "a.tif", np.random.default_rng(2).integers(500, 4000, (12, 40, 40), dtype=np.uint16))
    with pytest.raises(ValueError, match=r"unit 'reflectance'.*far from.*dn, dn_offset1000, reflectance"):
        read_observation(deep, L2A, unit="reflectance", bands="sensor")
    with pytest.raises(ValueError, match=r"no unit 'dnn'"):
        read_observation(deep, L2A, unit="dnn", bands="sensor")
    shallow = write(tmp_path / "b.tif", np.random.default_rng(2).uniform(0.01, 0.5, (12, 40, 40)).astype(np.float32))
    with pytest.raises(ValueError, match=r"unit 'dn'.*nearly zero"):
        read_observation(shallow, L2A, unit="dn", bands="sensor")
    with pytest.raises(ValueError, match=r"leaves 0 to 255"):
        read_observation(write(tmp_path / "c.tif", colours.astype(np.uint16) * 50), RGB, unit="uint8", bands="sensor")
    radar = get_sensor("sentinel1-rtc")
    power = write(tmp_path / "d.tif", np.random.default_rng(3).gamma(4, 0.02, (2, 40, 40)).astype(np.float32))
    with pytest.raises(ValueError, match=r"no negative decibel"):
        read_observation(power, radar, unit="db", bands="sensor")
    decoded = read_observation(power, radar, unit="power", bands="sensor")
    assert -20 < decoded.pixels.mean() < -8
    decibel = write(tmp_path / "e.tif", decoded.pixels)
    with pytest.raises(ValueError, match=r"unit 'power' cannot be right"):
        read_observation(decibel, radar, unit="power", bands="sensor")


def test_one_bright_band_is_no_wrong_unit(tmp_path):
    stored = np.random.default_rng(0).integers(200, 2500, (13, 40, 40), dtype=np.uint16)
    stored[10] = 3500  # thick cirrus: a thousand times the usual in band 10
    l1c = get_sensor("sentinel2-l1c")
    assert read_observation(write(tmp_path / "a.tif", stored), l1c, unit="dn", bands="sensor").valid.all()


def test_no_crs_uses_the_nominal_distance_and_says_so(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, crs=None)
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert image.ground_sample_distance == RGB.ground_sample_distance and image.geometry is None
    assert "no CRS" in image.notes[0] and "ground_sample_distance" in image.notes[0]
    declared = read_observation(path, RGB, unit="uint8", bands="sensor", ground_sample_distance=0.03)
    assert declared.ground_sample_distance == 0.03 and declared.notes == ()


def test_degrees_and_feet_become_metres(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, crs="EPSG:4326", pixel=1e-4, origin=(10.0, 60.0))
    # a degree at 60 north: 111.41 km along the meridian, 55.80 km along the parallel
    assert read_header(path).ground_sample_distance == pytest.approx(np.sqrt(11.141 * 5.580), rel=1e-3)
    feet = write(tmp_path / "b.tif", colours, crs="EPSG:2263", pixel=3.0, origin=(980_000, 200_000))
    assert read_header(feet).ground_sample_distance == pytest.approx(3 * 0.3048006)


def test_truncated_file(tmp_path):
    path = write(tmp_path / "a.tif", np.random.default_rng(0).integers(1, 250, (3, 200, 200), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(DataError, match=r"a\.tif.*truncated or damaged"):
        read_observation(path, RGB, unit="uint8", bands="sensor")
    path.write_text("no raster")
    with pytest.raises(DataError, match=r"no raster, or truncated"):
        read_header(path)
    with pytest.raises(FileNotFoundError, match=r"none\.tif"):
        read_header(tmp_path / "none.tif")


def test_bands_on_several_grids_are_brought_to_the_finest(tmp_path):
    two = Sensor(
        "two", "", (Band("a", wavelength=500, std=100), Band("b", wavelength=900, std=100)), 10.0, (Encoding("raw"),)
    )
    rows, columns = np.mgrid[0:24, 0:36] + 0.5
    fine = (rows + 2 * columns).astype(np.float32)
    coarse = fine.reshape(6, 4, 9, 4).mean((1, 3))
    coarse[0, 0] = np.nan
    files = {"a": write(tmp_path / "x_a.tif", fine[None]), "b": write(tmp_path / "x_b.tif", coarse[None], pixel=40.0)}
    image = read_observation(files, two, unit="raw")
    assert image.shape == (24, 36) and image.ground_sample_distance == 10.0
    assert np.array_equal(image.pixels[0], fine) and image.valid[0].all()
    # bilinear interpolation is exact on a plane, away from the border and from the masked pixel
    np.testing.assert_allclose(image.pixels[1, 8:-2, 8:-2], fine[8:-2, 8:-2], atol=1e-4)
    assert not image.valid[1, :3, :3].any() and image.valid[1, 8:].all()
    by_name = read_observation(list(files.values())[::-1], two, unit="raw")
    assert np.array_equal(by_name.pixels, image.pixels)
    part = read_observation(files, two, unit="raw", window=(9, 11, 7, 13))
    np.testing.assert_allclose(part.pixels, image.pixels[:, 9:16, 11:24], atol=1e-4)
    half = read_observation(files, two, unit="raw", resolution=20.0)
    assert half.shape == (12, 18) and half.ground_sample_distance == 20.0
    part = read_observation(files, two, unit="raw", resolution=20.0, window=(4, 4, 6, 8))
    np.testing.assert_allclose(part.pixels, half.pixels[:, 4:10, 4:12], atol=1e-4)
    elsewhere = write(tmp_path / "y_b.tif", coarse[None], pixel=40.0, origin=(500_000, 5_800_000))
    with pytest.raises(ValueError, match="must cover the same ground"):
        read_observation({"a": files["a"], "b": elsewhere}, two, unit="raw")


@pytest.mark.realdata
def test_enmap_is_told_by_wavelength_and_its_empty_bands_are_masked(data_dir):
    path = data_dir / "enmap_potsdam" / "images" / "enmap_potsdam_tile_128_0.tif"
    image = read_observation(path, get_sensor("enmap"), unit="dn")
    empty = np.flatnonzero(~image.valid.any(axis=(1, 2))) + 1
    assert empty.tolist() == [130, 131, 132, 133, 134, 135]
    assert image.valid.sum() == 218 * 32 * 32 and image.ground_sample_distance == pytest.approx(30)
    assert image.pixels[80].mean() > 2 * image.pixels[40].mean() > 0.1  # near infrared over red: plants


@pytest.mark.realdata
def test_bigearthnet_on_three_grids(data_dir):
    files = sorted((data_dir / "s1_s2_bigearthnet").glob("S2A_*/*.tif"))
    image = read_observation(files, L2A, unit="dn")
    assert image.pixels.shape == (12, 120, 120) and image.ground_sample_distance == 10
    assert image.sensor == L2A  # told by the endings of the file names, B8A after B12 in name order
    correlation = np.corrcoef(image.pixels.reshape(12, -1))
    assert correlation[L2A.index("nir"), L2A.index("nir08")] > 0.9


@pytest.mark.realdata
def test_oscd_names_its_bands_and_has_no_crs(data_dir):
    path = data_dir / "s2_oscd" / "bercy_1_S2L1C_13bands.tif"
    image = read_observation(path, get_sensor("sentinel2-l1c"), unit="dn")
    assert image.pixels.shape == (13, 395, 360) and "no CRS" in image.notes[0]


@pytest.mark.realdata
def test_neon_saturated_pixels_are_measurements(data_dir):
    paths = sorted((data_dir / "neon_trees" / "images").glob("SJER_0*.tif"))[:6]
    masked = [read_observation(path, RGB, unit="uint8", bands="sensor") for path in paths]
    honest = [read_observation(path, RGB, unit="uint8", bands="sensor", nodata=None) for path in paths]
    assert all(image.valid.all() for image in honest)
    holes = sum(int((~m.valid).sum()) for m in masked)
    assert holes == sum(int((h.pixels == 255).sum()) for h in honest) > 0
