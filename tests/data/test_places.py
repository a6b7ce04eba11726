"""Where rasters lie, and of which files they are made: read, warped, or refused with the remedy that works."""

import contextlib
import shlex
import shutil
import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rio.main import main_group
from rasterio.rpc import RPC

from fabricated_rasters import colour_bands, hints_of, sixteen_bit_bands
from fabricated_rasters import write_raster as write
from skyweave.core.errors import DataError
from skyweave.core.sensors import Band, Encoding, Sensor, get_sensor
from skyweave.data.dataset import load_dataset
from skyweave.data.inspection import inspect_raster
from skyweave.data.raster import read_observation
from skyweave.data.raster_files import list_dataset_files
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


def test_a_metre_of_web_mercator_is_no_metre_on_the_ground(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, crs="EPSG:3857", transform=Affine(10, 0, 1e6, 0, -10, 8.4e6))
    image = read_observation(path, RGB, unit="uint8", bands="sensor")
    assert image.ground_sample_distance == pytest.approx(10 * np.cos(np.radians(60.0)), rel=5e-3)


def test_sixteen_bit_pixels_keep_their_values_under_alpha_and_warping(tmp_path, stored):
    alpha = np.where(np.arange(48) < 12, 0, 255) * np.ones((1, 40, 1))  # of 65535: hardly opaque
    path = write(
        tmp_path / "a.tif", np.concatenate([stored[:3], alpha.astype(np.uint16)]), photometric="RGB", alpha="YES"
    )
    image = read_observation(path, L2A, unit="dn", bands=["B04", "B03", "B02"])
    np.testing.assert_allclose(image.pixels[::-1, :, 12:], stored[:3, :, 12:] * 1e-4, atol=1e-6)
    assert not image.valid[:, :, :12].any() and image.valid[:, :, 12:].all()
    located = points(
        lambda r, c: (4e5 + 5 * c + 0.01 * c * c, 5e6 - 5 * r - 0.01 * r * c), range(0, 41, 10), range(0, 49, 12)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            tmp_path / "b.tif", "w", driver="GTiff", height=40, width=48, count=3, dtype="uint16"
        ) as dataset:
            dataset.write(stored[:3] * 10)
            dataset.gcps = (located, CRS.from_epsg(32633))
    warped = read_observation(tmp_path / "b.tif", L2A, unit="dn", bands=["B04", "B03", "B02"], offset=-20_000)
    values = set(np.unique(np.round(warped.pixels[warped.valid] * 1e4).astype(int)))
    assert values <= set(np.unique(stored[:3].astype(int) * 10 - 20_000))


def test_every_band_of_a_virtual_raster_has_its_nodata_value(tmp_path, stored):
    write(tmp_path / "source.tif", stored[:3])
    nodata = [int(band.min()) for band in stored[:3]]
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><NoDataValue>{value}</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">source.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, value in enumerate(nodata, 1)
    )
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="48" rasterYSize="40"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>400000,10,0,5000000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    image = read_observation(tmp_path / "a.vrt", L2A, unit="dn", bands=["B02", "B03", "B04"])
    assert np.array_equal(image.valid, stored[:3] != np.array(nodata)[:, None, None])


def test_an_archive_and_further_pages_are_named(tmp_path, colours):
    import zipfile

    from PIL import Image

    write(tmp_path / "a.tif", colours, photometric="RGB")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "a.tif")
    with pytest.raises(DataError, match=r"archive.*(/vsizip/\S+/a\.zip/a\.tif)") as error:
        inspect_raster(tmp_path / "a.zip")
    inside = str(error.value).split()[-1]
    assert np.array_equal(read_observation(inside, RGB, unit="uint8").pixels, colours)
    pages = [Image.fromarray(band) for band in colours]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    image = read_observation(tmp_path / "pages.tif", RGB, unit="uint8", bands=["red"])
    assert "further rasters" in " ".join(image.notes)
    second = f"GTIFF_DIR:2:{tmp_path / 'pages.tif'}"
    assert np.array_equal(read_observation(second, RGB, unit="uint8", bands=["red"]).pixels[0], colours[1])


def test_control_points_on_both_sides_of_the_antimeridian_name_their_zone(tmp_path, colours):
    def where(r, c):
        x = 179.999 + c * 5e-5 + 1e-6 * c * c
        return (x - 360 if x > 180 else x), 10 - r * 5e-5

    path = write_by_points(tmp_path / "a.tif", colours, points(where, range(0, 65, 16), range(0, 81, 16)), "EPSG:4326")
    with pytest.raises(DataError, match=r"gdalwarp -tps -t_srs EPSG:326(01|60)"):
        read_observation(path, RGB, unit="uint8", bands="sensor")


def test_degrees_under_the_name_of_a_system_in_metres(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, transform=Affine(1e-5, 0, 13.4, 0, -1e-5, 52.5))
    with pytest.raises(
        DataError, match=r"pixels of 1e-05 m at \(13\.4004, 52\.4997\) look like degrees.*`rio edit-info"
    ):
        read_observation(path, RGB, unit="uint8")
    follow_rio(path)
    assert read_observation(path, RGB, unit="uint8").ground_sample_distance == pytest.approx(0.87, abs=0.01)


def test_metres_under_the_name_of_a_system_in_degrees(tmp_path, colours):
    path = write(tmp_path / "a.tif", colours, crs="EPSG:4326")
    with pytest.raises(DataError, match=r"latitude 4\.99968e\+06: degrees do not fit.*`rio edit-info --crs EPSG:CODE"):
        read_observation(path, RGB, unit="uint8")
    follow_rio(path, CODE="32633")
    assert read_observation(path, RGB, unit="uint8").ground_sample_distance == pytest.approx(10)


def test_two_control_points_are_too_few(tmp_path, colours):
    path = write_by_points(tmp_path / "a.tif", colours, points(lambda r, c: (4e5 + c / 2, 5e6 - r / 2), (0,), (0, 80)))
    with pytest.raises(DataError, match=r"2 ground control points, and 3 are needed.*`rio edit-info"):
        read_observation(path, RGB, unit="uint8")
    follow_rio(path, CODE="32633", TRANSFORM="[0.5, 0, 400000, 0, -0.5, 5000000]")
    assert read_observation(path, RGB, unit="uint8").ground_sample_distance == pytest.approx(0.5)


def follow_rio(path, **words):
    """Run the command that the message on a raster names."""
    with pytest.raises(DataError) as caught:
        read_observation(path, RGB, unit="uint8")
    command = str(caught.value).split("`")[1]
    for word, value in words.items():
        command = command.replace(word, value)
    result = CliRunner().invoke(main_group, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output
