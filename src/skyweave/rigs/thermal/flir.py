"""Radiometric JPEG of FLIR's cameras (Zenmuse XT and XT2, Vue Pro R, Duo Pro R): raw values to kelvin.

The container as ExifTool documents it ("FLIR Tags": FFF records 1, raw data, and 32, the camera). A raw value S is
``R1 / (R2 (exp(B / T) - F)) - O`` at the temperature T, the law of Planck with the constants of the camera. What the
ground reflects and the air between emits is taken off after Minkina and Dudzik, "Infrared Thermography: Errors and
Uncertainties" (2009), eqs. 2.1 and 2.31, with the camera's settings where the user states no others.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.images.decoding import open_image
from skyweave.rigs.thermal.jpeg_segments import HEADER, read_segments
from skyweave.rigs.thermal.registry import ThermalFormat, ThermalOptions

SEGMENT = b"FLIR\0"
SEGMENT_HEADER = 8  # the name, a version, this part's number, the last one's
RAW_RECORD, CAMERA_RECORD = 1, 32
RECORD = struct.Struct(">HHIIIIIII")  # kind, subkind, version, identity, offset, length, parent, object, checksum
RECORD_BYTES = 32
MAX_RECORDS = 1024
ZERO_CELSIUS = 273.15
FLOATS = {  # offsets into the camera's record
    "emissivity": 0x20,
    "distance": 0x24,
    "reflected": 0x28,
    "air": 0x2C,
    "window": 0x30,
    "window_transmission": 0x34,
    "humidity": 0x3C,
    "planck_r1": 0x58,
    "planck_b": 0x5C,
    "planck_f": 0x60,
    "alpha_1": 0x70,
    "alpha_2": 0x74,
    "beta_1": 0x78,
    "beta_2": 0x7C,
    "x": 0x80,
    "planck_r2": 0x30C,
}
PLANCK_OFFSET = 0x308  # a whole number


@dataclass(frozen=True)
class FlirImage:
    """What a file holds.

    Attributes:
        raw: (rows, columns) values of the sensor.
        camera: the camera's constants and settings by name; temperatures in kelvin.
    """

    raw: np.ndarray
    camera: Mapping[str, float]


def recognises(content: bytes) -> bool:
    """Return whether a JPEG file has FLIR's records.

    Args:
        content: of the file.
    """
    return content.startswith(HEADER) and SEGMENT in content[: 1 << 20]


def read(path: Path, content: bytes, options: ThermalOptions) -> np.ndarray:
    """Return temperatures: (rows, columns) kelvin.

    Args:
        path: for messages.
        content: of the file.
        options: replace the camera's settings.

    Raises:
        DataError: a record is damaged or missing.
    """
    image = read_flir(path, content)
    stated = {
        "emissivity": options.emissivity,
        "distance": options.distance,
        "humidity": options.humidity,
        "reflected": options.reflected,
    }
    camera = dict(image.camera) | {name: value for name, value in stated.items() if value is not None}
    return kelvin_from_raw(image.raw, camera)


def kelvin_from_raw(raw: np.ndarray, camera: Mapping[str, float]) -> np.ndarray:
    """Return temperatures of raw values, what is reflected and what the air emits taken off.

    Args:
        raw: (rows, columns) of the sensor.
        camera: constants and settings by name, as of `read_flir`.
    """
    emissivity, passed = camera["emissivity"], air_transmission(camera)
    reflected = (1 - emissivity) * passed * raw_from_kelvin(camera["reflected"], camera)
    air = (1 - passed) * raw_from_kelvin(camera["air"], camera)
    ground = (raw.astype(np.float64) - reflected - air) / (emissivity * passed)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = camera["planck_r1"] / (camera["planck_r2"] * (ground + camera["planck_o"])) + camera["planck_f"]
        kelvin: np.ndarray = camera["planck_b"] / np.log(ratio)
    return np.where(np.isfinite(kelvin) & (kelvin > 0), kelvin, np.nan)


def raw_from_kelvin(kelvin: np.ndarray | float, camera: Mapping[str, float]) -> np.ndarray:
    """Return the raw value of a black body.

    Args:
        kelvin: its temperature.
        camera: constants by name.
    """
    exponent = np.exp(camera["planck_b"] / np.asarray(kelvin, np.float64)) - camera["planck_f"]
    return np.asarray(camera["planck_r1"] / (camera["planck_r2"] * exponent) - camera["planck_o"])


def air_transmission(camera: Mapping[str, float]) -> float:
    """Return the share of the radiation that the air between lets pass.

    Args:
        camera: distance, humidity, temperature of the air, and the constants of the model.
    """
    celsius = camera["air"] - ZERO_CELSIUS
    water = camera["humidity"] * np.exp(1.5587 + 0.06939 * celsius - 2.7816e-4 * celsius**2 + 6.8455e-7 * celsius**3)
    way, x = np.sqrt(max(camera["distance"], 0.0)), camera["x"]
    near, far = (np.exp(-way * (camera[f"alpha_{k}"] + camera[f"beta_{k}"] * np.sqrt(max(water, 0.0)))) for k in (1, 2))
    return float(x * near + (1 - x) * far)


def read_flir(path: Path, content: bytes) -> FlirImage:
    """Read the raw values and the camera's constants.

    Args:
        path: for messages.
        content: of the file.

    Raises:
        DataError: a record is damaged or missing.
    """
    parts = [
        (segment[6], segment[SEGMENT_HEADER:])
        for number, segment in read_segments(content, path.name)
        if number == 1 and segment.startswith(SEGMENT) and len(segment) > SEGMENT_HEADER
    ]
    fff = b"".join(part for _, part in sorted(parts, key=lambda part: part[0]))
    try:
        records = _records(fff)
        return FlirImage(_raw(records[RAW_RECORD]), _camera(records[CAMERA_RECORD]))
    except (KeyError, struct.error, ValueError, OSError, SyntaxError) as error:
        raise DataError(
            f"{path.name} has FLIR's records, and they cannot be read ({error}); take the file as the camera wrote it"
        ) from None


def _records(fff: bytes) -> dict[int, bytes]:
    """The first record of each kind."""
    if not fff.startswith(b"FFF\0"):
        raise ValueError("they do not begin with FFF")
    start, count = struct.unpack_from(">II", fff, 24)
    records: dict[int, bytes] = {}
    for number in range(min(count, MAX_RECORDS)):
        kind, _, _, _, offset, length, *_ = RECORD.unpack_from(fff, start + RECORD_BYTES * number)
        if offset + length <= len(fff):
            records.setdefault(kind, fff[offset : offset + length])
    return records


def _raw(record: bytes) -> np.ndarray:
    """Values of a record, as a PNG whose bytes are swapped, or plain."""
    columns, rows = struct.unpack_from("<HH", record, 2)
    image = record[32:]
    if image.startswith(b"\x89PNG"):
        with open_image(io.BytesIO(image), "the thermal image", ("PNG",), eight_bit=False) as png:
            return np.asarray(png).astype(np.uint16).byteswap()
    if not rows or len(image) < 2 * rows * columns:
        raise ValueError(f"{len(image)} bytes are no {rows} x {columns} values")
    return np.frombuffer(image, "<u2", rows * columns).reshape(rows, columns)


def _camera(record: bytes) -> dict[str, float]:
    """Constants and settings by name."""
    order = "<" if struct.unpack_from("<H", record)[0] < 0x100 else ">"
    values = {name: float(struct.unpack_from(order + "f", record, offset)[0]) for name, offset in FLOATS.items()}
    values["planck_o"] = float(struct.unpack_from(order + "i", record, PLANCK_OFFSET)[0])
    positive = ("emissivity", "reflected", "air", "planck_r1", "planck_r2", "planck_b")
    if not all(np.isfinite(value) for value in values.values()) or min(values[name] for name in positive) <= 0:
        raise ValueError("the constants of Planck's law are not positive")
    return values


FLIR = ThermalFormat(recognises, read)
