"""Procedural scenes, the same terrain for every sensor: for the demo, for tests, and where there is no data.

A seed is a terrain: fields, a lake and a river, forest, roads and houses on low hills. Each material has a reflectance
that is a smooth function of wavelength, a radar backscatter per polarisation, a temperature and a height; a sensor
measures them through its own bands, so that what differs between two sensors' images is the sensor.
The numbers are plausible, not measured; nothing that is learnt from them is knowledge about the Earth.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import Band, Sensor

CLASS_NAMES = ("water", "forest", "crop", "grass", "soil", "road", "roof")
"""Names of the class numbers of ``procedural_classes``."""

KNOT_WAVELENGTHS_NM = np.array([350, 450, 550, 670, 720, 800, 1000, 1300, 1450, 1650, 1930, 2200, 2500], float)
"""Wavelengths in nanometres at which the materials' reflectances are given; linear in between."""

WATER_VAPOUR_BANDS = ((945.0, 0.5), (1375.0, 0.995), (1900.0, 0.98))
"""Centres (nanometres) and depths of the water vapour bands that a sensor above the atmosphere looks through."""


@dataclass(frozen=True)
class LandCover:
    """Appearance of a class to each kind of band.

    Attributes:
        reflectance: at ``KNOT_WAVELENGTHS_NM``, 0..1.
        backscatter: mean in dB in VV (or HH) and in VH (or HV), C band.
        temperature: kelvin, on a summer day.
        height: metres above the ground.
        texture: relative standard deviation of its reflectance over the ground.
    """

    reflectance: tuple[float, ...]
    backscatter: tuple[float, float]
    temperature: float
    height: float
    texture: float


LAND_COVERS = (
    LandCover((0.06, 0.06, 0.05, 0.03, 0.02, 0.01, 0.01, 0, 0, 0, 0, 0, 0), (-21, -28), 293, 0, 0.10),
    LandCover((0.02, 0.03, 0.05, 0.03, 0.13, 0.30, 0.32, 0.28, 0.12, 0.16, 0.05, 0.07, 0.04), (-9, -14), 296, 15, 0.25),
    LandCover((0.03, 0.04, 0.09, 0.04, 0.20, 0.48, 0.50, 0.42, 0.20, 0.25, 0.09, 0.12, 0.07), (-11, -18), 298, 1, 0.08),
    LandCover((0.04, 0.05, 0.10, 0.08, 0.19, 0.34, 0.38, 0.36, 0.22, 0.30, 0.13, 0.19, 0.12), (-13, -20), 301, 0, 0.12),
    LandCover((0.06, 0.09, 0.13, 0.19, 0.22, 0.25, 0.31, 0.37, 0.34, 0.41, 0.31, 0.37, 0.30), (-14, -23), 307, 0, 0.10),
    LandCover((0.07, 0.09, 0.11, 0.12, 0.13, 0.13, 0.15, 0.17, 0.17, 0.18, 0.17, 0.17, 0.15), (-17, -25), 311, 0, 0.06),
    LandCover((0.09, 0.14, 0.20, 0.30, 0.32, 0.33, 0.35, 0.38, 0.37, 0.40, 0.36, 0.37, 0.33), (-3, -12), 309, 6, 0.20),
)


def procedural_scene(
    sensor: Sensor, seed: int = 0, size: int = 128, ground_sample_distance: float | None = None
) -> Observation:
    """Render a terrain as a sensor sees it: (bands, size, size) in the bands' units, all valid.

    The same seed, size and ground sample distance show every sensor the same ground.

    Args:
        sensor: any sensor.
        seed: of the terrain.
        size: rows and columns in pixels.
        ground_sample_distance: metres per pixel; default: the sensor's nominal one.
    """
    distance = ground_sample_distance or sensor.ground_sample_distance
    terrain = _Terrain(seed, size, distance)
    generator = np.random.default_rng([seed, 7, *sensor.name.encode()])
    pixels = np.stack([_measure(band, sensor, terrain, distance, generator) for band in sensor.bands])
    return Observation.from_pixels(
        pixels,
        sensor,
        distance,
        geometry=GeoTransform("EPSG:32633", (distance, 0.0, 400_000.0, 0.0, -distance, 5_800_000.0)),
        source=f"procedural scene {seed}",
    )


