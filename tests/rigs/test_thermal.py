"""Radiometric JPEG of FLIR and DJI, and thermal TIFF, become kelvin."""

import ctypes
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.rigs import ThermalOptions, read_temperature
from skyweave.rigs.thermal.flir import FLOATS, PLANCK_OFFSET, air_transmission, kelvin_from_raw, raw_from_kelvin

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
CAMERA = {  # of a Zenmuse XT2, as files state them
    "emissivity": 0.95,
    "distance": 30.0,
    "reflected": 285.0,
    "air": 295.0,
    "window": 295.0,
    "window_transmission": 1.0,
    "humidity": 0.5,
    "planck_r1": 17096.453,
    "planck_b": 1428.0,
    "planck_f": 1.0,
    "alpha_1": 0.006569,
    "alpha_2": 0.01262,
    "beta_1": -0.002276,
    "beta_2": -0.00667,
    "x": 1.9,
    "planck_r2": 0.046642166,
    "planck_o": -342.0,
}
KELVIN = np.linspace(270, 340, 48).reshape(6, 8)


def seen_raw(kelvin: np.ndarray) -> np.ndarray:
    """What the sensor writes of ground at these temperatures, through the air."""
    passed = air_transmission(CAMERA)
    ground = CAMERA["emissivity"] * raw_from_kelvin(kelvin, CAMERA)
    reflected = (1 - CAMERA["emissivity"]) * raw_from_kelvin(CAMERA["reflected"], CAMERA)
    return np.round(passed * (ground + reflected) + (1 - passed) * raw_from_kelvin(CAMERA["air"], CAMERA))


def flir_file(path: Path, raw: np.ndarray, as_png: bool = False, camera: dict[str, float] = CAMERA) -> Path:
    """Write a radiometric JPEG with FLIR's records in two segments."""
    stored = raw.astype("<u2")
    content = stored.tobytes()
    if as_png:
        buffer = io.BytesIO()
        Image.fromarray(stored.byteswap()).save(buffer, "PNG")
        content = buffer.getvalue()
    record_1 = struct.pack("<HHH", 2, raw.shape[1], raw.shape[0]).ljust(32, b"\0") + content
    record_32 = bytearray(0x400)
    struct.pack_into("<H", record_32, 0, 2)
    for name, offset in FLOATS.items():
        struct.pack_into("<f", record_32, offset, camera[name])
    struct.pack_into("<i", record_32, PLANCK_OFFSET, int(camera["planck_o"]))
    start = 64 + 64
    head = (b"FFF\0" + b"test".ljust(16, b"\0") + struct.pack(">III", 101, 64, 2)).ljust(64, b"\0")
    entries = [
        struct.pack(">HHIIIIIII", kind, 1, 100, 0, offset, length, 0, 0, 0)
        for kind, offset, length in ((1, start, len(record_1)), (32, start + len(record_1), len(record_32)))
    ]
    fff = head + b"".join(entries) + record_1 + bytes(record_32)
    half = len(fff) // 2
    return jpeg_with(path, [(1, b"FLIR\0\1\0\1" + fff[:half]), (1, b"FLIR\0\1\1\1" + fff[half:])])


