"""What a platform tells in one frame: header, pose, feature cells of two branches, boxes, a request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skyweave.core.errors import WireError

if TYPE_CHECKING:
    from skyweave.core.geometry.grid import MapGrid

MAX_CELLS = 1 << 22  # of a grid: 2048 x 2048


@dataclass(frozen=True)
class WireGrid:
    """A ``MapGrid`` in whole numbers.

    Attributes:
        west, north: index of the west and north edge in cells, as in ``MapGrid``; within +-2**31.
        resolution: side of a cell in micrometres, 1 to 10**12 (10**9 for a grid that travels).
        rows, columns: at most 2**22 cells together.
        epsg: reference system with metres; 0 is the local frame that the fleet has agreed on.
    """

    west: int
    north: int
    resolution: int
    rows: int
    columns: int
    epsg: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.resolution <= 10**12:
            raise WireError(f"resolution {self.resolution} must be 1 to 10**12 micrometres")
        self._check_extent()
        if not 0 <= self.epsg < 1 << 24:
            raise WireError(f"EPSG code {self.epsg} must be 0 to {(1 << 24) - 1}")

    def _check_extent(self) -> None:
        """Refuse a grid of too few or too many cells, or too far from the origin."""
        if self.rows < 1 or self.columns < 1 or self.rows * self.columns > MAX_CELLS:
            raise WireError(f"a grid of {self.rows} x {self.columns} cells must have 1 to {MAX_CELLS} cells")
        if max(abs(self.west), abs(self.north)) >= 1 << 31:
            raise WireError(f"the corner ({self.west}, {self.north}) must be within 2**31 cells of the origin")

    @property
    def cells(self) -> int:
        """Return how many cells the grid has."""
        return self.rows * self.columns

    @property
    def metres(self) -> float:
        """Return the side of a cell in metres."""
        return self.resolution / 1e6

    def coarser(self, factor: int) -> "WireGrid":
        """Return the grid of larger cells that covers this one, snapped so that the cells of all peers align.

        Args:
            factor: how many cells along the side of a larger one.
        """
        west, north = self.west // factor, -(-self.north // factor)
        rows = north - (self.north - self.rows) // factor
        columns = -(-(self.west + self.columns) // factor) - west
        return replace(self, west=west, north=north, resolution=self.resolution * factor, rows=rows, columns=columns)

    @classmethod
    def from_map(cls, grid: "MapGrid") -> "WireGrid":
        """Convert a map grid to whole numbers.

        Args:
            grid: with a resolution in whole micrometres and an EPSG code or no CRS.

        Raises:
            WireError: another resolution, or a CRS without EPSG code.
        """
        resolution = round(grid.resolution * 1e6)
        if abs(resolution / 1e6 - grid.resolution) > 1e-12 * grid.resolution:
            raise WireError(f"a resolution of {grid.resolution} m is no whole number of micrometres; round it")
        epsg = 0 if grid.crs is None else _epsg_code(grid.crs)
        return cls(int(grid.west), int(grid.north), resolution, int(grid.rows), int(grid.columns), epsg)

    def to_map(self) -> "MapGrid":
        """Convert to a `MapGrid`.

        Raises:
            DataError: the EPSG code is unknown, or its unit is not the metre.
        """
        from skyweave.core.geometry.grid import MapGrid

        crs = f"EPSG:{self.epsg}" if self.epsg else None
        return MapGrid(self.west, self.north, self.metres, self.rows, self.columns, crs)


def _epsg_code(crs: str) -> int:
    """Return the number of a reference system that is named ``EPSG:number``."""
    authority, _, code = crs.partition(":")
    if authority.upper() != "EPSG" or not code.isdigit():
        raise WireError(f"only EPSG codes travel, not {crs[:40]!r}; name the system as EPSG:code")
    return int(code)


@dataclass(frozen=True)
class Pose:
    """Where the platform was.

    Attributes:
        position: (3,) metres in the grid's reference system.
        quaternion: (4,) wxyz, unit, world_from_platform.
        covariance: (6, 6) of position (metres) and rotation vector about the world's axes (radians), or None.
    """

    position: np.ndarray
    quaternion: np.ndarray
    covariance: np.ndarray | None = None


@dataclass(frozen=True)
class Cells:
    """Feature cells of one branch, as symbols.

    Attributes:
        indices: (n,) raster index (row * columns + column) in the branch's grid, each at most once.
        symbols: (n, channels) quantised features.
        contexts: (n,) which set of entropy tables holds for a cell; None: the first for all.
        saliency: (n,) the greater the sooner sent, comparable between branches; None: in the order given. It does
            not travel.
    """

    indices: np.ndarray
    symbols: np.ndarray
    contexts: np.ndarray | None = None
    saliency: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def dense(cls, features: np.ndarray, valid: np.ndarray | None = None) -> "Cells":
        """Take all cells of a feature map, or the valid ones.

        Args:
            features: (channels, rows, columns) quantised.
            valid: (rows, columns) bool; None: all.
        """
        channels = features.shape[0]
        chosen = np.arange(features[0].size) if valid is None else np.flatnonzero(valid)
        return cls(chosen, features.reshape(channels, -1)[:, chosen].T)

    def placed(self, grid: WireGrid, fill: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Place the symbols on the branch's grid.

        Args:
            grid: of the branch.
            fill: the symbol of cells that are not among these.

        Returns:
            (channels, rows, columns) symbols, and (rows, columns) bool where there are some.
        """
        features = np.full((self.symbols.shape[1], grid.cells), fill, self.symbols.dtype)
        valid = np.zeros(grid.cells, bool)
        features[:, self.indices] = self.symbols.T
        valid[self.indices] = True
        return features.reshape(-1, grid.rows, grid.columns), valid.reshape(grid.rows, grid.columns)


