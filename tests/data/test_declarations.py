"""What a file says of its values against what is declared: read by what it says, or refused with both sides named."""

import numpy as np
import pytest
import rasterio

from fabricated_rasters import colour_bands, hints_of, sixteen_bit_bands
from fabricated_rasters import write_raster as write
from skyweave.core.errors import DataError
from skyweave.core.sensors import Encoding, Sensor, get_sensor
from skyweave.data.hints import command_that_works
from skyweave.data.inspection import inspect_raster
from skyweave.data.raster import open_image, read_observation
from skyweave.viewing.raster import render_raster

RGB, NAIP, L2A = get_sensor("rgb"), get_sensor("naip"), get_sensor("sentinel2-l2a")
FOUR = ["B02", "B03", "B04", "B08"]
ENVI = "ENVI\nheader offset = 0\ndata type = 2\ninterleave = bsq\nbyte order = 0\n"


@pytest.fixture
def stored():
    return sixteen_bit_bands()


@pytest.fixture
def colours():
    return colour_bands()


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


def test_a_unit_that_the_file_names(tmp_path):
    celsius = np.random.default_rng(0).normal(15, 3, (1, 40, 40)).astype(np.float32)
    path = write(tmp_path / "a.tif", celsius, ["lwir"])
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("degC",)
    thermal = get_sensor("thermal")
    assert read_observation(path, thermal, unit="celsius").pixels.mean() == pytest.approx(288.15, abs=0.5)
    with pytest.raises(DataError, match=r"is in 'degC'; you declared unit 'kelvin'.*declare unit celsius"):
        read_observation(path, thermal, unit="kelvin")
    power = write(tmp_path / "b.tif", np.full((2, 40, 40), -12.5, np.float32), ["VV", "VH"])
    with rasterio.open(power, "r+") as dataset:
        dataset.units = ("dB", "dB")
    with pytest.raises(DataError, match=r"is in 'dB'; you declared unit 'power'.*declare unit db"):
        read_observation(power, get_sensor("sentinel1-rtc"), unit="power")


def test_an_own_nodata_value_that_leaves_out_the_files(tmp_path, stored):
    values = stored.astype(np.int16)
    values[:, :5] = -9999
    path = write(tmp_path / "a.tif", values, FOUR, nodata=-9999)
    with pytest.raises(
        DataError, match=r"the file declares it as nodata, but you declared otherwise.*--nodata=0,-9999"
    ):
        read_observation(path, L2A, unit="dn", bands=FOUR, nodata=0)
    assert read_observation(path, L2A, unit="dn", bands=FOUR, nodata=[0, -9999]).valid.mean() == 0.875


def test_an_image_too_large_to_read_at_once(tmp_path, stored):
    write(tmp_path / "source.tif", stored[:1])
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="2000000" rasterYSize="2000000"><SRS>EPSG:32633</SRS>'
        "<GeoTransform>0,1,0,0,0,-1</GeoTransform>"
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename relativeToVRT="1">source.tif'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    image = open_image(tmp_path / "a.vrt", L2A, unit="dn", bands=["B02"])
    assert image.read((0, 0, 40, 48)).shape == (40, 48)
    with pytest.raises(DataError, match="too many to read at once"):
        image.read()


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


def test_numbers_of_colours_are_no_measurements(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours[:1], photometric="PALETTE")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
    with pytest.raises(DataError, match=r"palette.*gdal_translate -expand rgb"):
        read_observation(path, RGB, unit="uint8", bands=["red"])


def test_numbers_between_a_fill_value_and_measurements_are_masked(tmp_path):
    values = np.random.default_rng(0).normal(0.2, 0.03, (4, 40, 48)).astype(np.float32)
    values[:, :10] = -9999
    values[:, 10] = np.random.default_rng(1).normal(-3000, 1000, (4, 48))  # interpolated
    path = write(tmp_path / "a.tif", values, FOUR, nodata=-9999)
    image = read_observation(path, L2A, unit="reflectance", bands=FOUR)
    assert not image.valid[:, :11].any() and image.valid[:, 11:].all()
    notes = open_image(path, L2A, unit="reflectance", bands=FOUR).check_sample()
    assert any("can be no measurements" in note for note in notes)


def test_a_border_of_zeros_under_an_offset_is_named(tmp_path, stored):
    stored[:, :10] = 0
    path = write(tmp_path / "a.tif", stored, FOUR)
    with pytest.raises(DataError, match=r"hold 0, which would be -0\.1.*--nodata=0"):
        read_observation(path, L2A, unit="dn_offset1000", bands=FOUR)
    assert read_observation(path, L2A, unit="dn_offset1000", bands=FOUR, nodata=0).valid.mean() == 0.75


def test_bands_that_contradict_each_other_or_say_little(tmp_path, stored):
    twice = write(tmp_path / "a.tif", stored[:3], ["B02", "B02", "B04"])
    with pytest.raises(DataError, match=r"more than one file band is called 'blue'"):
        read_observation(twice, L2A.select(["blue", "red"]), unit="dn")
    generic = write(tmp_path / "b.tif", stored[:3], ["Band 1", "Band 2", "Band 3"])
    with pytest.raises(DataError, match="cannot tell which"):
        read_observation(generic, L2A, unit="dn")
    modis = write(tmp_path / "c.tif", stored[:3], ["sur_refl_b01", "sur_refl_b02", "sur_refl_b03"])
    with pytest.raises(DataError, match="cannot tell which"):  # band 1 of MODIS is red, of Sentinel-2 coastal
        read_observation(modis, L2A, unit="dn")