def procedural_classes(seed: int = 0, size: int = 128, ground_sample_distance: float = 10.0) -> np.ndarray:
    """Return the classes of a terrain: (size, size) uint8, indices in `CLASS_NAMES`.

    Args:
        seed: of the terrain.
        size: rows and columns in pixels.
        ground_sample_distance: metres per pixel.
    """
    return _Terrain(seed, size, ground_sample_distance).classes


class _Terrain:
    """The ground: a class, an elevation and a texture for every pixel, drawn from the seed.

    Patterns scale with the extent of the image, so that a scene at 0.1 m has as much to see as one at 30 m.
    """

    def __init__(self, seed: int, size: int, distance: float) -> None:
        generator = np.random.default_rng([seed, size, round(distance * 1000)])
        self.hills = _noise(generator, size, cells=2, roughness=4)
        self.texture = _noise(generator, size, cells=size / 4, roughness=3)
        classes, self.tone = _fields(generator, size)
        forest = _noise(generator, size, cells=3, roughness=2.5)
        classes[forest > 0.6] = 1
        _villages(generator, size, classes, self.tone)
        river = np.abs(_noise(generator, size, cells=2, roughness=3))
        level = self.hills < np.quantile(self.hills, generator.uniform(0.08, 0.2))
        classes[level | (river < 0.03)] = 0
        self.classes = classes


def _measure(
    band: Band, sensor: Sensor, terrain: _Terrain, distance: float, generator: np.random.Generator
) -> np.ndarray:
    """Return (rows, columns) of one band in its unit."""
    if band.kind == "elevation":
        height = _per_class("height")[terrain.classes]
        return np.asarray(80 + 40 * terrain.hills + (height if distance <= 30 else 0))
    if band.kind == "radar":
        return _backscatter(band, terrain, generator)
    if band.kind == "thermal":
        warm = _per_class("temperature")[terrain.classes]
        noise = generator.normal(0, 0.1, terrain.classes.shape)
        return np.asarray(warm - 1.5 * terrain.hills + 0.8 * terrain.texture + noise)
    return _reflected(band, sensor, terrain, generator)


def _backscatter(band: Band, terrain: _Terrain, generator: np.random.Generator) -> np.ndarray:
    """Return decibels with the speckle of a multi-looked image."""
    crossed = band.polarisation in ("VH", "HV")
    mean = np.array([cover.backscatter[crossed] for cover in LAND_COVERS])[terrain.classes]
    rise = np.roll(terrain.hills, 1, axis=1) - terrain.hills
    slope = 3 * rise * len(terrain.classes) / 16  # facing the sensor is brighter
    number_of_looks = 4.4  # of the ground range detected product
    speckle = generator.gamma(number_of_looks, 1 / number_of_looks, terrain.classes.shape)
    return np.asarray(mean + slope + terrain.texture + 10 * np.log10(speckle))


def _reflected(band: Band, sensor: Sensor, terrain: _Terrain, generator: np.random.Generator) -> np.ndarray:
    """Return reflectances, or the 8-bit values of a camera."""
    reflectance = _reflectances(band)[terrain.classes]
    std = _per_class("texture")[terrain.classes]
    sunlit = 1 + 0.6 * (np.roll(terrain.hills, 1, axis=0) - terrain.hills) * len(terrain.classes) / 16
    variation = np.clip(1 + std * (terrain.texture + terrain.tone), 0.1, None)
    seen = reflectance * variation * np.clip(sunlit, 0.5, 1.5)
    seen = seen + generator.normal(0, 0.002, terrain.classes.shape)
    if band.unit == "uint8":  # a camera's exposure and gamma
        return np.asarray(np.round(255 * np.clip(seen / 0.5, 0, 1) ** (1 / 2.2)))
    if sensor.name.endswith(("-l1", "-l1c")):
        seen = _through_atmosphere(seen, band.wavelength or 550.0)
    return np.asarray(np.maximum(seen, 1e-4))


