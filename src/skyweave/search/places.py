"""Where patches lie on the Earth: cells of one grid, or an outline each."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import is_in_degrees, project_lon_lat, unproject_lon_lat, unwrap_longitudes

Ring = np.ndarray
"""(corners, 2) longitude and latitude."""
Affine = tuple[float, float, float, float, float, float]


class Places(ABC):
    """The places of the patches of one file, in the order of their vectors.

    Attributes:
        kind: word by which an index file knows the class.
    """

    kind: ClassVar[str]

    @abstractmethod
    def outlines(self, numbers: np.ndarray) -> np.ndarray:
        """Return corners of patches, (patches, 4, 2) longitude and latitude, counter-clockwise.

        Args:
            numbers: of the patches, (patches,).
        """

    @abstractmethod
    def at(self, longitude: float, latitude: float) -> int | None:
        """Return the number of the patch that a point lies in; None where there is none.

        Args:
            longitude: degrees.
            latitude: degrees.
        """

    @abstractmethod
    def inside(self, rings: list[Ring]) -> np.ndarray:
        """Return the numbers of the patches whose centre lies in a polygon, (patches,).

        Args:
            rings: of the polygon: its outline, then its holes.
        """

    @abstractmethod
    def describe(self, number: int) -> dict[str, Any]:
        """Return what names a patch in its file.

        Args:
            number: of the patch.
        """

    @abstractmethod
    def to_arrays(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return one array with a row a patch, and what else an index file has to hold, as JSON values."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, positions: np.ndarray, fields: dict[str, Any]) -> Self:
        """Return places from what `to_arrays` gave.

        Args:
            positions: a row a patch.
            fields: JSON values.
        """


class GridPlaces(Places):
    """Patches that are cells of one georeferenced grid.

    Args:
        cells: row times columns plus column, of each patch, int64.
        shape: rows and columns of the grid.
        affine: (a, b, c, d, e, f) with x = a * column + b * row + c and y = d * column + e * row + f.
        crs: coordinate reference system as WKT; None: unknown.
    """

    kind = "grid"

    def __init__(self, cells: np.ndarray, shape: tuple[int, int], affine: Affine, crs: str | None) -> None:
        self.cells, self.shape, self.affine, self.crs = cells, shape, affine, crs

    def outlines(self, numbers: np.ndarray) -> np.ndarray:
        """Return corners of patches, (patches, 4, 2) longitude and latitude, counter-clockwise.

        Args:
            numbers: of the patches, (patches,).
        """
        rows, columns = np.divmod(self.cells[numbers], self.shape[1])
        corner_rows = rows[:, None] + np.array([1, 1, 0, 0])
        corner_columns = columns[:, None] + np.array([0, 1, 1, 0])
        a, b, c, d, e, f = self.affine
        x, y = a * corner_columns + b * corner_rows + c, d * corner_columns + e * corner_rows + f
        corners = unproject_lon_lat(np.stack([x.ravel(), y.ravel()], 1), self.known_crs())
        return _counter_clockwise(corners.reshape(-1, 4, 2))

    def at(self, longitude: float, latitude: float) -> int | None:
        """Return the number of the patch that a point lies in; None where there is none.

        Args:
            longitude: degrees.
            latitude: degrees.
        """
        column, row = self.grid_coordinates(np.array([[longitude, latitude]]))[0]
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            return None
        matches = np.flatnonzero(self.cells == int(row) * self.shape[1] + int(column))
        return int(matches[0]) if len(matches) else None

    def inside(self, rings: list[Ring]) -> np.ndarray:
        """Return the numbers of the patches whose centre lies in a polygon, (patches,).

        Args:
            rings: of the polygon: its outline, then its holes.
        """
        local = [self.grid_coordinates(ring) for ring in rings]
        first = np.floor(local[0].min(0)).clip(0).astype(int)
        stop = np.ceil(local[0].max(0)).clip(max=[self.shape[1], self.shape[0]]).astype(int)
        if (stop <= first).any():
            return np.zeros(0, np.int64)
        columns, rows = np.meshgrid(np.arange(first[0], stop[0]), np.arange(first[1], stop[1]))
        points = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
        within = points_in_rings(points, local)
        cells = (rows * self.shape[1] + columns).ravel()[within]
        return np.flatnonzero(np.isin(self.cells, cells))

    def describe(self, number: int) -> dict[str, Any]:
        """Return row and column of a patch in its file.

        Args:
            number: of the patch.
        """
        row, column = divmod(int(self.cells[number]), self.shape[1])
        return {"row": row, "column": column}

    def to_arrays(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the cells, and shape, affine and reference system of the grid."""
        return self.cells, {"shape": list(self.shape), "affine": list(self.affine), "crs": self.crs}

    @classmethod
    def from_arrays(cls, positions: np.ndarray, fields: dict[str, Any]) -> Self:
        """Return places from what `to_arrays` gave.

        Args:
            positions: a row a patch.
            fields: JSON values.
        """
        rows, columns = fields["shape"]
        return cls(positions, (rows, columns), tuple(fields["affine"]), fields["crs"])

    def grid_coordinates(self, points: np.ndarray) -> np.ndarray:
        """Return (column, row) of points, with cell corners at whole numbers, (points, 2).

        Args:
            points: (points, 2) longitude and latitude.
        """
        x, y = project_lon_lat(points, self.known_crs()).T
        a, b, c, d, e, f = self.affine
        if is_in_degrees(self.known_crs()):  # a grid may count 0 to 360, or on beyond 180
            x = unwrap_longitudes(x, a * self.shape[1] / 2 + b * self.shape[0] / 2 + c)
        determinant = a * e - b * d
        column = (e * (x - c) - b * (y - f)) / determinant
        row = (a * (y - f) - d * (x - c)) / determinant
        return np.stack([column, row], axis=1)

    def known_crs(self) -> str:
        """Return the reference system, as WKT.

        Raises:
            DataError: it is not known.
        """
        if self.crs is None:
            raise DataError(
                "the embeddings have no coordinate reference system, so no place on the Earth is known; "
                "give their scene one and embed it again: gdal_edit.py -a_srs EPSG:CODE SCENE.tif"
            )
        return self.crs


