"""Sun, sky, haze, and where shadows fall."""

from dataclasses import dataclass

import numpy as np

from skyweave.simulator.config import LightConfig
from skyweave.simulator.rasterise import rasterise_polygons
from skyweave.simulator.scene_objects import Faces

HAZE_HEIGHT = 1200.0  # metres over which haze thins out to 1/e
BRIGHTEST = 1.7  # light on a face that looks at a low sun, flat ground being 1
SHADOW_CELLS = 2048


@dataclass(frozen=True)
class Illumination:
    """The light of a scene.

    Attributes:
        sun: (3,) direction to the sun.
        sky: share of the light on flat ground that comes from the sky.
        extinction: per metre at 550 nanometres, at the ground.
        air: kelvin.
        level: of all light, 1 by day.
        warmth: of sunlight, and sky_warmth: of skylight, see `LightConfig`.
    """

    sun: np.ndarray
    sky: float
    extinction: float
    air: float
    level: float = 1.0
    warmth: float = 0.0
    sky_warmth: float = 0.0

    @classmethod
    def draw(cls, config: LightConfig, generator: np.random.Generator) -> "Illumination":
        """Draw the illumination of one scene.

        Args:
            config: ranges.
            generator: of random numbers.
        """
        elevation, azimuth = (np.radians(generator.uniform(*r)) for r in (config.sun_elevation, config.sun_azimuth))
        flat = np.cos(elevation)
        sun = np.array([np.sin(azimuth) * flat, np.cos(azimuth) * flat, np.sin(elevation)])
        sky, visibility = (
            float(generator.uniform(*config.sky)),
            float(np.exp(generator.uniform(*np.log(config.visibility)))),
        )
        air, extinction = float(generator.uniform(*config.air)), 3.912 / visibility  # Koschmieder 1924
        level = 1.0
        if config.night and generator.random() < config.night:
            sky, level = 1.0, float(np.exp(generator.uniform(*np.log(config.darkness))))
        warmth, sky_warmth = (float(generator.uniform(*r)) for r in (config.warmth, config.sky_warmth))
        return cls(sun, sky, extinction, air, level, warmth, sky_warmth)

    @property
    def shines(self) -> bool:
        """Return whether the sun shines, that is, whether it is day."""
        return self.level >= 1

    def on_faces(self, normals: np.ndarray, lit: np.ndarray, wavelengths: np.ndarray) -> np.ndarray:
        """Return (n, wavelengths) light on faces, flat ground in the sun being 1.

        Args:
            normals: (n, 3).
            lit: (n,) 1 where the sun reaches, 0 in a shadow.
            wavelengths: (wavelengths,) nanometres.
        """
        direct = np.clip(normals @ self.sun / self.sun[2], 0.0, BRIGHTEST) * lit
        return self._coloured(self.sky * (0.55 + 0.45 * normals[:, 2]), (1 - self.sky) * direct, wavelengths)

    def on_ground(self, lit: np.ndarray, wavelengths: np.ndarray) -> np.ndarray:
        """Return (n, wavelengths) light on level ground, 1 in the sun.

        Args:
            lit: (n,) 1 where the sun reaches, 0 in a shadow.
            wavelengths: (wavelengths,) nanometres.
        """
        return self._coloured(np.full(lit.shape, self.sky, lit.dtype), (1 - self.sky) * lit, wavelengths)

    def _coloured(self, sky: np.ndarray, sun: np.ndarray, wavelengths: np.ndarray) -> np.ndarray:
        """(n, wavelengths): both kinds of light (n,), each in its colour."""
        if not self.warmth and not self.sky_warmth:
            return np.broadcast_to((sky + sun)[:, None], (len(sky), len(wavelengths)))
        away = np.clip((wavelengths - 550) / 100, -1, 1)
        return np.asarray(sky[:, None] * np.exp(self.sky_warmth * away) + sun[:, None] * np.exp(self.warmth * away))

    def clearness(self, wavelengths: np.ndarray, path: np.ndarray, height: float) -> np.ndarray:
        """Return the share of contrast that haze leaves.

        Args:
            wavelengths: (wavelengths,) nanometres.
            path: (...) metres through the air.
            height: of the camera above the ground, metres.

        Returns:
            (wavelengths, ...) shares.
        """
        layer = HAZE_HEIGHT / max(height, 1.0) * -np.expm1(-max(height, 1.0) / HAZE_HEIGHT)
        strength = (self.extinction * layer * (550.0 / wavelengths) ** 1.3).astype(np.float32)
        return np.asarray(np.exp(-strength.reshape(-1, *[1] * path.ndim) * path))


class ShadowMap:
    """Where the sun does not reach the ground: a square raster about the middle of the world.

    Args:
        extent: side in metres.
        light: with the sun.
    """

    def __init__(self, extent: float, light: Illumination) -> None:
        self.extent, self.light = extent, light
        self.dark = np.zeros((SHADOW_CELLS, SHADOW_CELLS), bool)

    def with_shadows(self, faces: Faces) -> "ShadowMap":
        """Return the map with the shadows of faces added, which fall on a plane at the base of each object.

        Args:
            faces: in local axes.
        """
        added = ShadowMap(self.extent, self.light)
        towards = faces.normals @ self.light.sun > 0
        corners, sun = faces.corners[towards], self.light.sun
        up = np.maximum(corners[..., 2] - faces.base[towards][:, None], 0)
        ground = corners[..., :2] - (up / sun[2])[..., None] * sun[:2]
        pixels = rasterise_polygons((ground * (1, -1) / self.extent + 0.5) * SHADOW_CELLS, SHADOW_CELLS, SHADOW_CELLS)
        added.dark = self.dark.copy()
        added.dark[pixels.row, pixels.column] = True
        return added

    def lit(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return whether the sun reaches the ground; it always does beyond the raster.

        Args:
            x: (n,) local metres east.
            y: (n,) local metres north.

        Returns:
            (n,) bool.
        """
        scale = np.float32(SHADOW_CELLS / self.extent)
        half = np.float32(SHADOW_CELLS / 2)
        # The horizon is at infinity, of which no whole number can be made.
        column, row = (
            np.nan_to_num(np.clip(place, -1, SHADOW_CELLS), nan=-1.0).astype(np.int32)
            for place in (x * scale + half, half - y * scale)
        )
        inside = (column >= 0) & (column < SHADOW_CELLS) & (row >= 0) & (row < SHADOW_CELLS)
        place = np.where(inside, row * SHADOW_CELLS + column, 0)
        return np.asarray(~(self.dark.ravel().take(place) & inside))
