"""Raw captures of rigs become aligned reflectance; what is missing is named."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from fabricated_rig import (
    COLUMNS,
    FOCAL,
    IRRADIANCE,
    ROWS,
    RigBand,
    ground,
    reflectance,
    write_micasense,
    write_sequoia,
)
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.sensors import load_sensor
from skyweave.rigs import AlignOptions, align_capture, align_files, group_captures, measure_panel, read_band_file

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
GREEN = RigBand("Green", 560)
NIR = RigBand("NIR", 840, angles=(0.9, -1.2, 0.6), bent=(0.3, 0.25, 0.0), dark=0.6, bright=0.2)
LWIR = RigBand("LWIR", 11, angles=(0.5, 0.3, 0.0))
INNER = (slice(24, -24), slice(24, -24))  # which every band sees


def pinhole_ground() -> np.ndarray:
    """The ground's texture at the pixels of the undistorted reference."""
    u, v = np.meshgrid(np.arange(COLUMNS) + 0.5, np.arange(ROWS) + 0.5)
    return ground(np.stack([(u - COLUMNS / 2) / FOCAL, (v - ROWS / 2) / FOCAL], -1))


def test_micasense_becomes_aligned_reflectance_that_commands_read(tmp_path: Path) -> None:
    write_micasense(tmp_path / "raw", [NIR, GREEN])
    assert main(["align", str(tmp_path / "raw"), "-o", str(tmp_path / "stack.tif"), "--gsd", "0.08"]) == 0
    with rasterio.open(tmp_path / "stack.tif") as stack:
        green, nir = stack.read()
        assert stack.descriptions == ("green", "nir") and stack.units == ("reflectance", "reflectance")
        assert stack.tags(2)["wavelength"] == "840" and stack.tags()["REFERENCE_BAND"] == "green"
    np.testing.assert_allclose(green[INNER], reflectance(GREEN)[INNER], atol=2e-4)
    truth = 0.6 - 0.4 * pinhole_ground()
    # edges of the ground's squares move with what is left of the misalignment
    assert np.median(np.abs(nir - truth)[INNER]) < 0.006
    sensor = load_sensor(tmp_path / "stack.yaml")
    assert [(band.name, band.wavelength) for band in sensor.bands] == [("green", 560.0), ("nir", 840.0)]
    assert sensor.bands[1].aliases == ("NIR",) and sensor.ground_sample_distance == 0.08
    arguments = [
        "measure",
        str(tmp_path / "stack.tif"),
        "--sensor",
        str(tmp_path / "stack.yaml"),
        "--unit",
        "reflectance",
    ]
    assert main(arguments) == 0


def test_the_images_correct_what_the_calibration_leaves(tmp_path: Path) -> None:
    [bands] = group_captures([read_band_file(path) for path in write_micasense(tmp_path, [GREEN, NIR])])
    [alignment] = align_capture(bands).alignments
    bent = FOCAL * np.radians(np.hypot(0.3, 0.25))
    assert alignment.calibrated and alignment.before == pytest.approx(bent, abs=0.4)
    assert alignment.after < 0.25 and alignment.patches >= 16


def test_cameras_without_calibration_are_aligned_by_the_images(tmp_path: Path) -> None:
    nir = RigBand("NIR", 840, bent=(1.5, -1.5, 0.2), dark=0.6, bright=0.2, xmp={"Camera:RigRelatives": None})
    [bands] = group_captures([read_band_file(path) for path in write_micasense(tmp_path, [GREEN, nir])])
    [alignment] = align_capture(bands).alignments
    assert not alignment.calibrated and alignment.after < 0.3
    assert any("RigRelatives" in note for note in alignment.notes)


def test_a_panel_gives_the_irradiance_and_the_light_sensor_follows_it(tmp_path: Path) -> None:
    lit = RigBand("Green", 560, dark=0.5, bright=0.5, xmp={"DLS:HorizontalIrradiance": "50"})
    found = RigBand("Green", 560, dark=0.5, bright=0.5, xmp=lit.xmp | {"Camera:ReflectArea": "20,20,60,20,60,60,20,60"})
    [panel] = [read_band_file(path) for path in write_micasense(tmp_path / "panel", [found])]
    measured = measure_panel([panel], {"green": 0.5})
    assert measured.irradiance["green"] == pytest.approx(IRRADIANCE, rel=1e-3)
    assert measured.irradiance_at("green", 1.0) == pytest.approx(2 * IRRADIANCE, rel=1e-3)  # twice as bright as then
    with pytest.raises(DataError, match=r"ReflectArea.*--panel-area"):
        measure_panel([read_band_file(path) for path in write_micasense(tmp_path / "plain", [lit])], {"all": 0.5})
    with pytest.raises(DataError, match=r"--panel-reflectance green=0\.49"):
        measure_panel([panel])
    with pytest.raises(DataError, match="not photographed in the band nir"):
        measured.irradiance_at("nir", None)