class OutlinePlaces(Places):
    """Patches that have an outline each, as in a table.

    Args:
        corners: (patches, 4, 2) longitude and latitude; a box over the antimeridian may end west of where it begins.
    """

    kind = "outlines"

    def __init__(self, corners: np.ndarray) -> None:
        self.corners = unwrap_outlines(corners)

    def outlines(self, numbers: np.ndarray) -> np.ndarray:
        """Return corners of patches, (patches, 4, 2) longitude and latitude, counter-clockwise.

        Args:
            numbers: of the patches, (patches,).
        """
        return _counter_clockwise(self.corners[numbers])

    def at(self, longitude: float, latitude: float) -> int | None:
        """Return the number of the patch that a point lies in; None where there is none.

        Args:
            longitude: degrees.
            latitude: degrees.
        """
        points = np.full((len(self.corners), 2), latitude)
        points[:, 0] = unwrap_longitudes(np.array(longitude), self.corners[:, :, 0].mean(1))
        near = np.flatnonzero(((self.corners.min(1) <= points) & (points <= self.corners.max(1))).all(1))
        return next((int(n) for n in near if points_in_rings(points[n][None], [self.corners[n]])[0]), None)

    def inside(self, rings: list[Ring]) -> np.ndarray:
        """Return the numbers of the patches whose centre lies in a polygon, (patches,).

        Args:
            rings: of the polygon: its outline, then its holes.
        """
        centres = self.corners.mean(1)
        centres[:, 0] = unwrap_longitudes(centres[:, 0], float(rings[0][:, 0].mean()))
        return np.flatnonzero(points_in_rings(centres, rings))

    def describe(self, number: int) -> dict[str, Any]:
        """Return the row of a patch in its table.

        Args:
            number: of the patch.
        """
        return {"row": int(number)}

    def to_arrays(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the corners of all outlines, and nothing else."""
        return self.corners, {}

    @classmethod
    def from_arrays(cls, positions: np.ndarray, fields: dict[str, Any]) -> Self:
        """Return places from what `to_arrays` gave.

        Args:
            positions: a row a patch.
            fields: nothing.
        """
        return cls(positions)


PLACES: dict[str, type[Places]] = {places.kind: places for places in (GridPlaces, OutlinePlaces)}


def points_in_rings(points: np.ndarray, rings: list[Ring]) -> np.ndarray:
    """Return which points lie in a polygon by the even-odd rule, (points,) bool.

    Args:
        points: (points, 2).
        rings: of the polygon: its outline, then its holes; closed or not.
    """
    inside = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            crosses = (y0 <= y) != (y1 <= y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def unwrap_outlines(outlines: np.ndarray) -> np.ndarray:
    """Return outlines in one piece: where one crosses the antimeridian its longitudes go on beyond 180 degrees.

    Args:
        outlines: (patches, corners, 2) longitude and latitude.
    """
    first = outlines[:, :1, 0]
    longitudes = first + (outlines[..., 0] - first + 180) % 360 - 180
    return np.stack([longitudes, outlines[..., 1]], axis=-1)


def centres_of(outlines: np.ndarray) -> np.ndarray:
    """Return the centres of outlines, (patches, 2) longitude, -180 to 180, and latitude.

    Args:
        outlines: (patches, corners, 2) longitude and latitude.
    """
    centres = unwrap_outlines(outlines).mean(1)
    centres[:, 0] = unwrap_longitudes(centres[:, 0], 0.0)
    return np.asarray(centres)


def _counter_clockwise(corners: np.ndarray) -> np.ndarray:
    """Turn outlines round that are clockwise, which depends on the signs of the grid's axes."""
    corners = unwrap_outlines(corners)
    following = np.roll(corners, -1, axis=1)
    doubled_area = (corners[..., 0] * following[..., 1] - following[..., 0] * corners[..., 1]).sum(1)
    return np.where((doubled_area < 0)[:, None, None], corners[:, ::-1], corners)
