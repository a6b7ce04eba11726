"""What a file says of itself against what is declared: read by what it says, or refused with both sides named."""

import contextlib
import shutil
import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, Encoding, Sensor, get_sensor
from skyweave.data.dataset import load_dataset
from skyweave.data.hints import command_that_works, find_hints
from skyweave.data.inspection import inspect_raster
from skyweave.data.raster import open_image, read_observation
from skyweave.data.raster_files import list_dataset_files
from skyweave.data.sensor_matching import match_sensors
from skyweave.viewing.raster import render_raster

RGB, NAIP, L2A = get_sensor("rgb"), get_sensor("naip"), get_sensor("sentinel2-l2a")
FOUR = ["B02", "B03", "B04", "B08"]
ENVI = "ENVI\nheader offset = 0\ndata type = 2\ninterleave = bsq\nbyte order = 0\n"
PLACE = {"crs": "EPSG:32633", "transform": Affine(10, 0, 4e5, 0, -10, 5e6)}


def write(path, values, names=None, scale=None, **profile):
    values = np.asarray(values)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype,
        **(PLACE | profile),
    ) as dataset:  # fmt: skip
        dataset.write(values)
        if names:
            dataset.descriptions = names
        if scale:
            dataset.scales, dataset.offsets = (scale[0],) * len(values), (scale[1],) * len(values)
    return path


@pytest.fixture
def stored():
    return np.random.default_rng(0).normal(2500, 300, (4, 40, 48)).clip(1100).astype(np.uint16)


@pytest.fixture
def colours():
    return np.random.default_rng(1).integers(20, 230, (3, 64, 80)).astype(np.uint8)


def hints_of(path, sensor):
    report = inspect_raster(path)
    matches = match_sensors(report, [sensor])
    return report, matches, find_hints(report, matches)


def test_scale_tags_decide_between_units(tmp_path, stored):
    path = write(tmp_path / "a.tif", stored, FOUR, (1e-4, -0.1))
    with pytest.raises(DataError, match=r"0\.0001 \* stored -0\.1.*unit 'dn'.*declare unit dn_offset1000"):
        read_observation(path, L2A, unit="dn", bands=FOUR)
    image = read_observation(path, L2A, unit="dn_offset1000", bands=FOUR)
    np.testing.assert_allclose(image.pixels, stored * 1e-4 - 0.1, atol=1e-6)
    shifted = read_observation(path, L2A, unit="dn", bands=FOUR, offset=-1000)
    np.testing.assert_allclose(shifted.pixels, image.pixels, atol=1e-6)
    ignored = read_observation(path, L2A, unit="dn", bands=FOUR, ignore_scale_tags=True)
    np.testing.assert_allclose(ignored.pixels, stored * 1e-4, atol=1e-6)
    _, matches, hints = hints_of(path, L2A)
    assert matches[0].units == ("dn_offset1000",) and any("declare unit dn_offset1000" in hint for hint in hints)


def test_scale_tags_that_no_unit_has(tmp_path, stored):
    path = write(tmp_path / "a.tif", stored, FOUR, (2e-5, 0.0))
    with pytest.raises(DataError, match=r"no unit of sentinel2-l2a does that"):
        read_observation(path, L2A, unit="dn", bands=FOUR)
    assert any("no unit of sentinel2-l2a does this" in hint for hint in hints_of(path, L2A)[2])


def test_scale_tags_may_lead_to_another_unit_of_the_sensor(tmp_path):
    values = np.random.default_rng(0).integers(28000, 31000, (1, 40, 40)).astype(np.uint16)
    thermal = get_sensor("thermal")
    path = write(tmp_path / "a.tif", values, ["lwir"], (0.01, -273.15))  # celsius, as the tags say
    kelvin = read_observation(path, thermal, unit="dn_centikelvin").pixels
    np.testing.assert_allclose(kelvin, values * 0.01, rtol=1e-5)
    with pytest.raises(DataError, match="declare unit dn_centikelvin"):
        read_observation(path, thermal, unit="kelvin")