def test_an_altum_adds_temperature_in_kelvin(tmp_path: Path) -> None:
    files = write_micasense(tmp_path, [GREEN])
    files += write_micasense(tmp_path / "warm", [LWIR], stored=np.full((ROWS, COLUMNS), 29515, np.uint16))
    align_files(files, tmp_path / "stack.tif")
    with rasterio.open(tmp_path / "stack.tif") as stack:
        assert stack.units == ("reflectance", "kelvin")
        assert np.nanmax(np.abs(stack.read(2) - 295.15)) < 1e-3
    lwir = load_sensor(tmp_path / "stack.yaml").bands[1]
    assert (lwir.kind, lwir.unit, lwir.wavelength, lwir.width) == ("thermal", "kelvin", 11000.0, 6000.0)


def test_sequoia_by_a_panel_and_the_sunshine_sensor(tmp_path: Path) -> None:
    bands = [GREEN, RigBand("Red", 660, angles=(0.4, 0.2, 0.0), dark=0.3, bright=0.1)]
    files = write_sequoia(tmp_path / "flight", bands, light=1000)
    panel = write_sequoia(tmp_path / "panel", bands, light=500, stored=np.full((ROWS, COLUMNS), 1000.0))
    options = AlignOptions(panel, {"all": 0.5}, (10, 10, 60, 10, 60, 60, 10, 60))
    align_files(files, tmp_path / "stack.tif", options=options)
    with rasterio.open(tmp_path / "stack.tif") as stack:
        green = stack.read(1)
    # twice the light of the panel's image, 1000 of which were a reflectance of 0.5
    truth = (0.1 + 0.4 * pinhole_ground()) * 4000 / 1000 * 0.5 / 2
    assert np.median(np.abs(green - truth)[INNER]) < 0.004
    with pytest.raises(DataError, match=r"unit of its own.*--panel.*--radiance"):
        align_files(files, tmp_path / "stack.tif")


def test_captures_are_written_each_into_a_folder(tmp_path: Path) -> None:
    files = write_micasense(tmp_path, [GREEN], 1) + write_micasense(tmp_path, [GREEN], 2)
    with pytest.raises(ConfigError, match=r"2 captures.*--into"):
        align_files(files, tmp_path / "stack.tif")
    report = align_files(files, tmp_path / "out", into=True)
    assert [path.name for path in report.paths] == ["IMG_0001.tif", "IMG_0002.tif"]
    assert report.sensor == str(tmp_path / "out" / "rig.yaml") and report.unit == "reflectance"


def test_saturated_pixels_are_no_measurement(tmp_path: Path) -> None:
    stored = np.full((ROWS, COLUMNS), 9000, np.uint16)
    stored[:20] = 65520
    [bands] = group_captures([read_band_file(path) for path in write_micasense(tmp_path, [GREEN], stored=stored)])
    values = align_capture(bands).values[0]
    assert np.isnan(values[:20]).all() and np.isfinite(values[21:]).all()


@pytest.mark.parametrize(
    ("band", "message"),
    [
        (RigBand("Green", 560, xmp={"MicaSense:RadiometricCalibration": None}), "RadiometricCalibration"),
        (RigBand("Green", 560, xmp={"MicaSense:RadiometricCalibration": "1,x,2"}), "RadiometricCalibration"),
        (RigBand("Green", 560, xmp={"DLS:HorizontalIrradiance": None}), "no light sensor.*--panel.*--radiance"),
        (RigBand("Green", 560, xmp={"Camera:PerspectiveFocalLength": None}), "does not state its lens"),
        (RigBand("Green", 560, xmp={"Camera:VignettingPolynomial": "0,-1"}), "no light"),
        (RigBand("Green", 560, xmp={"Camera:WavelengthFWHM": None}), "CentralWavelength, WavelengthFWHM"),
        (RigBand("Green", 560, tags={33434: None}), "ExposureTime"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, band: RigBand, message: str) -> None:
    with pytest.raises(DataError, match=message):
        align_files(write_micasense(tmp_path, [band]), tmp_path / "stack.tif")
    assert not (tmp_path / "stack.yaml").exists()


def test_files_that_are_no_bands_are_refused(tmp_path: Path) -> None:
    [file] = write_micasense(tmp_path, [GREEN])
    copy = tmp_path / "copy_1.tif"
    copy.write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="both the band green"):
        align_files([file, copy], tmp_path / "stack.tif")
    copy.write_bytes(file.read_bytes()[:900])
    with pytest.raises(DataError, match="cannot be read"):
        align_files([copy], tmp_path / "stack.tif")
    with pytest.raises(ConfigError, match=r"--reference red.*green"):
        align_files([file], tmp_path / "stack.tif", options=AlignOptions(reference="red"))


@pytest.mark.realdata
def test_a_real_sequoia_is_aligned_below_half_a_pixel(data_dir: Path) -> None:
    files = sorted((data_dir / "uav_multispectral" / "sequoia_garfield").glob("*.TIF"))
    [bands] = group_captures([read_band_file(path) for path in files])
    stack = align_capture(bands, as_radiance=True)
    assert [band.name for band in stack.bands] == ["green", "red", "rededge", "nir"]
    assert max(alignment.before for alignment in stack.alignments) > 1.5
    assert max(alignment.after for alignment in stack.alignments) < 0.5
    assert np.isfinite(stack.values).mean() > 0.98
