"""Where along its ray a feature may stand: the parametrisations of depth behind one interface.

A pixel's ray meets the ground at depth d_g. What stands there hides the ground, so it is somewhere in front of that
depth. Each parametrisation lays ``count`` nodes along the ray, a network predicts a categorical distribution over them,
and the feature is spread over the map cells below those nodes. Depths are along the optical axis, in metres.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import ElevationModel, Ground, GroundPlane

MAX_TERRAIN_SURFACES = 9  # surfaces that are really intersected above relief; depths between them are interpolated


@dataclass(frozen=True, eq=False)
class GroundRays:
    """The rays of a feature map's pixels and where they meet the ground.

    Attributes:
        position: (3,) world position of the camera, metres, float64.
        directions: (pixels, 3) world directions of unit depth, float64.
        ground_depth: (pixels,) depth where each meets the ground; NaN at or above the horizon and off the terrain.
        ground: what they meet.
    """

    position: Tensor
    directions: Tensor
    ground_depth: Tensor
    ground: Ground


class Bins(Protocol):
    """A parametrisation of depth."""

    @property
    def count(self) -> int:
        """Number of nodes."""
        ...

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, count) float64 depths, monotonic along a ray; NaN where a node is not in front of the camera."""
        ...

    def reach(self, clearance: float) -> float:
        """Metres above the ground up to which things are placed by a camera ``clearance`` metres above it."""
        ...


@dataclass(frozen=True)
class HeightBins:
    """Heights above the ground: d = d_g - h / f, where f is the metres by which the ray falls per metre of depth.

    The same as d = d_g (1 - h / c) with the camera c above the ground. A thing of some height is in the same bin
    whatever the altitude, the pitch and the focal length.

    Above an elevation model h is the height over the terrain right below the point: the surfaces raised by up to nine
    heights are intersected and depths between them interpolated. With ``follow_terrain=False`` h is the height over
    the point where the ray meets the ground, which is as exact as the terrain is level between the two, and cheap.

    Attributes:
        ceiling: height of the last node in metres; the first is on the ground.
        count: number of nodes.
        exponent: nodes at ``ceiling * (i / (count - 1)) ** exponent``: 1 is uniform, more is denser near the ground.
        follow_terrain: see above.
    """

    ceiling: float = 15.0
    count: int = 100
    exponent: float = 1.0
    follow_terrain: bool = True

    def __post_init__(self) -> None:
        _check(self, "ceiling")

    def heights(self) -> np.ndarray:
        """(count,) metres above the ground."""
        return self.ceiling * _fractions(self.count, self.exponent)

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, count); NaN for nodes at or above the camera."""
        heights = self.heights()
        if self.follow_terrain and not isinstance(rays.ground, GroundPlane):
            return _terrain_depths(rays, heights)
        rise = torch.as_tensor(heights, dtype=torch.float64, device=rays.directions.device)
        return _in_front(torch.addcdiv(rays.ground_depth[:, None], rise, rays.directions[:, 2:]))  # z falls: minus

    def reach(self, clearance: float) -> float:
        """The ceiling."""
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
    """

    span: float = 0.2
    count: int = 100
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "span")
        if self.span >= 1:
            raise ValueError(f"RatioBins need a span below 1 (1 is the camera itself), got {self.span}")

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, count)."""
        fractions = 1 - self.span * _fractions(self.count, self.exponent)
        return rays.ground_depth[:, None] * torch.as_tensor(fractions, device=rays.directions.device)

    def reach(self, clearance: float) -> float:
        """``span`` of the camera's height above the ground."""
        return self.span * max(clearance, 0.0)


@dataclass(frozen=True)
class OffsetBins:
    """Metres in front of the ground along the optical axis: d = d_g - o (UCDNet, arXiv 2406.04648: 11 nodes, 1 m).

    Attributes:
        span: the last node is this many metres in front of the ground; the first is on it.
        count: number of nodes.
        exponent: 1 is uniform, more is denser near the ground.
    """

    span: float = 10.0
    count: int = 11
    exponent: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "span")

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, count); NaN for nodes behind the camera (UCDNet clamps them)."""
        offsets = self.span * _fractions(self.count, self.exponent)
        return _in_front(rays.ground_depth[:, None] - torch.as_tensor(offsets, device=rays.directions.device))

    def reach(self, clearance: float) -> float:
        """``span``: what a camera that looks straight down reaches."""
        return self.span


@dataclass(frozen=True)
class DepthBins:
    """Absolute depths ``start, start + step, ...`` below ``stop`` (Lift-Splat-Shoot, arXiv 2008.05711).

    Needs no ground: rays above the horizon are lifted too, and nodes below the ground are placed as published.

    Attributes:
        start: first depth in metres > 0.
        stop: no node at or beyond this depth.
        step: metres between nodes.
    """

    start: float = 4.0
    stop: float = 45.0
    step: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.start < self.stop < np.inf and self.step > 0):
            raise ValueError(
                f"DepthBins need 0 < start < stop and step > 0 in metres, got start {self.start}, stop {self.stop}, "
                f"step {self.step}"
            )

    @property
    def count(self) -> int:
        """Number of nodes."""
        return int(np.ceil((self.stop - self.start) / self.step - 1e-9))

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, count), the same for every pixel."""
        depths = self.start + self.step * np.arange(self.count, dtype=np.float64)
        return torch.as_tensor(depths, device=rays.directions.device).expand(len(rays.directions), -1)

    def reach(self, clearance: float) -> float:
        """0: the footprint on the ground is what counts as seen."""
        return 0.0