def test_an_envi_header_states_scale_width_and_names(tmp_path):
    np.random.default_rng(0).integers(500, 4000, (2, 40, 40)).astype(np.int16).tofile(tmp_path / "a.dat")
    (tmp_path / "a.hdr").write_text(
        f"{ENVI}samples = 40\nlines = 40\nbands = 2\n"
        "wavelength units = Micrometers\nwavelength = {0.4924, 0.6646}\nfwhm = {0.066, 0.031}\n"
        "band names = {blue, red}\nreflectance scale factor = 10000\n"
    )
    report = inspect_raster(tmp_path / "a.dat")
    assert report.wavelengths == pytest.approx([492.4, 664.6]) and report.bands[0].width == pytest.approx(66)
    image = read_observation(tmp_path / "a.dat", L2A, unit="dn", bands=["B02", "B04"])
    assert image.pixels.mean() == pytest.approx(0.225, abs=0.02)
    with pytest.raises(DataError, match="declare unit dn"):
        read_observation(tmp_path / "a.dat", L2A, unit="dn_offset1000", bands=["B02", "B04"])


@pytest.mark.parametrize(
    "tags",
    [
        {"ns": "IMAGERY", "CENTRAL_WAVELENGTH_UM": "{um}", "FWHM_UM": "0.04"},
        {"wavelength": "{um}", "wavelength_units": "Micrometers"},
        {"wavelength": "{nm}", "wavelength_units": "Nanometers"},
        {"WAVELENGTH": "{nm}", "WAVELENGTH_UNIT": "nm", "BANDWIDTH": "40", "BANDWIDTH_UNIT": "nm"},
        {"wavelength": "{um}"},
        {"wavelength": "{um}", "wavelength_units": "nm"},
        {"wavelength": "{nm}", "wavelength_units": "um"},
    ],
)
def test_wavelengths_wherever_they_stand(tmp_path, stored, tags):
    path = write(tmp_path / "a.tif", stored[:3])
    centres = (664.6, 492.4, 559.8)
    with rasterio.open(path, "r+") as dataset:
        for band, nm in enumerate(centres, 1):
            texts = {key: text.format(nm=nm, um=nm / 1000) for key, text in tags.items()}
            dataset.update_tags(band, **texts)
    assert inspect_raster(path).wavelengths == pytest.approx(centres)
    image = read_observation(path, L2A.select(["blue", "green", "red"]), unit="dn")
    np.testing.assert_allclose(image.pixels, stored[[1, 2, 0]] * 1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["B4 (665 nm)", "B4, central wavelength 665 nm", "red (0.665 um)", "b04", "RED"])
def test_names_with_a_wavelength_behind_them(tmp_path, stored, name):
    path = write(tmp_path / "a.tif", stored[:1], [name])
    assert [band.name for band in read_observation(path, L2A, unit="dn", bands=["red"]).sensor.bands] == ["red"]


@pytest.mark.parametrize("value", [-9999, -32768, 65535, -28672, 1e20])
def test_undeclared_nodata_is_refused_with_a_remedy_that_works(tmp_path, value):
    dtype = {65535: "uint16", 1e20: "float32"}.get(value, "int16")
    values = np.random.default_rng(0).integers(500, 4000, (4, 128, 160)).astype(dtype)
    values[:, 90:, 110:] = value
    path = write(tmp_path / "a.tif", values, FOUR)
    for window in (None, (96, 120, 8, 8), (64, 64, 60, 60)):
        with pytest.raises(DataError, match=r"(1900 of 20480 pixels.*hold .*nodata)") as error:
            image = open_image(path, L2A, unit="dn", bands=FOUR)
            image.read(window)
    remedy = float(str(error.value).split("--nodata=")[1].split()[0])
    with pytest.raises(DataError, match="1900 of 20480 pixels"):
        open_image(path, L2A, unit="dn", bands=FOUR).check_sample()
    masked = read_observation(path, L2A, unit="dn", bands=FOUR, nodata=remedy)
    assert (~masked.valid).sum() == 4 * 1900 and masked.pixels.min() >= 0
    assert any("1900 of 20480" in hint and "--nodata" in hint for hint in hints_of(path, L2A)[2])
    notes = []
    blank = render_raster(path, notes)[90:, 110:]
    assert len(np.unique(blank)) == 1 and "not shown" in notes[0]


