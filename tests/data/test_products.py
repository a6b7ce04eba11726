"""Products of one file a band are read like any raster: bands, units, nodata, masks and place by their metadata."""

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from fabricated_products import (
    CORNER,
    backscatter,
    pack_tar,
    pack_zip,
    tm_factor,
    write_landsat,
    write_landsat_tm,
    write_sentinel1,
    write_sentinel2,
)
from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.core.sensors import get_sensor
from skyweave.data.inspection import inspect_raster
from skyweave.data.products.product import find_product
from skyweave.data.raster import open_image, read_observation
from skyweave.data.raster_files import list_dataset_files

L2A, L1C = get_sensor("sentinel2-l2a"), get_sensor("sentinel2-l1c")


@pytest.fixture(scope="module")
def surface(tmp_path_factory):
    """Return a Sentinel-2 product of level 2A, of a baseline with offsets."""
    clouds = np.full((60, 60), 4)
    clouds[40:, 40:] = 9
    return write_sentinel2(tmp_path_factory.mktemp("s2"), clouds=clouds)


def test_values_of_each_band_are_its_files(surface) -> None:
    image = read_observation(surface, L2A, unit="file")
    assert image.pixels.shape == (12, 120, 120)
    assert image.geometry is not None
    assert image.geometry.affine == (10, 0, CORNER[0], 0, -10, CORNER[1])
    assert image.time == 1717236631024000000
    for band, metres in (("B04", 10), ("B8A", 20), ("B01", 60)):
        (file,) = surface.rglob(f"*_{band}_{metres}m.jp2")
        with rasterio.open(file) as dataset:
            stored = dataset.read(1).astype(float)
        centre = image.pixels[L2A.index(band)].reshape(stored.shape[0], metres // 10, stored.shape[1], -1).mean((1, 3))
        inner = slice(stored.shape[0] // 4 + 2, -2)
        tolerance = 1e-6 if metres == 10 else 0.02  # bilinear: the mean of a block is near the pixel that it lies in
        assert np.abs(centre - (stored - 1000) / 10000)[inner, inner].max() < tolerance


def test_no_data_of_a_coarse_band_never_bleeds(surface) -> None:
    image = read_observation(surface, L2A, unit="file")
    assert not image.valid[:, :25, :25].any()
    assert image.valid[:, 31:, 31:].all()
    for number, pixels in enumerate(image.pixels):
        lowest = pixels[image.valid[number]].min()
        assert lowest >= 0.12, f"{L2A.bands[number].name}: {lowest} is a mixture with no data"


def test_windows_are_parts_of_the_whole(surface) -> None:
    image = open_image(surface, L2A, unit="file")
    whole = image.read()
    for window in ((0, 0, 31, 17), (13, 29, 50, 50), (61, 7, 59, 113), (25, 25, 5, 5)):
        part, expected = image.read(window), whole.window(*window)
        np.testing.assert_array_equal(part.pixels, expected.pixels)
        np.testing.assert_array_equal(part.valid, expected.valid)


def test_offsets_of_a_baseline_that_has_none(tmp_path) -> None:
    """Baselines before 04.00 have none: one reads as it is stored, and one that states them contradicts itself."""
    product = write_sentinel2(tmp_path, baseline="03.00")
    observation = read_observation(product, get_sensor("sentinel2-l2a"), unit="file")
    stored = read_observation(product, get_sensor("sentinel2-l2a"), unit="dn")
    np.testing.assert_array_equal(observation.pixels, stored.pixels)
    other = write_sentinel2(tmp_path / "other", baseline="03.00", offsets=True)
    with pytest.raises(DataError, match=r"of processing baseline 03\.00, and gives offsets to -1000"):
        read_observation(other, get_sensor("sentinel2-l2a"), unit="file")


@pytest.mark.parametrize(
    ("baseline", "unit", "other"), [("02.09", "dn", "dn_offset1000"), ("04.00", "dn_offset1000", "dn")]
)
@pytest.mark.parametrize("level", ["1C", "2A"])
def test_the_offset_is_that_of_the_processing_baseline(tmp_path, level, baseline, unit, other) -> None:
    product = write_sentinel2(tmp_path, level, baseline)
    sensor = L1C if level == "1C" else L2A
    assert open_image(product, sensor, unit="file").unit == unit
    with pytest.raises(DataError, match=f"declare unit {unit}"):
        open_image(product, sensor, unit=other)


def test_archives_and_metadata_are_the_folder(surface, tmp_path) -> None:
    expected = read_observation(surface, L2A, unit="file")
    product = tmp_path / surface.name
    shutil.copytree(surface, product)
    for path in (pack_zip(product), product / "MTD_MSIL2A.xml", tmp_path):
        image = read_observation(path, L2A, unit="file")
        np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert list_dataset_files(tmp_path / f"{product.stem}.zip") == [tmp_path / f"{product.stem}.zip"]
    assert len([file for file in list_dataset_files(product) if file.suffix == ".jp2"]) == 13


def test_clouds_are_no_data_where_that_is_declared(surface) -> None:
    clear = read_observation(surface, L2A, unit="file", nodata="clouds")
    assert not clear.valid[:, 80:, 80:].any()
    assert clear.valid[:, 40:80, 40:80].all()
    assert not clear.valid[:, :25, :25].any()
    assert read_observation(surface, L2A, unit="file").valid[:, 80:, 80:].all()


def test_clouds_need_a_product_that_classes_its_pixels(tmp_path) -> None:
    product = write_sentinel2(tmp_path, "1C")
    with pytest.raises(DataError, match="without a classification"):
        read_observation(product, L1C, unit="file", nodata="clouds")
    assert read_observation(product, L1C, unit="file", nodata="file").valid.any()  # the message's remedy
    (file,) = product.rglob("*_B02.jp2")
    with pytest.raises(DataError, match="no product"):
        read_observation(file, L1C, unit="dn_offset1000", bands=["B02"], nodata=["file", "clouds"])


def test_another_level_than_the_products_is_refused(surface) -> None:
    with pytest.raises(DataError, match="product of sentinel2-l2a"):
        open_image(surface, L1C, unit="dn", bands=["B02"])


def test_a_landsat_product_has_its_own_scales(tmp_path) -> None:
    quality = np.full((40, 40), 21824)
    quality[:, 30:] |= 1 << 3
    product = write_landsat(tmp_path, quality=quality)
    sensor = get_sensor("landsat8-l2")
    for path in (product, pack_tar(product), next(product.glob("*_MTL.txt"))):
        image = read_observation(path, sensor, unit="file", nodata="clouds")
        with rasterio.open(next(product.glob("*_SR_B4.TIF"))) as dataset:
            np.testing.assert_allclose(
                image.pixels[sensor.index("red")][:, :30], dataset.read(1)[:, :30] * 0.0000275 - 0.2, atol=1e-6
            )
        assert 290 < image.pixels[sensor.index("lwir11")][:, :30].mean() < 300
        np.testing.assert_array_equal(image.valid.all(0), np.arange(40)[None] < np.full((40, 1), 30))
    assert image.time == 1658225392123456000


def test_a_landsat_product_of_level_1_lies_on_the_panchromatic_grid(tmp_path) -> None:
    image = read_observation(write_landsat(tmp_path, "L1TP"), get_sensor("landsat8-l1"), unit="file")
    assert image.pixels.shape == (11, 80, 80)
    assert image.ground_sample_distance == 15


TM_SENSOR = """name: tm
ground_sample_distance: 30
unit: reflectance
encodings:
  reflectance: {{}}
{encodings}
bands:
{bands}
"""
TM_CENTRES = {"1": 485, "2": 560, "3": 660, "4": 830, "5": 1650, "7": 2215}


def tm_sensor(folder, prefix="SR_B", encodings=""):
    """Return the file of a sensor of TM's reflective bands, as docs/sensors.md has it."""
    bands = [
        f"  - {{name: tm{n}, wavelength: {centre}, width: 80, mean: 0.1, std: 0.06, aliases: [{prefix}{n}]}}"
        for n, centre in TM_CENTRES.items()
    ]
    path = folder / "tm.yaml"
    path.write_text(TM_SENSOR.format(encodings=f"  {encodings}", bands="\n".join(bands)))
    return path


@pytest.mark.parametrize(("instrument", "thermal"), [("TM", ["B6"]), ("ETM", ["B6_VCID_1", "B6_VCID_2"])])
def test_thermal_bands_of_tm_and_etm_have_a_radiance_only(tmp_path, instrument, thermal) -> None:
    product = write_landsat_tm(tmp_path, "L1TP", instrument)
    found = find_product(product)
    assert found is not None
    scales = {band.name: (band.scale, band.offset) for band in found.bands}
    assert {name: scales.pop(name) for name in thermal} == {name: (0.76583, -2.28583) for name in thermal}
    assert scales == {f"B{n}": (tm_factor(n), -0.003694) for n in "1234578" if n != "8" or instrument == "ETM"}


@pytest.mark.parametrize(("level", "prefix"), [("L2SP", "SR_B"), ("L1TP", "B")])
def test_landsat_5_is_read_with_a_sensor_of_ones_own(tmp_path, level, prefix) -> None:
    """A sensor without the factors of the scene is refused in words that name the ones to add."""
    product = write_landsat_tm(tmp_path, level)
    with pytest.raises(DataError, match="no unit of tm is what the file says") as refused:
        read_observation(product, get_sensor(str(tm_sensor(tmp_path, prefix))), unit="file")
    encoding = re.search(r"(stored: \{.*\}); if it is wrong", str(refused.value))
    assert encoding is not None
    sensor = get_sensor(str(tm_sensor(tmp_path, prefix, encoding[1])))
    for path in (product, pack_tar(product)):
        image = read_observation(path, sensor, unit="file", nodata="clouds")
        for number, band in enumerate(TM_CENTRES):
            scale, offset = (0.0000275, -0.2) if level == "L2SP" else (tm_factor(band), -0.003694)
            with rasterio.open(next(product.glob(f"*_{prefix}{band}.TIF"))) as dataset:
                expected = dataset.read(1)[:, :30] * scale + offset
            np.testing.assert_allclose(image.pixels[number][:, :30], expected, atol=1e-6)
        np.testing.assert_array_equal(image.valid.all(0), np.arange(40)[None] < np.full((40, 1), 30))
    assert image.time == 552475658549019000


def test_landsat_5_is_embedded(tmp_path) -> None:
    product = write_landsat_tm(tmp_path)
    sensor = tm_sensor(tmp_path, encodings="dn: {scale: 2.75e-05, offset: -0.2}")
    output = tmp_path / "features.tif"
    options = ["--sensor", str(sensor), "--unit", "file", "--nodata", "clouds"]
    assert main(["embed", str(product), "-o", str(output), *options]) == 0
    with rasterio.open(output) as features, rasterio.open(next(product.glob("*_SR_B1.TIF"))) as band:
        assert features.crs == band.crs
        assert (features.transform.c, features.transform.f) == (band.transform.c, band.transform.f)
        values = features.read()
    assert values.shape == (192, 5, 5)
    np.testing.assert_array_equal(np.isfinite(values).all(0), np.arange(5)[None] < np.full((5, 1), 4))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncate", "is damaged"),
        ("no offsets", "lacks its offsets"),
        ("no images", "none of the files"),
        ("no number", "no number as QUANTIFICATION_VALUE"),
        ("one band", "2 of the 12 bands"),
        ("two products", "holds 2 products"),
    ],
)
def test_damaged_products_are_refused_in_words(tmp_path, damage, message) -> None:
    product = write_sentinel2(tmp_path, offsets=damage != "no offsets")
    metadata = product / "MTD_MSIL2A.xml"
    given = product
    if damage == "truncate":
        metadata.write_text(metadata.read_text()[:900])
    if damage == "no number":
        metadata.write_text(metadata.read_text().replace("10000", "many"))
    for file in product.rglob("*.jp2"):
        if damage == "no images" or (damage == "one band" and ("_B8A_" in file.name or "_B12_" in file.name)):
            file.unlink()
    if damage == "two products":
        shutil.copytree(product, tmp_path / "other.SAFE")
        given = tmp_path
    with pytest.raises(DataError, match=message):
        open_image(given, L2A, unit="file")