def _through_atmosphere(reflectance: np.ndarray, wavelength: float) -> np.ndarray:
    """Return the reflectance at the top of the atmosphere: less in water vapour bands, more where the air scatters."""
    depths = [depth * np.exp(-(((wavelength - centre) / 40) ** 2)) for centre, depth in WATER_VAPOUR_BANDS]
    transmission = np.prod([1 - depth for depth in depths])
    return np.asarray(reflectance * transmission + 0.10 * (450 / wavelength) ** 4 * (wavelength < 1200))


def _per_class(field: str) -> np.ndarray:
    """Return (classes,) values of a field of `LandCover`."""
    return np.array([getattr(cover, field) for cover in LAND_COVERS])


def _reflectances(band: Band) -> np.ndarray:
    """Return (classes,) mean reflectance over the band's width."""
    centre, width = band.wavelength or 550.0, band.width or 10.0
    samples = np.linspace(centre - width / 2, centre + width / 2, 9)
    return np.array([np.interp(samples, KNOT_WAVELENGTHS_NM, cover.reflectance).mean() for cover in LAND_COVERS])


def _noise(generator: np.random.Generator, size: int, cells: float, roughness: float) -> np.ndarray:
    """Return (size, size) noise, ``cells`` waves across, whose spectrum falls as f^-roughness, standardised."""
    waves = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * size
    spectrum = np.fft.rfft2(generator.normal(size=(size, size))) * (1 + (waves / cells) ** 2) ** (-roughness / 2)
    noise = np.fft.irfft2(spectrum, (size, size))
    scaled: np.ndarray = (noise - noise.mean()) / max(float(noise.std()), 1e-6)
    return scaled


def _fields(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and tones of a mosaic of fields: nearest of random points, in a turned and stretched frame."""
    count = 24
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * np.array([[1.0], [2.0]])
    points = generator.uniform(-0.1, 1.1, (count, 2)) @ turn.T
    rows, columns = np.meshgrid(*[(np.arange(size) + 0.5) / size] * 2, indexing="ij")
    pixels = np.stack([rows, columns], -1) @ turn.T
    distance = np.abs(pixels[:, :, None] - points).sum(-1)  # city-block: straight field edges
    nearest = distance.argmin(-1)
    kinds = generator.choice([2, 2, 3, 4], count).astype(np.uint8)
    return kinds[nearest], generator.normal(0, 1, count)[nearest].astype(np.float32)


def _villages(generator: np.random.Generator, size: int, classes: np.ndarray, tone: np.ndarray) -> None:
    """Draw two roads through the image and rows of houses along them into ``classes`` and ``tone``."""
    wide = max(1, size // 64)
    for axis in (0, 1):
        middle, drift = generator.uniform(0.2, 0.8), generator.uniform(-0.3, 0.3)
        _draw_road(size, middle, drift, wide, axis, classes, tone)
        for house in np.linspace(0.15, 0.85, 12) if size >= 32 else []:
            if generator.random() < 0.3:
                continue
            step = int(house * size)
            side = generator.choice([-1, 1]) * wide * 4
            place = _house_place(step, int(size * middle + drift * (step - size / 2) + side), wide, axis)
            classes[place], tone[place] = 6, generator.normal()


def _house_place(step: int, beside: int, wide: int, axis: int) -> tuple[slice, slice]:
    """Return the pixels of a house ``step`` pixels along a road and ``beside`` across it."""
    along, across = slice(step, step + 2 * wide), slice(max(0, beside), max(0, beside + 3 * wide))
    return (along, across) if axis else (across, along)


def _draw_road(
    size: int, middle: float, drift: float, wide: int, axis: int, classes: np.ndarray, tone: np.ndarray
) -> None:
    for step in range(size):
        at = int(size * middle + drift * (step - size / 2))
        across = slice(max(0, at), max(0, at + wide))
        where = (step, across) if axis else (across, step)
        classes[where], tone[where] = 5, 0