@pytest.mark.parametrize("on_bands", [True, False])
def test_scale_and_fill_value_as_plain_tags(tmp_path, stored, on_bands):
    """What netCDF calls them, as HLS and xarray write them into GeoTIFFs."""
    values = stored.astype(np.int16)
    values[:, :5] = -9999
    path = write(tmp_path / "a.tif", values, FOUR)
    with rasterio.open(path, "r+") as dataset:
        for where in dataset.indexes if on_bands else (0,):
            dataset.update_tags(where, scale_factor="0.0001", add_offset="-0.1", _FillValue="-9999")
    with pytest.raises(DataError, match=r"0\.0001 \* stored -0\.1.*declare unit dn_offset1000"):
        read_observation(path, L2A, unit="dn", bands=FOUR)
    image = read_observation(path, L2A, unit="dn_offset1000", bands=FOUR)
    assert not image.valid[:, :5].any() and image.valid[:, 5:].all()
    report = hints_of(path, L2A)[0]
    assert report.bands[0].nodata == -9999 and report.bands[0].minimum == values[0, 5:].min()


@pytest.mark.parametrize("where", ["tags", "descriptions"])
def test_declared_bands_that_the_wavelengths_contradict(tmp_path, stored, where):
    path = write(tmp_path / "a.tif", stored)
    centres = (664.6, 559.8, 492.4, 842.0)  # red first, and "blue first" is declared
    with rasterio.open(path, "r+") as dataset:
        if where == "descriptions":
            dataset.descriptions = [f"{centre:g} nm" for centre in centres]
        else:
            for band, centre in enumerate(centres, 1):
                dataset.update_tags(band, wavelength=str(centre), wavelength_units="nm")
    with pytest.raises(DataError, match=r"band 1 is declared as 'blue' \(492\.4 nm\).*its wavelength is 664\.6 nm"):
        read_observation(path, L2A, unit="dn", bands=FOUR)
    image = read_observation(path, L2A, unit="dn", bands=["B04", "B03", "B02", "B08"])
    np.testing.assert_allclose(image.pixels, stored[[2, 1, 0, 3]] * 1e-4, atol=1e-6)


def test_eight_bits_that_a_unit_cannot_mean(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, FOUR[:3])
    with pytest.raises(DataError, match=r"8 bits.*at most 0\.0255.*picture"):
        read_observation(path, L2A, unit="dn", bands=FOUR[:3])
    own = Sensor("own", "own", L2A.bands[1:4], 10.0, (Encoding("dn", 1 / 255),))
    assert read_observation(path, own, unit="dn").pixels.max() == pytest.approx(colours.max() / 255)
    assert hints_of(path, own)[1][0].units == ("dn",) and hints_of(path, L2A)[1][0].verdict == "no"


def test_a_white_border_is_noted_and_white_roofs_are_not(tmp_path, colours):
    roofs, border = colours.copy(), colours.copy()
    roofs[:, 20:40, 20:40] = 255
    border[:, :, :8] = 255
    paths = [write(tmp_path / f"{number}.tif", values) for number, values in enumerate((roofs, border))]
    notes = [open_image(path, RGB, unit="uint8").check_sample() for path in paths]
    assert notes[0] == () and "10% of the pixels are 255 in every band" in notes[1][0]
    assert read_observation(paths[1], RGB, unit="uint8", nodata=255).valid.mean() == pytest.approx(0.9, abs=0.01)


def _sample_notes(path):
    return open_image(path, L2A, unit="dn", bands=FOUR).check_sample()


@pytest.mark.parametrize(("unit", "celsius"), [("kelvin", 20), ("celsius", 293)])
def test_temperatures_in_another_unit_are_refused(tmp_path, unit, celsius):
    thermal = get_sensor("thermal")
    path = write(tmp_path / "a.tif", np.full((1, 40, 48), celsius, np.float32), ["lwir"])
    with pytest.raises(DataError, match=f"unit '{unit}'.*ground and clouds have 150 to 450; declare the unit"):
        read_observation(path, thermal, unit=unit)
    other = {"kelvin": "celsius", "celsius": "kelvin"}[unit]
    assert read_observation(path, thermal, unit=other).pixels.mean() == pytest.approx(293, abs=0.2)


def test_a_unit_that_the_sensor_does_not_have(tmp_path, stored):
    path = write(tmp_path / "a.tif", stored, FOUR)
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("W/m2/sr/um",) * 4
    bands = ["blue", "green", "red", "nir"]
    with pytest.raises(DataError, match=r"is in 'W/m2/sr/um' \(radiance\), and no unit of sentinel2-l2a is that"):
        read_observation(path, L2A, unit="dn", bands=bands)
    assert read_observation(path, L2A, unit="dn", bands=bands, ignore_scale_tags=True).pixels.shape[0] == 4


def test_the_scale_of_an_older_collection(tmp_path):
    stored = np.linspace(200, 4000, 40 * 48).reshape(1, 40, 48).astype(np.int16)
    path = write(tmp_path / "a.tif", stored, ["SR_B4"])
    with pytest.raises(DataError, match=r"reflectances below -0\.05.*if it is of an older collection, write its scale"):
        read_observation(path, get_sensor("landsat8-l2"), unit="dn", bands=["red"])


def test_a_pixel_size_that_is_not_the_files_is_noted(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours)
    observation = read_observation(path, RGB, unit="uint8", bands="sensor", ground_sample_distance=0.5)
    assert "its pixels measure 10 m; you declared 0.5 m, which is used" in observation.notes[0]
