"""The ground as a prior: how far along each ray the ground lies.

`GroundPlane` works on NumPy arrays and torch tensors alike, with gradients towards pose and ray.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid

MIN_DESCENT = 1e-6  # metres of fall per metre of depth; flatter rays never meet the ground


class Ground(Protocol):
    """A surface that rays can meet."""

    def depth(self, position: Any, rays: Any) -> Any:
        """Return the depth at which rays meet the ground: (...,), NaN where they do not.

        Args:
            position: (..., 3) world position of the camera, array or tensor.
            rays: (..., 3) world directions of unit depth (`CameraGeometry.world_rays`).
        """
        ...

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return the height of the ground: (...,) metres, NaN where it is unknown.

        Args:
            points: (..., 2 or 3) world positions in metres.
        """
        ...


@dataclass(frozen=True)
class GroundPlane:
    """Level ground.

    Attributes:
        z: height in metres.
    """

    z: float = 0.0

    def depth(self, position: Any, rays: Any) -> Any:
        """Return the depth to the plane.

        Args:
            position: (..., 3) world position of the camera, array or tensor.
            rays: (..., 3) world directions of unit depth (`CameraGeometry.world_rays`).

        Returns:
            (...,) depth in units of the ray, NaN at or above the horizon and for a camera below the ground.
        """
        fall = rays[..., 2]
        meets = (fall < -MIN_DESCENT) & (position[..., 2] > self.z)
        safe = fall * meets + (meets * 1.0 - 1.0)  # -1 where the ray does not meet, so gradients stay finite
        depth = (self.z - position[..., 2]) / safe
        if isinstance(depth, np.ndarray | np.floating):
            return np.where(meets, depth, np.nan)
        return depth.masked_fill(~meets, float("nan"))

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return the plane's height at every point: (...,) metres.

        Args:
            points: (..., 2 or 3) world positions.
        """
        return np.full(np.shape(points)[:-1], self.z)


@dataclass(frozen=True)
class ElevationModel:
    """A digital elevation model on a map grid, interpolated bilinearly between cell centres.

    Attributes:
        heights: (rows, columns) metres; NaN where unknown.
        grid: where the cells lie.
        step: horizontal step of the search along a ray in cells; a ridge thinner than this may be missed.
    """

    heights: np.ndarray
    grid: MapGrid
    step: float = 0.5
    _range: tuple[float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        heights = np.asarray(self.heights, np.float64)
        if heights.shape != self.grid.shape:
            raise DataError(f"heights have shape {heights.shape}, the grid has {self.grid.shape}")
        if not np.isfinite(heights).any():
            raise DataError("the elevation model has no finite height")
        object.__setattr__(self, "heights", heights)
        object.__setattr__(self, "_range", (float(np.nanmin(heights)), float(np.nanmax(heights))))

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return bilinear heights: (...,) metres; NaN outside the centres or beside unknown cells.

        Args:
            points: (..., 2 or 3) world positions in metres.
        """
        cells = self.grid.cells_from_world(points) - 0.5
        last = np.array(self.grid.shape) - 1
        with np.errstate(invalid="ignore"):
            inside = np.all((cells >= -1e-9) & (cells <= last + 1e-9), axis=-1)
        cells = np.clip(np.where(inside[..., None], cells, 0), 0, last)
        low = np.minimum(cells.astype(np.int64), np.maximum(last - 1, 0))
        high = np.minimum(low + 1, last)
        fr, fc = np.moveaxis(cells - low, -1, 0)
        h = self.heights
        top = h[low[..., 0], low[..., 1]] * (1 - fc) + h[low[..., 0], high[..., 1]] * fc
        bottom = h[high[..., 0], low[..., 1]] * (1 - fc) + h[high[..., 0], high[..., 1]] * fc
        return np.where(inside, top * (1 - fr) + bottom * fr, np.nan)

    def depth(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return the depth at which each ray first meets the surface.

        Marches from where the ray may first touch (the highest height) to where it must have passed (the lowest),
        then bisects; exact to a micrometre on the bilinear surface where the march saw the crossing.

        Args:
            position: (3,) world position of the camera.
            rays: (..., 3) world directions of unit depth.

        Returns:
            (...,) depth; NaN above the horizon, where the ray leaves the model before it meets the ground, and
            where it first enters over unknown heights.
        """
        position = np.asarray(position, np.float64)
        shape, rays = rays.shape[:-1], np.asarray(rays, np.float64).reshape(-1, 3)
        result = np.full(len(rays), np.nan)
        fall = -rays[:, 2]
        meets = np.isfinite(rays).all(-1) & (fall > MIN_DESCENT)
        start = np.where(meets, np.maximum((position[2] - self._range[1]) / np.where(meets, fall, 1), 0.0), 0.0)
        stop = np.where(meets, (position[2] - self._range[0]) / np.where(meets, fall, 1), -1.0) + 1e-6
        start, stop = np.maximum(start - 1e-6, 0.0), np.minimum(stop, self._exit(position, rays))
        here = self.height(position[None])[0]
        active = np.flatnonzero(meets & (stop > start))
        if np.isfinite(here) and position[2] <= here:
            return result.reshape(shape)  # the camera is under the ground
        speed = np.hypot(rays[:, 0], rays[:, 1])
        low = start.copy()
        hits: list[tuple[np.ndarray, np.ndarray]] = []  # rays, and the end of the step in which they crossed
        while active.size:
            # a step of fixed length on the map; straight down it is the whole way
            high = np.minimum(
                low[active] + self.step * self.grid.resolution / np.maximum(speed[active], 1e-9), stop[active]
            )
            points = position + high[:, None] * rays[active]
            above = points[:, 2] - self.height(points)
            crossed = above <= 0
            if crossed.any():
                hits.append((active[crossed], high[crossed]))  # their `low` stays where the step began
            on = ~crossed & (high < stop[active])
            low[active[on]] = high[on]
            active = active[on]
        if hits:  # all at once: fifty halvings of a few rays at a time would take most of the time
            hit, end = np.concatenate([rays_hit for rays_hit, _ in hits]), np.concatenate([ends for _, ends in hits])
            result[hit] = self._bisect(position, rays[hit], low[hit], end)
        return result.reshape(shape)

    def _bisect(self, position: np.ndarray, rays: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        first = position + low[:, None] * rays
        known = np.isfinite(self.height(first)) | (low == 0) | (first[:, 2] >= self._range[1])
        for _ in range(50):
            middle = (low + high) / 2
            points = position + middle[:, None] * rays
            below = points[:, 2] - self.height(points) <= 0  # unknown counts as above: the crossing comes later
            low, high = np.where(below, low, middle), np.where(below, middle, high)
        point = position + high[:, None] * rays
        exact = np.abs(point[:, 2] - self.height(point)) < 1e-3  # else it entered from the side, under the surface
        return np.where(known & exact, high, np.nan)

    def _exit(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return the depth at which each ray leaves the model's bounds for good."""
        west, south, east, north = self.grid.bounds
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = np.where(rays[:, 0] >= 0, east - position[0], west - position[0]) / rays[:, 0]
            y = np.where(rays[:, 1] >= 0, north - position[1], south - position[1]) / rays[:, 1]
        x = np.where(rays[:, 0] == 0, np.inf, x)
        y = np.where(rays[:, 1] == 0, np.inf, y)
        return np.minimum(x, y)