@dataclass(frozen=True)
class BoxList:
    """Detected things.

    Attributes:
        centres: (n, 3) metres in the grid's reference system.
        sizes: (n, 3) length, width, height, metres.
        yaws: (n,) radians counter-clockwise from east.
        classes: (n,) whole numbers 0 to 63.
        scores: (n,) 0 to 1.
        velocities: (n, 2) metres a second, east and north, or None.
        covariances: (n, 2, 2) of the centres east and north, square metres, NaN where one is not known; or None.
    """

    centres: np.ndarray
    sizes: np.ndarray
    yaws: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    velocities: np.ndarray | None = None
    covariances: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.centres)

    def select(self, which: np.ndarray | slice) -> "BoxList":
        """Return some of the boxes.

        Args:
            which: indices, a mask or a slice.
        """
        return BoxList(
            self.centres[which],
            self.sizes[which],
            self.yaws[which],
            self.classes[which],
            self.scores[which],
            None if self.velocities is None else self.velocities[which],
            None if self.covariances is None else self.covariances[which],
        )

    @classmethod
    def joined(cls, parts: "Sequence[BoxList]") -> "BoxList":
        """Join lists of boxes; velocities are kept only where all lists have them, covariances where any has.

        Args:
            parts: at least one list.
        """
        moving = [part.velocities for part in parts if part.velocities is not None]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("centres", "sizes", "yaws", "classes", "scores")
        }
        return cls(
            **columns,
            velocities=np.concatenate(moving) if len(moving) == len(parts) else None,
            covariances=_join_covariances(parts),
        )


def _join_covariances(parts: "Sequence[BoxList]") -> np.ndarray | None:
    """Return the covariances of all lists, NaN for those of a list without; None where none has any."""
    if all(part.covariances is None for part in parts):
        return None
    unknown = [np.full((len(part), 2, 2), np.nan) for part in parts]
    return np.concatenate([
        none if part.covariances is None else part.covariances for part, none in zip(parts, unknown, strict=True)
    ])  # fmt: skip


@dataclass(frozen=True)
class Request:
    """How much the sender wants to know about each part of the map.

    Attributes:
        levels: (rows, columns) whole numbers from 0 (nothing) to 15, on ``grid.coarser(factor)``.
        factor: cells of the grid along a side of one of the request's, 1 to 255.
    """

    levels: np.ndarray
    factor: int


@dataclass(frozen=True)
class FrameContent:
    """One frame of one platform; what was not sent or was lost is None or has fewer cells.

    Attributes:
        platform: number of the platform, below 2**32.
        sequence: counts the platform's frames, below 2**32.
        time: capture, UTC nanoseconds.
        grid: the map that the cells lie on.
        fingerprint: of the feature space, below 2**32.
        codec: which codec, below 256.
        quality: its setting, below 256.
        pose: of the platform.
        low, high: cells of the coarse and the full branch.
        boxes: detections, readable by every peer.
        request: how much the sender wants to know about each part of the map.
    """

    platform: int
    sequence: int
    time: int
    grid: WireGrid
    fingerprint: int = 0
    codec: int = 0
    quality: int = 0
    pose: Pose | None = None
    low: Cells | None = None
    high: Cells | None = None
    boxes: BoxList | None = None
    request: Request | None = None
