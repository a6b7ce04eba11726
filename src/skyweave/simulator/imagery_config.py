"""Imagery of a simulated world from another time, as read from ``configs/world/*.yaml``."""

import math
from dataclasses import dataclass

from skyweave.core.errors import ConfigError

RAY_SPACING_M = 0.6  # on the ground, at most, of the rays that a pixel averages
MAX_RAYS = 16  # along a side of a pixel


@dataclass(frozen=True)
class ImageryConfig:
    """One orthorectified image of the place that every scene has, taken before its frames.

    Attributes:
        name: of it, unique in a world.
        sensor: catalogue name; bands: of it, in this order; None for all.
        ground_sample_distance: metres a pixel.
        size: side of the square that it shows, metres, about the middle of the world.
        age: days from the image to the first frame.
        shift: standard deviation of its place, east and north, metres; it is stated with the image.
        changed: share of the buildings that have been built since, and as large a one of those that have gone.
        seasons: share of images of another season than summer: dry, autumn or snow, a third each.
        materials: spread of the logarithm of each material's reflectance from what it is now.
        clouds: share of an image that clouds hide, at most.
    """

    name: str = "ortho"
    sensor: str = "rgb"
    bands: list[str] | None = None
    ground_sample_distance: float = 1.0
    size: float = 220.0
    age: tuple[float, float] = (30.0, 400.0)
    shift: float = 0.5
    changed: float = 0.1
    seasons: float = 0.75
    materials: float = 0.15
    clouds: float = 0.0

    def __post_init__(self) -> None:
        if not (0.1 <= self.ground_sample_distance <= 60 and 1 <= self.pixels <= 4096):
            raise ConfigError(
                f"imagery {self.name!r}: {self.size} m at {self.ground_sample_distance} m a pixel; choose pixels of "
                "0.1 to 60 m, and 1 to 4096 a side"
            )
        if not 0 <= self.age[0] <= self.age[1]:
            raise ConfigError(f"imagery {self.name!r}: age is {list(self.age)} days; give [least, most], not negative")
        self._check_shares()

    def _check_shares(self) -> None:
        """Check spreads and shares."""
        if min(self.shift, self.materials) < 0:
            raise ConfigError(f"imagery {self.name!r}: shift and materials are spreads; they cannot be negative")
        shares = {"changed": self.changed, "seasons": self.seasons, "clouds": self.clouds}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"imagery {self.name!r}: {name} is {share}; it is a share, from 0 to 1")

    @property
    def pixels(self) -> int:
        """Return the pixels along a side."""
        return round(self.size / self.ground_sample_distance)

    @property
    def rays(self) -> int:
        """Return the rays along a side of a pixel."""
        return min(max(math.ceil(self.ground_sample_distance / RAY_SPACING_M), 1), MAX_RAYS)
