"""R-JPEG of DJI's cameras (H20T, H30T, M2EA, M3T, M4T, XT S): temperatures by DJI's own Thermal SDK.

How raw values become temperatures is not published, and differs by camera and lens. DJI's SDK (``libdirp.so``,
``libdirp.dll``; its header ``dirp_api.h`` is the reference) does it; the user names where it lies.
"""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, DataError
from skyweave.rigs.thermal.jpeg_segments import HEADER, read_segments
from skyweave.rigs.thermal.registry import ThermalFormat, ThermalOptions

RAW_BYTES = 300_000  # of segments 3 or 4, in which raw values lie; no preview or profile is as large
ZERO_CELSIUS = 273.15
MAX_SIDE = 8192


class _Resolution(ctypes.Structure):
    _fields_ = (("columns", ctypes.c_int32), ("rows", ctypes.c_int32))


class _Measurement(ctypes.Structure):
    _fields_ = (
        ("distance", ctypes.c_float),  # metres
        ("humidity", ctypes.c_float),  # per cent
        ("emissivity", ctypes.c_float),
        ("reflected", ctypes.c_float),  # degrees Celsius
    )


def recognises(content: bytes) -> bool:
    """Return whether a JPEG file holds DJI's raw thermal values.

    Args:
        content: of the file.
    """
    if not content.startswith(HEADER):
        return False
    sizes = {3: 0, 4: 0}
    for number, segment in read_segments(content, "the file"):
        if number in sizes:
            sizes[number] += len(segment)
    return max(sizes.values()) > RAW_BYTES


def read(path: Path, content: bytes, options: ThermalOptions) -> np.ndarray:
    """Return temperatures: (rows, columns) kelvin.

    Args:
        path: for messages.
        content: of the file.
        options: where the SDK lies, and what replaces the camera's settings.

    Raises:
        DataError: no SDK is given, or it refuses the file.
        ConfigError: what is given is not the SDK.
    """
    if options.dji_sdk is None:
        raise DataError(
            f"{path.name} holds raw thermal values of DJI, whose formula is not published: give DJI's Thermal SDK "
            "with --dji-sdk libdirp.so, or make a TIFF of temperatures with the SDK's program dji_irp and give that "
            "with --thermal-unit celsius"
        )
    library = _load(options.dji_sdk)
    handle = ctypes.c_void_p()
    _check(library.dirp_create_from_rjpeg(content, len(content), ctypes.byref(handle)), path, "opened")
    try:
        return _measure(library, handle, path, options)
    finally:
        library.dirp_destroy(handle)


def _load(sdk: Path) -> Any:
    try:
        library = ctypes.CDLL(str(sdk.resolve()))
        library.dirp_create_from_rjpeg.argtypes = [ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p)]
        library.dirp_get_rjpeg_resolution.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Resolution)]
        library.dirp_get_measurement_params.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Measurement)]
        library.dirp_set_measurement_params.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Measurement)]
        library.dirp_measure_ex.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32]
        library.dirp_destroy.argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError) as error:
        raise ConfigError(f"--dji-sdk {sdk} is not libdirp of DJI's Thermal SDK: {error}") from None
    return library


def _measure(library: Any, handle: ctypes.c_void_p, path: Path, options: ThermalOptions) -> np.ndarray:
    size = _Resolution()
    _check(library.dirp_get_rjpeg_resolution(handle, ctypes.byref(size)), path, "measured")
    if not (0 < size.rows <= MAX_SIDE and 0 < size.columns <= MAX_SIDE):
        raise DataError(f"{path.name} has {size.rows} x {size.columns} pixels by DJI's Thermal SDK")
    settings = _Measurement()
    _check(library.dirp_get_measurement_params(handle, ctypes.byref(settings)), path, "measured")
    for name, value in _stated(options).items():
        setattr(settings, name, value)
    _check(library.dirp_set_measurement_params(handle, ctypes.byref(settings)), path, "measured with these settings")
    celsius = np.empty((size.rows, size.columns), np.float32)
    _check(library.dirp_measure_ex(handle, celsius.ctypes.data, celsius.nbytes), path, "measured")
    return celsius + ZERO_CELSIUS


def _stated(options: ThermalOptions) -> dict[str, float]:
    """What the user states, in the SDK's units."""
    stated = {
        "distance": options.distance,
        "humidity": options.humidity and options.humidity * 100,
        "emissivity": options.emissivity,
        "reflected": options.reflected and options.reflected - ZERO_CELSIUS,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _check(code: int, path: Path, what: str) -> None:
    if code != 0:
        raise DataError(
            f"{path.name} cannot be {what}: DJI's Thermal SDK answers {code}; see dirp_ret_code_e in dirp_api.h, and "
            "take the file as the camera wrote it"
        )


DJI = ThermalFormat(recognises, read)