def jpeg_with(path: Path, segments: list[tuple[int, bytes]]) -> Path:
    """Write a JPEG with application segments."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(buffer, "JPEG")
    extra = b"".join(struct.pack(">BBH", 0xFF, 0xE0 + number, len(held) + 2) + held for number, held in segments)
    content = buffer.getvalue()
    path.write_bytes(content[:2] + extra + content[2:])
    return path


@pytest.mark.parametrize("as_png", [False, True])
def test_flir_raw_values_become_the_temperatures_of_the_ground(tmp_path: Path, as_png: bool) -> None:
    path = flir_file(tmp_path / "a_R.jpg", seen_raw(KELVIN), as_png)
    kelvin = read_temperature(path)
    assert kelvin is not None
    np.testing.assert_allclose(kelvin, KELVIN, atol=0.05)
    shiny = read_temperature(path, ThermalOptions(emissivity=0.8))
    assert shiny is not None and (shiny[KELVIN > 300] > kelvin[KELVIN > 300] + 1).all()  # it radiates less than it is


def test_planck_without_air_and_reflection_is_the_published_formula() -> None:
    bare = CAMERA | {"emissivity": 1.0, "distance": 0.0}
    raw = np.array([12000.0])
    published = 1428.0 / np.log(17096.453 / (0.046642166 * (12000.0 - 342.0)) + 1.0)
    np.testing.assert_allclose(kelvin_from_raw(raw, bare), published)


def test_flir_that_is_damaged_is_named(tmp_path: Path) -> None:
    whole = flir_file(tmp_path / "a.jpg", seen_raw(KELVIN))
    wrong = flir_file(tmp_path / "b.jpg", seen_raw(KELVIN), camera=CAMERA | {"planck_b": -1.0})
    with pytest.raises(DataError, match="Planck"):
        read_temperature(wrong)
    cut = tmp_path / "c.jpg"
    cut.write_bytes(whole.read_bytes()[:700])
    with pytest.raises(DataError, match=r"c\.jpg.*(damaged|cannot be read)"):
        read_temperature(cut)
    beyond = tmp_path / "d.jpg"
    beyond.write_bytes(whole.read_bytes().replace(struct.pack("<HHH", 2, 8, 6), struct.pack("<HHH", 2, 60000, 60000)))
    with pytest.raises(DataError, match="no 60000 x 60000 values"):
        read_temperature(beyond)


class FakeThermalSdk:
    """DJI's library as its header declares it, with a temperature a pixel that tells of the settings."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses, self.destroyed = refuses, 0
        for name in ("get_rjpeg_resolution", "create_from_rjpeg", "measure_ex", "destroy"):
            setattr(self, f"dirp_{name}", Entry(getattr(self, f"_{name}")))
        self.dirp_get_measurement_params = Entry(self._get)
        self.dirp_set_measurement_params = Entry(self._set)
        self.settings = (5.0, 70.0, 1.0, 23.0)

    def _create_from_rjpeg(self, content: bytes, size: int, handle: Any) -> int:
        assert len(content) == size
        return self.refuses

    def _get_rjpeg_resolution(self, handle: Any, size: Any) -> int:
        size._obj.columns, size._obj.rows = 8, 6
        return 0

    def _get(self, handle: Any, settings: Any) -> int:
        held = settings._obj
        held.distance, held.humidity, held.emissivity, held.reflected = self.settings
        return 0

    def _set(self, handle: Any, settings: Any) -> int:
        held = settings._obj
        self.settings = held.distance, held.humidity, held.emissivity, held.reflected
        return 0

    def _measure_ex(self, handle: Any, address: int, size: int) -> int:
        assert size == 6 * 8 * 4
        ctypes.memmove(address, np.full((6, 8), 25.5, np.float32).ctypes.data, size)
        return 0

    def _destroy(self, handle: Any) -> int:
        self.destroyed += 1
        return 0


class Entry:
    """A function of a library, to which argument types can be given."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def dji_file(path: Path) -> Path:
    """Write a JPEG with as many raw bytes as DJI's have."""
    return jpeg_with(path, [(3, bytes(65000))] * 5)


def test_dji_goes_through_its_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = FakeThermalSdk()
    monkeypatch.setattr(ctypes, "CDLL", lambda path: sdk)
    options = ThermalOptions(emissivity=0.9, humidity=0.6, dji_sdk=tmp_path / "libdirp.so")
    kelvin = read_temperature(dji_file(tmp_path / "a_R.JPG"), options)
    assert kelvin is not None and kelvin.shape == (6, 8)
    np.testing.assert_allclose(kelvin, 298.65)
    assert sdk.settings == pytest.approx((5.0, 60.0, 0.9, 23.0)) and sdk.destroyed == 1
    monkeypatch.setattr(ctypes, "CDLL", lambda path: FakeThermalSdk(-7))
    with pytest.raises(DataError, match="answers -7"):
        read_temperature(tmp_path / "a_R.JPG", options)


def test_dji_without_its_sdk_names_both_remedies(tmp_path: Path) -> None:
    path = dji_file(tmp_path / "a_R.JPG")
    with pytest.raises(DataError, match=r"--dji-sdk.*--thermal-unit celsius"):
        read_temperature(path)
    with pytest.raises(ConfigError, match="is not libdirp"):
        read_temperature(path, ThermalOptions(dji_sdk=path))


def test_thermal_tiff_in_a_declared_unit(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 8), 21.5, np.float32)).save(tmp_path / "celsius.tif")
    output = tmp_path / "kelvin.tif"
    assert main(["align", str(tmp_path / "celsius.tif"), "-o", str(output), "--thermal-unit", "celsius"]) == 0
    with rasterio.open(output) as written:
        assert written.units == ("kelvin",) and written.descriptions == ("lwir",)
        np.testing.assert_allclose(written.read(1), 294.65)
    assert main(["inspect", str(output), "--sensor", "thermal"]) == 0
    with pytest.raises(DataError, match="--thermal-unit"):
        read_temperature(tmp_path / "celsius.tif", ThermalOptions(unit="kelvin"))


def test_a_photograph_is_no_thermal_image(tmp_path: Path) -> None:
    assert read_temperature(jpeg_with(tmp_path / "a.jpg", [])) is None


@pytest.mark.realdata
def test_real_files_of_dji_are_recognised(data_dir: Path) -> None:
    files = sorted((data_dir / "dji_thermal_rjpeg").glob("*.JPG"))
    assert len(files) == 5
    for file in files:
        with pytest.raises(DataError, match="--dji-sdk"):
            read_temperature(file)
