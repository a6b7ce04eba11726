"""Bins relative to the ground: by height above it, by a fraction of its depth, by metres in front of it, or on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.ground import GroundPlane
from skyweave.mapping.rays import GroundRays
from skyweave.mapping.terrain import in_front, terrain_depths


@dataclass(frozen=True)
class HeightBins:
    """Heights above the ground: d = d_g - h / f, where f is the metres by which the ray falls per metre of depth.

    The same as d = d_g (1 - h / c) with the camera c above the ground. An object of some height is in the same bin
    whatever the altitude, the pitch and the focal length.

    Above an elevation model h is the height over the terrain right below the point: the surfaces raised by up to nine
    heights are intersected and depths between them interpolated. With ``follow_terrain=False`` h is the height over
    the point where the ray meets the ground, which is as exact as the terrain is level between the two, and cheap.

    Attributes:
        ceiling: height of the last node in metres; the first is on the ground.
        count: number of nodes.
        exponent: nodes at ``ceiling * (i / (count - 1)) ** exponent``: 1 is uniform, more is denser near the ground.
        follow_terrain: measure heights above the terrain below the point.

    Raises:
        ValueError: an extent or exponent that is not above 0, or fewer than 2 nodes.
    """

    ceiling: float = 15.0
    count: int = 100
    exponent: float = 1.0
    follow_terrain: bool = True

    def __post_init__(self) -> None:
        _check(self, "ceiling")

    def heights(self) -> np.ndarray:
        """Return (count,) metres above the ground."""
        return self.ceiling * _fractions(self.count, self.exponent)

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, count) depths; NaN for nodes at or above the camera.

        Args:
            rays: of a camera's pixels.
        """
        heights = self.heights()
        if self.follow_terrain and not isinstance(rays.ground, GroundPlane):
            return terrain_depths(rays, heights)
        rise = torch.as_tensor(heights, dtype=torch.float64, device=rays.directions.device)
        return in_front(torch.addcdiv(rays.ground_depth[:, None], rise, rays.directions[:, 2:]))  # z falls: minus

    def reach(self, clearance: float) -> float:
        """Return the ceiling.

        Args:
            clearance: of the camera above the ground, metres; not used.
        """
        return self.ceiling


@dataclass(frozen=True)
class RatioBins:
    """Fractions of the depth of the ground: d = d_g (1 - s), s up to ``span`` (RS-DFM, arXiv 2406.07032).

    Free of altitude in its units, not in its meaning: a node stands s times the camera's height above the ground. The
    released code of the same authors (DHD) has 100 uniform nodes from 0 to 0.198: ``RatioBins(0.198, 100)``.

    Attributes:
        span: the last node is at ``1 - span`` of the ground's depth, 0 < span < 1; the first is on the ground.
        count: number of nodes.
        exponent: 1 is uniform, more is denser near the ground.

    Raises:
        ValueError: an extent or exponent that is not above 0, or fewer than 2 nodes.
    """

    span: float = 0.2
    count: int = 100
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "span")
        if self.span >= 1:
            raise ValueError(f"RatioBins need a span below 1 (1 is the camera itself), got {self.span}")

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, count) depths.

        Args:
            rays: of a camera's pixels.
        """
        fractions = 1 - self.span * _fractions(self.count, self.exponent)
        return rays.ground_depth[:, None] * torch.as_tensor(fractions, device=rays.directions.device)

    def reach(self, clearance: float) -> float:
        """Return ``span`` of the camera's height above the ground.

        Args:
            clearance: of the camera above the ground, metres.
        """
        return self.span * max(clearance, 0.0)


@dataclass(frozen=True)
class OffsetBins:
    """Metres in front of the ground along the optical axis: d = d_g - o (UCDNet, arXiv 2406.04648: 11 nodes, 1 m).

    Attributes:
        span: the last node is this many metres in front of the ground; the first is on it.
        count: number of nodes.
        exponent: 1 is uniform, more is denser near the ground.

    Raises:
        ValueError: an extent or exponent that is not above 0, or fewer than 2 nodes.
    """

    span: float = 10.0
    count: int = 11
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "span")

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, count) depths; NaN for nodes behind the camera (UCDNet clamps them).

        Args:
            rays: of a camera's pixels.
        """
        offsets = self.span * _fractions(self.count, self.exponent)
        return in_front(rays.ground_depth[:, None] - torch.as_tensor(offsets, device=rays.directions.device))

    def reach(self, clearance: float) -> float:
        """Return ``span``, which a camera that looks straight down reaches.

        Args:
            clearance: of the camera above the ground, metres; not used.
        """
        return self.span


@dataclass(frozen=True)
class FlatGround:
    """One node, the ground itself: inverse perspective mapping."""

    @property
    def count(self) -> int:
        """Number of nodes along a ray: 1."""
        return 1

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, 1) depths of the ground.

        Args:
            rays: of a camera's pixels.
        """
        return rays.ground_depth[:, None]

    def reach(self, clearance: float) -> float:
        """Return 0.

        Args:
            clearance: of the camera above the ground, metres; not used.
        """
        return 0.0


def _fractions(count: int, exponent: float) -> np.ndarray:
    """(count,) from 0 to 1."""
    fractions: np.ndarray = (np.arange(count) / (count - 1)) ** exponent
    return fractions


def _check(bins: Any, extent: str) -> None:
    name, value = type(bins).__name__, getattr(bins, extent)
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} need a {extent} > 0, got {value}")
    if bins.count < 2:
        raise ValueError(f"{name} need at least 2 bins, got {bins.count}; FlatGround is the ground alone")
    _check_exponent(bins, name)


def _check_exponent(bins: Any, name: str) -> None:
    """Check the exponent of bins."""
    if not (np.isfinite(bins.exponent) and bins.exponent > 0):
        raise ValueError(f"{name} need an exponent > 0, got {bins.exponent}")