@dataclass(frozen=True)
class FlatGround:
    """One node, the ground itself: inverse perspective mapping."""

    @property
    def count(self) -> int:
        """1."""
        return 1

    def depths(self, rays: GroundRays) -> Tensor:
        """(pixels, 1)."""
        return rays.ground_depth[:, None]

    def reach(self, clearance: float) -> float:
        """0."""
        return 0.0


def ground_rays(
    geometry: CameraGeometry, ground: Ground, shape: tuple[int, int], device: torch.device | str = "cpu"
) -> GroundRays:
    """The rays through the cell centres of a feature map of ``shape`` (rows, columns) over a camera's picture."""
    directions = geometry.world_rays(geometry.camera.pixel_centres(*shape).reshape(-1, 2))
    depth = ground.depth(geometry.position, directions)
    tensors = [torch.as_tensor(values, device=device) for values in (geometry.position, directions, depth)]
    return GroundRays(tensors[0], tensors[1], tensors[2], ground)


def depth_targets(depths: Tensor, truth: Tensor, soft: bool = True) -> tuple[Tensor, Tensor]:
    """What a network should predict where the depth is known.

    Args:
        depths: (..., bins) depths of the nodes, from `Bins.depths`.
        truth: (...) metric depths along the optical axis; NaN or infinity where unknown.
        soft: share between the two nodes around the truth, so that the expected depth is exact; else the nearest.

    Returns:
        targets (..., bins) that sum to 1, and a mask (...): false where the truth is unknown or more than half a bin
        outside the nodes (above the ceiling, below the ground) or the ray has no nodes; targets are 0 there.
    """
    shape, bins = truth.shape, depths.shape[-1]
    depths, truth = depths.reshape(-1, bins), truth.reshape(-1, 1).to(depths.dtype)
    if bins == 1:
        mask = torch.isfinite(depths) & torch.isfinite(truth)
        return mask.to(depths.dtype).reshape(*shape, 1), mask.reshape(shape)
    sign = torch.where(depths[:, 1:2] < depths[:, :1], -1.0, 1.0).to(depths.dtype)
    nodes = (depths * sign).nan_to_num(nan=torch.inf).contiguous()
    place = (truth * sign).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf)
    upper = torch.searchsorted(nodes, place)
    low, high = (upper - 1).clamp(0, bins - 1), upper.clamp(0, bins - 1)
    below, above = nodes.gather(1, low), nodes.gather(1, high)
    share = torch.where(high > low, (place - below) / (above - below), 0.0)
    last = torch.isfinite(nodes).sum(1, keepdim=True).sub_(1).clamp_(min=1)
    past_end = high > last  # between the last node and one that is not in front of the camera, or after the end
    margin_first = (nodes[:, 1:2] - nodes[:, :1]) / 2
    margin_last = (nodes.gather(1, last) - nodes.gather(1, last - 1)) / 2
    mask = (
        torch.isfinite(place)
        & torch.isfinite(nodes[:, 1:2])
        & (place >= nodes[:, :1] - margin_first)
        & (place <= nodes.gather(1, last) + margin_last)
    )
    share = torch.where(past_end, 0.0, share)
    if not soft:
        share = (share > 0.5).to(share.dtype)
    share = torch.where(mask, share, 0.0)
    targets = torch.zeros_like(nodes)
    targets.scatter_add_(1, low, (1 - share) * mask)
    targets.scatter_add_(1, high.where(~past_end, low), share * mask)
    return targets.reshape(*shape, bins), mask.reshape(shape)


def _terrain_depths(rays: GroundRays, heights: np.ndarray) -> Tensor:
    """Depths at which rays first meet the terrain raised by each height; a higher surface is always met earlier."""
    knots = np.linspace(heights[0], heights[-1], min(MAX_TERRAIN_SURFACES, len(heights)))
    position, directions = rays.position.cpu().numpy(), rays.directions.cpu().numpy()
    met = np.stack([_raised(rays.ground, float(h)).depth(position, directions) for h in knots], -1)
    met[np.isnan(rays.ground_depth.cpu().numpy())] = np.nan
    if len(knots) == len(heights) == 1:
        return torch.as_tensor(met, device=rays.directions.device)
    place = (heights - knots[0]) / (knots[1] - knots[0])
    low = np.minimum(place.astype(np.int64), len(knots) - 2)
    share = place - low
    depths = np.where(share == 0, met[:, low], met[:, low] * (1 - share) + met[:, low + 1] * share)
    return _in_front(torch.as_tensor(depths, device=rays.directions.device))


def _raised(ground: Ground, height: float) -> Any:
    if isinstance(ground, GroundPlane):
        return replace(ground, z=ground.z + height)
    if isinstance(ground, ElevationModel):
        return replace(ground, heights=ground.heights + height)
    raise TypeError(
        f"cannot follow the terrain of a {type(ground).__name__}; use GroundPlane, ElevationModel, or "
        "HeightBins(follow_terrain=False)"
    )


def _in_front(depths: Tensor) -> Tensor:
    return depths.masked_fill(depths <= 0, torch.nan)


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
    if not (np.isfinite(bins.exponent) and bins.exponent > 0):
        raise ValueError(f"{name} need an exponent > 0, got {bins.exponent}")


BINS: dict[str, Any] = {
    "height": HeightBins,
    "ratio": RatioBins,
    "offset": OffsetBins,
    "depth": DepthBins,
    "flat": FlatGround,
}


def build_bins(kind: str, **options: Any) -> Bins:
    """Bins by the name they have in configurations: ``build_bins("height", ceiling=10, count=100)``.

    Raises:
        ValueError: no such kind, or an option it does not have.
    """
    if kind not in BINS:
        raise ValueError(f"no bins {kind!r}; there are {', '.join(BINS)}")
    try:
        bins: Bins = BINS[kind](**options)
    except TypeError as error:
        raise ValueError(f"bins {kind!r}: {error}") from None
    return bins