def test_other_collections_and_broken_archives_are_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="collection 01"):
        open_image(write_landsat(tmp_path / "a", collection="01"), get_sensor("landsat8-l2"), unit="file")
    broken = tmp_path / "S2A.zip"
    broken.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match="GDAL cannot read it"):
        open_image(broken, L2A, unit="file")


def test_a_file_that_says_nothing_of_its_values_needs_a_unit(tmp_path) -> None:
    product = write_sentinel2(tmp_path, "1C")
    (file,) = product.rglob("*_B02.jp2")
    with pytest.raises(DataError, match="declare one of dn, dn_offset1000, reflectance"):
        open_image(file, L1C, unit="file", bands=["B02"])


def test_inspect_names_the_command_that_reads_it(surface, capsys) -> None:
    assert main(["inspect", str(surface), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["command"].endswith("--sensor sentinel2-l2a --unit dn_offset1000")
    assert [band["name"] for band in report["bands"]][7:9] == ["B08", "B8A"]
    assert inspect_raster(surface).driver == "product"
    assert not any("baseline" in hint for hint in report["hints"])


def test_view_shows_a_product(surface, tmp_path, capsys) -> None:
    assert main(["view", str(surface), "--png", str(tmp_path / "view.png")]) == 0
    assert "120 x 120" in capsys.readouterr().out


def test_radar_is_calibrated_and_lies_where_its_control_points_say(tmp_path) -> None:
    product = write_sentinel1(tmp_path)
    sensor = get_sensor("sentinel1-grd")
    for path in (product, pack_zip(product)):
        image = open_image(path, sensor, unit="file")
        assert image.unit == "power" and image.ground_sample_distance == 10
        seen = image.read()
        assert seen.geometry.crs == "EPSG:32632"
        a, _, c, _, e, f = seen.geometry.affine
        rows, columns = np.nonzero(seen.valid.all(0))
        longitude, latitude = map(
            np.array, transform(seen.geometry.crs, "EPSG:4326", c + a * (columns + 0.5), f + e * (rows + 0.5))
        )
        expected = 10 * np.log10(backscatter(longitude, latitude))
        values = seen.pixels[:, rows, columns]
        assert len(rows) > 25_000
        assert np.percentile(np.abs(values[0] - expected), 99) < 0.12
        assert np.percentile(np.abs(values[1] - expected - 10 * np.log10(0.2)), 99) < 0.15
    whole = image.read()
    part = image.read((31, 57, 60, 45))
    np.testing.assert_array_equal(part.pixels, whole.window(31, 57, 60, 45).pixels)


def test_radar_of_other_kinds_and_without_calibration_is_refused(tmp_path) -> None:
    sensor = get_sensor("sentinel1-grd")
    with pytest.raises(DataError, match="but SLC; download a GRD"):
        open_image(write_sentinel1(tmp_path / "a", "slc"), sensor, unit="file")
    product = write_sentinel1(tmp_path / "b")
    with pytest.raises(DataError, match="declare unit power"):
        open_image(product, sensor, unit="db")
    product = write_sentinel1(tmp_path / "c")
    next(product.rglob("calibration-*vv*.xml")).unlink()
    with pytest.raises(DataError, match=r"calibration-s1a-iw-grd-vv-.*is not there"):
        open_image(product / "manifest.safe", sensor, unit="file")


def test_a_folder_of_bands_is_answered_with_the_pattern_that_reads_it(tmp_path) -> None:
    product = write_sentinel2(tmp_path / "a", "1C", "02.09")
    folder = tmp_path / "S2A_MSIL2A_20170613T101031_87_48"
    folder.mkdir()
    for band in ("B02", "B03", "B04"):
        (file,) = product.rglob(f"*_{band}.jp2")
        shutil.copy(file, folder / f"{folder.name}_{band}.jp2")
    with pytest.raises(IsADirectoryError, match=r"give '.*_87_48_\{band\}\.jp2'"):
        read_observation(folder, L2A, unit="dn")
    pattern = folder / f"{folder.name}_{{band}}.jp2"
    assert read_observation(pattern, L2A, unit="dn", bands=["B02", "B03", "B04"]).pixels.shape == (3, 120, 120)


def test_threads_and_forked_processes_read_the_same(surface) -> None:
    image = open_image(surface, L2A, unit="file", nodata="clouds")
    whole = image.read()
    windows = [(row, column, 30, 40) for row in range(0, 90, 30) for column in range(0, 80, 40)]
    with ThreadPoolExecutor(4) as pool:
        for window, part in zip(windows, pool.map(image.read, windows), strict=True):
            np.testing.assert_array_equal(part.pixels, whole.window(*window).pixels)
    child = os.fork()
    if child == 0:
        os._exit(int(not np.array_equal(image.read((20, 20, 50, 50)).pixels, whole.window(20, 20, 50, 50).pixels)))
    np.testing.assert_array_equal(image.read((50, 50, 50, 50)).pixels, whole.window(50, 50, 50, 50).pixels)
    assert os.waitpid(child, 0)[1] == 0