def test_the_remedy_keeps_what_the_file_declares(tmp_path, stored):
    stored[:, :5] = 0
    stored[:, 30:] = 65535
    path = write(tmp_path / "a.tif", stored, FOUR, nodata=0)
    with pytest.raises(DataError, match=r"--nodata=file,65535 .*nodata: \[file, 65535\]"):
        read_observation(path, L2A, unit="dn", bands=FOUR)
    image = read_observation(path, L2A, unit="dn", bands=FOUR, nodata=["file", 65535])
    assert np.array_equal(image.valid, (stored != 0) & (stored != 65535))


def test_a_wrong_unit_is_not_taken_for_nodata(tmp_path, stored):
    path = write(tmp_path / "a.tif", stored, FOUR)
    with pytest.raises(DataError, match=r"unit 'reflectance'.*declare the unit"):
        read_observation(path, L2A, unit="reflectance", bands=FOUR)


def test_what_may_be_a_measurement_is_only_noted(tmp_path, stored):
    values = stored.astype(np.int16)
    values[:, :10] = -999  # -0.0999 as reflectance: possible, and unlikely
    path = write(tmp_path / "a.tif", values, FOUR)
    assert read_observation(path, L2A, unit="dn", bands=FOUR).valid.all()
    assert any("hold" in note and "--nodata=-999" in note for note in _sample_notes(path))
    stored[:, :10] = 0
    assert any("0 in every band" in note for note in _sample_notes(write(tmp_path / "b.tif", stored, FOUR)))


def _sample_notes(path):
    return open_image(path, L2A, unit="dn", bands=FOUR).check_sample()


def test_an_offset_that_the_file_lacks(tmp_path):
    dark = np.random.default_rng(0).integers(100, 1500, (6, 64, 64)).astype(np.uint16)
    names = ["B02", "B03", "B04", "B08", "B11", "B12"]
    path = write(tmp_path / "a.tif", dark, names)
    with pytest.raises(DataError, match=r"below -0\.05.*declare the unit it is stored in: dn"):
        read_observation(path, L2A, unit="dn_offset1000", bands=names)
    bright = write(tmp_path / "b.tif", dark + 1000, names)
    notes = open_image(bright, L2A, unit="dn", bands=names).check_sample()
    assert any("'dn_offset1000'" in note for note in notes)
    assert open_image(bright, L2A, unit="dn_offset1000", bands=names).check_sample() == ()


def test_an_orthophoto_of_red_green_blue_and_alpha(tmp_path, colours):
    alpha = np.full((1, 64, 80), 255, np.uint8)
    alpha[:, :, :20], colours[:, :, :20] = 0, 0
    path = write(tmp_path / "a.tif", np.concatenate([colours, alpha]), photometric="RGB", alpha="YES")
    declarations = (None, "sensor", ["red", "green", "blue"], ["red", "green", "blue", None], ["blue", "green", "red"])
    for bands in declarations:
        image = read_observation(path, RGB, unit="uint8", bands=bands)
        expected = colours[::-1] if bands == ["blue", "green", "red"] else colours
        assert np.array_equal(image.pixels, expected)
        assert not image.valid[:, :, :20].any() and image.valid[:, :, 20:].all()
    with pytest.raises(DataError, match=r"band 4 is declared as 'nir', but the file says that it is transparency"):
        read_observation(path, NAIP, unit="uint8", bands="sensor")
    report, matches, _ = hints_of(path, RGB)
    assert matches[0].verdict == "all" and report.bands[0].nodata_share == 0.25
    assert command_that_works(report, matches, {}).endswith("--sensor rgb --unit uint8")


