"""What things are made of: reflectance by wavelength, and how warm they get in the shade and in the sun.

Typical values for plausible pictures, drawn by hand after the shapes of published spectral libraries (USGS, ECOSTRESS);
nothing here is a measurement.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.sensors import Band, Sensor

WAVELENGTHS = np.array([400, 450, 500, 550, 600, 650, 680, 720, 780, 860, 1000, 1250, 1600, 2200, 2500], float)


@dataclass(frozen=True)
class SurfaceMaterial:
    """A surface.

    Attributes:
        reflectance: in percent at ``WAVELENGTHS``.
        emissivity: at 7.5 to 13.5 micrometres.
        warmth: kelvin above the air in the shade.
        heating: kelvin more in full sun that falls straight on it.
        roughness: spread of its brightness from place to place, as a share.
    """

    reflectance: tuple[float, ...]
    emissivity: float
    warmth: float
    heating: float
    roughness: float = 0.08


def _grey(percent: float, *rest: float) -> SurfaceMaterial:
    return SurfaceMaterial((percent,) * len(WAVELENGTHS), *rest)


MATERIALS: dict[str, SurfaceMaterial] = {
    # ground
    "grass": SurfaceMaterial((3, 3.5, 4.5, 10, 7, 5.2, 4.8, 20, 40, 45, 46, 42, 28, 14, 10), 0.98, -1, 5, 0.2),
    "meadow": SurfaceMaterial((3.5, 4.5, 6, 12, 11, 9, 8.5, 22, 36, 40, 42, 40, 30, 18, 13), 0.98, 0, 7, 0.24),
    "dry grass": SurfaceMaterial((6, 8, 11, 15, 18, 21, 22, 26, 30, 33, 36, 40, 42, 34, 28), 0.96, 1, 11, 0.2),
    "soil": SurfaceMaterial((5, 7, 9, 13, 17, 20, 21, 23, 26, 29, 33, 38, 42, 40, 36), 0.95, 1, 14, 0.15),
    "crop": SurfaceMaterial((2.5, 3, 4, 8, 5, 3.8, 3.5, 22, 46, 52, 52, 45, 27, 13, 9), 0.98, -1, 4, 0.1),
    "asphalt": SurfaceMaterial((7, 7.5, 8, 8.6, 9, 9.4, 9.6, 10, 10.4, 11, 12, 13.5, 15, 16, 15), 0.95, 3, 22, 0.1),
    "old asphalt": SurfaceMaterial(
        (10, 11, 12, 13, 13.6, 14, 14.2, 14.6, 15, 16, 17, 18, 20, 20, 19), 0.95, 3, 20, 0.1
    ),
    "cycle lane": SurfaceMaterial((5, 5.5, 6, 7.5, 15, 20, 21, 22, 23, 24, 25, 26, 27, 26, 25), 0.94, 3, 20, 0.08),
    "pavement": SurfaceMaterial((17, 19, 22, 24, 26, 27, 27, 28, 28, 29, 30, 31, 32, 31, 29), 0.94, 2, 14, 0.09),
    "gravel": SurfaceMaterial((14, 17, 20, 23, 26, 28, 28, 29, 30, 31, 33, 35, 36, 35, 33), 0.94, 2, 16, 0.14),
    "kerb": SurfaceMaterial((24, 27, 30, 32, 33, 34, 34, 34, 35, 35, 36, 37, 37, 36, 34), 0.94, 2, 13, 0.06),
    "marking": SurfaceMaterial((48, 58, 62, 64, 65, 65, 65, 66, 66, 66, 65, 62, 58, 48, 42), 0.94, 2, 9, 0.1),
    # buildings and trees
    "tile roof": SurfaceMaterial((4, 5, 6, 9, 20, 27, 28, 30, 31, 32, 33, 34, 35, 34, 32), 0.93, 2, 24, 0.1),
    "slate roof": SurfaceMaterial((6, 6.5, 7, 7.4, 7.6, 7.8, 8, 8.2, 8.6, 9, 9.5, 10, 11, 11, 10), 0.94, 3, 28, 0.08),
    "flat roof": SurfaceMaterial((20, 22, 24, 26, 27, 28, 28, 28, 29, 29, 30, 30, 31, 30, 28), 0.92, 2, 20, 0.07),
    "plaster": SurfaceMaterial((34, 42, 50, 55, 59, 61, 61, 62, 63, 64, 65, 66, 66, 60, 55), 0.92, 1, 10, 0.05),
    "brick": SurfaceMaterial((6, 7, 9, 12, 22, 28, 29, 31, 33, 35, 37, 40, 42, 41, 38), 0.93, 2, 14, 0.07),
    "concrete": SurfaceMaterial((18, 20, 23, 26, 28, 29, 29, 30, 31, 32, 34, 36, 37, 35, 33), 0.94, 1, 12, 0.05),
    "foliage": SurfaceMaterial((2, 2.4, 3, 6.5, 4.4, 3.2, 3, 17, 40, 46, 46, 40, 24, 11, 7), 0.98, -2, 3, 0.25),
    "dark foliage": SurfaceMaterial((1.5, 1.8, 2.2, 4.2, 3, 2.4, 2.2, 11, 27, 32, 32, 27, 15, 6, 4), 0.98, -2, 3, 0.25),
    "bark": SurfaceMaterial((4, 5, 6, 8, 10, 12, 13, 16, 20, 24, 28, 33, 35, 30, 26), 0.96, 0, 6),
    # vehicles and people
    "white paint": SurfaceMaterial((52, 68, 74, 76, 76, 76, 76, 76, 75, 74, 72, 66, 58, 44, 36), 0.92, 2, 9, 0),
    "silver paint": _grey(38, 0.9, 2, 14, 0),
    "grey paint": _grey(17, 0.91, 3, 20, 0),
    "black paint": _grey(3.2, 0.93, 4, 30, 0),
    "red paint": SurfaceMaterial((3, 3, 3.4, 4, 24, 44, 47, 50, 52, 54, 55, 52, 48, 40, 34), 0.92, 3, 21, 0),
    "blue paint": SurfaceMaterial((13, 22, 17, 7, 4, 4, 4.5, 8, 22, 30, 34, 34, 32, 28, 24), 0.92, 3, 23, 0),
    "green paint": SurfaceMaterial((3, 4, 9, 17, 8, 5, 5, 8, 20, 28, 32, 32, 30, 26, 22), 0.92, 3, 23, 0),
    "yellow paint": SurfaceMaterial((4, 5, 18, 52, 62, 64, 65, 66, 66, 66, 65, 60, 54, 44, 38), 0.92, 2, 13, 0),
    "orange paint": SurfaceMaterial((3, 4, 6, 16, 48, 56, 58, 60, 60, 60, 60, 56, 50, 42, 36), 0.92, 2, 15, 0),
    "glass": SurfaceMaterial((3, 3.4, 3.8, 4.2, 4, 3.6, 3.4, 3.2, 3, 3, 3, 3, 3, 3, 3), 0.86, 0, 7, 0),
    "tyre": _grey(2.6, 0.96, 10, 8, 0),
    "lamp": _grey(70, 0.92, 6, 6, 0),
    "rear lamp": SurfaceMaterial((4, 4, 4, 5, 20, 42, 46, 46, 46, 46, 46, 42, 38, 32, 28), 0.92, 5, 6, 0),
    "tarpaulin": SurfaceMaterial((10, 22, 30, 28, 22, 20, 20, 24, 32, 38, 42, 42, 38, 30, 26), 0.93, 2, 16, 0),
    "steel": _grey(26, 0.85, 2, 16, 0),
    "skin": SurfaceMaterial((12, 16, 20, 24, 34, 42, 44, 48, 52, 52, 48, 38, 22, 12, 8), 0.98, 10.5, 2, 0),
    "hair": _grey(3, 0.97, 7, 5, 0),
    "dark clothes": _grey(5, 0.97, 7.5, 6, 0),
    "denim": SurfaceMaterial((6, 9, 9, 8, 7.5, 8, 9, 16, 30, 36, 38, 38, 36, 30, 26), 0.97, 7.5, 5, 0),
    "light clothes": _grey(52, 0.97, 7, 3, 0),
    "red clothes": SurfaceMaterial((4, 4, 5, 6, 22, 42, 46, 52, 56, 58, 58, 54, 48, 40, 34), 0.97, 7, 4, 0),
    "yellow clothes": SurfaceMaterial((5, 7, 22, 50, 58, 60, 62, 62, 64, 64, 62, 58, 50, 42, 36), 0.97, 7, 3, 0),
}
FREE_PAINTS = tuple(f"free paint {number}" for number in range(24))
"""Paints and clothes of any colour, which `skyweave.simulator.variety` draws for each scene."""
MATERIALS |= {name: _grey(20, 0.92, 3, 18, 0) for name in FREE_PAINTS}
MATERIALS["water"] = SurfaceMaterial(
    (5, 5.5, 6, 5.5, 4, 3, 2.6, 1.8, 1.2, 0.9, 0.6, 0.4, 0.3, 0.2, 0.2), 0.98, -2, 2, 0.05
)
"""The last: `skyweave.simulator.variety` leaves it as it is in every scene."""
MATERIAL_INDEX = {name: number for number, name in enumerate(MATERIALS)}
CAR_PAINTS = ("white paint", "silver paint", "grey paint", "black paint", "red paint", "blue paint", "green paint")
CAR_PAINT_SHARES = (0.26, 0.18, 0.2, 0.17, 0.07, 0.09, 0.03)
TRUCK_PAINTS = ("white paint", "blue paint", "red paint", "yellow paint", "green paint")
BUS_PAINTS = ("yellow paint", "red paint", "white paint", "blue paint", "green paint")
CLOTHES = ("dark clothes", "light clothes", "red clothes", "yellow clothes", "denim")


def reflectance_table() -> np.ndarray:
    """Return (materials, wavelengths) the reflectance of all materials at ``WAVELENGTHS``, in [0, 1]."""
    return np.array([material.reflectance for material in MATERIALS.values()]) / 100


def reflectances(bands: tuple[Band, ...], table: np.ndarray | None = None) -> np.ndarray:
    """Return the reflectance of all materials, averaged over each band's width.

    Args:
        bands: optical.
        table: (materials, wavelengths) at ``WAVELENGTHS``; None for `reflectance_table`.

    Returns:
        (materials, bands) float32 in [0, 1].
    """
    table = reflectance_table() if table is None else table
    columns = [_band_reflectance(table, band) for band in bands]
    return np.array(columns, np.float32).reshape(len(bands), len(table)).T


def _band_reflectance(table: np.ndarray, band: Band) -> list[float]:
    """Return the mean over an optical band of each row of reflectances."""
    assert band.wavelength is not None  # optical
    half = (band.width or 10.0) / 2
    at = np.linspace(band.wavelength - half, band.wavelength + half, 11)
    return [np.interp(at, WAVELENGTHS, row).mean() for row in table]


def temperatures(air: float) -> np.ndarray:
    """Return the brightness temperature of all materials in the shade, and what full sun adds.

    The sky is cold, and a surface of low emissivity mirrors it.

    Args:
        air: temperature in kelvin.

    Returns:
        (materials, 2) float32 kelvin.
    """
    sky = air - 35.0
    rows = []
    for material in MATERIALS.values():
        emitted = material.emissivity * (air + material.warmth) ** 4 + (1 - material.emissivity) * sky**4
        rows.append((emitted**0.25, material.heating * material.emissivity))
    return np.array(rows, np.float32)


def check_renderable(sensor: Sensor) -> None:
    """Refuse sensors whose physics this world does not have.

    Args:
        sensor: to render.

    Raises:
        ConfigError: a band that is neither optical nor thermal, or in a unit that has no meaning here.
    """
    for band in sensor.bands:
        if band.kind not in ("optical", "thermal"):
            raise ConfigError(
                f"sensor {sensor.name!r} has the {band.kind} band {band.name!r}; the simulator renders optical and "
                "thermal bands: choose another sensor, or its optical bands with `bands`"
            )
        units = ("kelvin",) if band.kind == "thermal" else ("uint8", "reflectance")
        if band.unit not in units:
            raise ConfigError(
                f"sensor {sensor.name!r}: band {band.name!r} is in {band.unit}; the simulator renders "
                f"{' and '.join(units)} for {band.kind} bands"
            )