def test_a_mask_and_a_nodata_value_both_count(tmp_path, colours):
    colours[:, 5, 5] = 7
    path = write(tmp_path / "a.tif", colours, nodata=7)
    mask = np.ones((64, 80), bool)
    mask[:10] = False
    with rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert not image.valid[:, :10].any() and np.array_equal(image.valid[:, 10:], (colours != 7)[:, 10:])


def points(where, rows=(0, 32, 64), columns=(0, 40, 80)):
    return [GroundControlPoint(r, c, *where(r, c)) for r in rows for c in columns]


def write_by_points(path, colours, located, crs="EPSG:32633"):
    with without_place(path) as dataset:
        dataset.write(colours)
        dataset.gcps = (located, CRS.from_user_input(crs))
    return path


@contextlib.contextmanager
def without_place(path):
    """Open a file to write without a transform, which rasterio warns about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=64, width=80, count=3, dtype="uint8") as dataset:
            yield dataset


def test_control_points_on_a_plain_grid_are_its_transform(tmp_path, colours):
    turned = write_by_points(
        tmp_path / "a.tif", colours, points(lambda r, c: (4e5 + 0.4 * c + 0.3 * r, 5e6 + 0.3 * c - 0.4 * r))
    )
    image = read_observation(turned, RGB, unit="uint8", bands="sensor")
    assert np.array_equal(image.pixels, colours) and image.ground_sample_distance == pytest.approx(0.5)
    assert image.geometry.affine == pytest.approx((0.4, 0.3, 4e5, 0.3, -0.4, 5e6), abs=1e-6)
    report = inspect_raster(turned)
    assert report.crs == "EPSG:32633" and report.located_by == "9 ground control points"


def test_control_points_on_no_plain_grid_are_warped(tmp_path, colours):
    colours[:, 30:34, 38:42] = 250

    def where(r, c):
        return 4e5 + 0.5 * c + 0.001 * c * c, 5e6 - 0.5 * r - 0.001 * r * c

    path = write_by_points(tmp_path / "a.tif", colours, points(where, range(0, 65, 16), range(0, 81, 16)))
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    a, _, x, _, e, y = image.geometry.affine
    rows, columns = np.nonzero((image.pixels == 250).all(0))
    at = x + a * (columns.mean() + 0.5), y + e * (rows.mean() + 0.5)
    assert at == pytest.approx(where(32, 40), abs=0.5)
    assert not image.valid.all() and set(np.unique(image.pixels[image.valid])) <= set(np.unique(colours))
    with pytest.raises(DataError, match=r"gdalwarp -tps -t_srs EPSG:32633"):
        random = np.random.default_rng(0).normal(0, 20, (30, 2))
        wild = points(where, range(0, 65, 16), range(0, 81, 16))
        for point, (dx, dy) in zip(wild, random, strict=True):
            point.x, point.y = point.x + dx, point.y + dy
        read_observation(write_by_points(tmp_path / "b.tif", colours, wild), RGB, unit="uint8", bands="sensor")


def test_rational_polynomials_are_refused_with_the_command_or_read_without_a_place(tmp_path, colours):
    path = tmp_path / "a.tif"
    with without_place(path) as dataset:
        dataset.write(colours)
        dataset.rpcs = RPC(
            height_off=100.0, height_scale=500.0, lat_off=46.5, lat_scale=0.05, long_off=7.5, long_scale=0.05,
            line_off=32, line_scale=32, samp_off=40, samp_scale=40, err_bias=None, err_rand=None,
            line_num_coeff=[0, 0, -1.0] + [0] * 17, line_den_coeff=[1.0] + [0] * 19,
            samp_num_coeff=[0, 1.0] + [0] * 18, samp_den_coeff=[1.0] + [0] * 19,
        )  # fmt: skip
    with pytest.raises(DataError, match=r"gdalwarp -rpc -to RPC_DEM=DEM\.tif -t_srs EPSG:32632.*--gsd METRES"):
        read_observation(path, RGB, unit="uint8", bands="sensor")
    image = read_observation(path, RGB, unit="uint8", bands="sensor", ground_sample_distance=0.5)
    assert image.geometry is None and "without a place" in image.notes[0]
    assert "gdalwarp -rpc" in hints_of(path, RGB)[2][0]


@pytest.mark.parametrize(("unit", "metres"), [('"metre",1', 0.5), ('"foot",0.3048', 0.1524)])
def test_a_local_system_keeps_its_pixel_size(tmp_path, colours, unit, metres):
    crs = CRS.from_wkt(f'LOCAL_CS["site",UNIT[{unit}]]')
    path = write(tmp_path / "a.tif", colours, crs=crs, transform=Affine(0.5, 0, 100, 0, -0.5, 200))
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert image.ground_sample_distance == pytest.approx(metres) and image.notes == ()
    assert image.geometry.affine == (0.5, 0, 100, 0, -0.5, 200)
    assert inspect_raster(path).crs_name.startswith("local system 'site'")


def test_a_compound_system_and_a_crs_without_a_transform(tmp_path, colours):
    tall = write(tmp_path / "a.tif", colours, crs="EPSG:32633+5773")
    assert read_observation(tall, RGB, unit="uint8", bands="sensor").ground_sample_distance == pytest.approx(10)
    nowhere = tmp_path / "b.tif"
    with without_place(nowhere) as dataset:
        dataset.write(colours)
        dataset.crs = CRS.from_epsg(32633)
    image = read_observation(nowhere, RGB, unit="uint8", bands="sensor")
    assert image.geometry is None and "nominal" in image.notes[0]  # not pixels of one metre at the equator


def test_a_sheared_grid_is_refused(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, transform=Affine(10, 5, 4e5, 0, -10, 5e6))
    with pytest.raises(DataError, match=r"a\.tif.*sheared"):
        read_observation(path, RGB, unit="uint8", bands="sensor")


def test_containers_and_subdatasets(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    stored = np.random.default_rng(0).normal(2000, 200, (3, 64, 64)).astype(np.uint16)
    with h5py.File("two.h5", "w") as file:
        file["a/cube"], file["a/mask"] = stored, np.zeros((64, 64), np.uint8)
    readers = (
        inspect_raster, render_raster, lambda path: read_observation(path, L2A, unit="dn", bands=["B02", "B03", "B04"])
    )  # fmt: skip
    for read in readers:
        with pytest.raises(DataError, match=r"no bands of its own.*HDF5:two\.h5://a/cube"):
            read("two.h5")
        read("HDF5:two.h5://a/cube")
    image = readers[2]("HDF5:two.h5://a/cube")
    np.testing.assert_allclose(image.pixels, stored * 1e-4, atol=1e-6)
    assert [file.name for file in list_dataset_files("HDF5:two.h5://a/cube")] == ["two.h5"]


def test_one_file_a_band_by_a_pattern(tmp_path, stored):
    for name, values in zip(("B02", "B03", "B8A"), stored, strict=False):
        coarse = name == "B8A"
        side = 20 if coarse else 10
        write(
            tmp_path / f"S2_{name}_{side}m.tif", values[None, ::2, ::2] if coarse else values[None],
            transform=Affine(side, 0, 4e5, 0, -side, 5e6),
        )  # fmt: skip
    pattern = str(tmp_path / "S2_{band}_*m.tif")
    image = read_observation(pattern, L2A, unit="dn")
    assert [band.name for band in image.sensor.bands] == ["blue", "green", "nir08"] and image.shape == (40, 48)
    np.testing.assert_allclose(image.pixels[1], stored[1] * 1e-4, atol=1e-6)
    assert len(read_observation(pattern, L2A, unit="dn", bands=["B8A", "B02"]).sensor) == 2
    report, matches, _ = hints_of(pattern, L2A)
    assert report.names == ["B02", "B03", "B8A"] and matches[0].verdict == "subset"
    assert render_raster(pattern).shape == (40, 48, 3)
    with pytest.raises(FileNotFoundError, match="no file for band 'B04'"):
        read_observation(pattern, L2A, unit="dn", bands=["B02", "B04"])
    shutil.copy(tmp_path / "S2_B02_10m.tif", tmp_path / "S2_B02_60m.tif")
    with pytest.raises(DataError, match="band 'B02' has 2 files"):
        read_observation(pattern, L2A, unit="dn")


def test_files_whose_grids_are_shifted_are_laid_over_each_other(tmp_path):
    sensor = Sensor("two", "", (Band("a", wavelength=500), Band("b", wavelength=900)), 10.0, (Encoding("raw"),))
    rows, columns = np.mgrid[0:24, 0:36] + 0.5
    fine = (rows + 2 * columns).astype(np.float32)
    coarse_rows, coarse_columns = np.mgrid[0:12, 0:18] * 2 + 1.0
    shifted = (coarse_rows + 0.5 + 2 * (coarse_columns - 0.5)).astype(np.float32)  # half a fine pixel south and west
    files = {
        "a": write(tmp_path / "a.tif", fine[None]),
        "b": write(tmp_path / "b.tif", shifted[None], transform=Affine(20, 0, 4e5 - 5, 0, -20, 5e6 - 5)),
    }
    image = read_observation(files, sensor, unit="raw")
    np.testing.assert_allclose(image.pixels[1, 2:-2, 2:-2], fine[2:-2, 2:-2], atol=1e-3)
    mirrored = write(tmp_path / "c.tif", shifted[None], transform=Affine(20, 0, 4e5, 0, 20, 5e6 - 240))
    with pytest.raises(DataError, match="must cover the same ground"):
        read_observation({"a": files["a"], "b": mirrored}, sensor, unit="raw")


def test_the_cache_knows_headers_and_sources(tmp_path):
    values = np.random.default_rng(0).normal(2000, 200, (3, 64, 64)).astype(np.int16)
    values[:, :20] = -999
    values.tofile(tmp_path / "cube.dat")
    header = (
        f"{ENVI}samples = 64\nlines = 64\nbands = 3\n"
        "map info = {UTM, 1, 1, 400000, 5000000, 10, 10, 33, North, WGS-84, units=Meters}\n"
    )
    (tmp_path / "cube.hdr").write_text(header + "data ignore value = -999\n")
    write(tmp_path / "source.tif", np.full((3, 64, 64), 2000, np.int16))
    for name, source in (("inner", "source.tif"), ("outer", "inner.vrt")):
        bands = "".join(
            f'<VRTRasterBand dataType="Int16" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">{source}'
            f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        (tmp_path / f"{name}.vrt").write_text(
            f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS>'
            f"<GeoTransform>400000,10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
        )
    assert {file.name for file in list_dataset_files(tmp_path / "outer.vrt")} == {
        "outer.vrt",
        "inner.vrt",
        "source.tif",
    }

    def image(file):
        (tmp_path / "d.yaml").write_text(
            f"sources:\n  - {{name: x, sensor: sentinel2-l2a, files: {file}, bands: [B02, B03, B04], unit: dn}}\n"
        )
        return load_dataset(tmp_path / "d.yaml", root=tmp_path, cache=tmp_path / "cache").observation(0)

    assert image("cube.dat").valid.mean() == pytest.approx(0.6875)
    (tmp_path / "cube.hdr").write_text(header.replace("400000", "500000"))
    assert image("cube.dat").valid.all() and image("cube.dat").geometry.affine[2] == 500_000
    assert image("outer.vrt").pixels.mean() == pytest.approx(0.2)
    write(tmp_path / "source.tif", np.full((3, 64, 64), 4000, np.int16))
    assert image("outer.vrt").pixels.mean() == pytest.approx(0.4)
