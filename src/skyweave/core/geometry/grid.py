"""The map grid: a raster fixed to the Earth and snapped to its resolution, that all platforms share."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import DataError


@dataclass(frozen=True)
class MapGrid:
    """A north-up raster of square cells. Row 0 is north; cell centres are at +0.5.

    Its north-west corner is a whole number of cells from the origin of the reference system, so two grids of one
    resolution and reference system differ by whole rows and columns and features never need to be resampled.

    Attributes:
        west: index of the west edge, in cells: easting of the edge / resolution.
        north: index of the north edge, in cells: northing of the edge / resolution.
        resolution: side of a cell, metres.
        rows: number of rows.
        columns: number of columns.
        crs: reference system with metres east and north, as WKT or ``EPSG:code``; None for a local frame.
    """

    west: int
    north: int
    resolution: float
    rows: int
    columns: int
    crs: str | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.resolution) and self.resolution > 0):
            raise DataError(f"resolution {self.resolution} must be metres > 0")
        if self.rows < 1 or self.columns < 1:
            raise DataError(f"a grid of {self.rows} x {self.columns} cells has no cells")
        if self.west != int(self.west) or self.north != int(self.north):
            raise DataError(f"west {self.west} and north {self.north} must be whole cells; use MapGrid.covering")
        if self.crs is not None:
            check_metres(self.crs)

    @classmethod
    def covering(
        cls, bounds: tuple[float, float, float, float], resolution: float, crs: str | None = None
    ) -> "MapGrid":
        """Return the smallest snapped grid over a rectangle.

        Args:
            bounds: (west, south, east, north) in metres.
            resolution: side of a cell in metres.
            crs: of the grid.

        Raises:
            DataError: bounds that are not finite or not in order, or a resolution that is not positive.
        """
        _check_bounds(bounds)
        if not resolution > 0:
            raise DataError(f"resolution {resolution} must be metres > 0")
        tolerance = 1e-6  # of a cell: a bound that is on an edge but for rounding stays there
        west, south = (int(np.floor(b / resolution + tolerance)) for b in bounds[:2])
        east, north = (int(np.ceil(b / resolution - tolerance)) for b in bounds[2:])
        return cls(west, north, resolution, max(north - south, 1), max(east - west, 1), crs)

    @classmethod
    def around(cls, x: float, y: float, size: float, resolution: float, crs: str | None = None) -> "MapGrid":
        """Return a square grid whose centre is the cell corner nearest to a point.

        Args:
            x: easting of the point in metres.
            y: northing of the point in metres.
            size: side of the square in metres.
            resolution: side of a cell in metres.
            crs: of the grid.
        """
        cells = max(round(size / resolution), 1)
        west, north = round(x / resolution) - cells // 2, round(y / resolution) - cells // 2 + cells
        return cls(west, north, resolution, cells, cells, crs)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the size as (rows, columns)."""
        return self.rows, self.columns

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Return (west, south, east, north) in metres."""
        r = self.resolution
        return self.west * r, (self.north - self.rows) * r, (self.west + self.columns) * r, self.north * r

    @property
    def affine(self) -> tuple[float, float, float, float, float, float]:
        """Return the GDAL/rasterio affine (a, b, c, d, e, f): x = a*col + b*row + c, y = d*col + e*row + f."""
        r = self.resolution
        return r, 0.0, self.west * r, 0.0, -r, self.north * r

    def cells_from_world(self, points: np.ndarray) -> np.ndarray:
        """Convert world points to fractional cells: (..., 2) (row, column); the first cell's centre is (0.5, 0.5).

        Args:
            points: (..., 2 or 3) metres.
        """
        points = np.asarray(points, np.float64)
        return np.stack(
            [self.north - points[..., 1] / self.resolution, points[..., 0] / self.resolution - self.west], -1
        )

    def world_from_cells(self, cells: np.ndarray) -> np.ndarray:
        """Convert fractional cells to world points: (..., 2) (x, y) in metres.

        Args:
            cells: (..., 2) (row, column).
        """
        cells = np.asarray(cells, np.float64)
        return np.stack([self.west + cells[..., 1], self.north - cells[..., 0]], -1) * self.resolution

    def cell_centres(self) -> np.ndarray:
        """Return the world positions of the cells' centres: (rows, columns, 2) (x, y) in metres."""
        row, column = np.mgrid[: self.rows, : self.columns] + 0.5
        return self.world_from_cells(np.stack([row, column], -1))

    def index(self, points: np.ndarray) -> np.ndarray:
        """Return the flat cell index (row * columns + column) of world points: (...,) int64, -1 outside or for NaN.

        Args:
            points: (..., 2 or 3) metres.
        """
        cells = self.cells_from_world(points)
        with np.errstate(invalid="ignore"):
            inside = np.all((cells >= 0) & (cells < np.array(self.shape)), axis=-1)
        row, column = np.moveaxis(np.where(inside[..., None], cells, 0).astype(np.int64), -1, 0)
        return np.where(inside, row * self.columns + column, -1)

    def subgrid(self, row: int, column: int, rows: int, columns: int) -> "MapGrid":
        """Return a window of the grid; it may reach beyond it.

        Args:
            row: of the window's first cell.
            column: of the window's first cell.
            rows: of the window.
            columns: of the window.
        """
        return replace(self, west=self.west + column, north=self.north - row, rows=rows, columns=columns)

    def coarser(self, factor: int) -> "MapGrid":
        """Return the grid of larger cells that covers this one.

        Args:
            factor: of the cells' side, a whole number.
        """
        return MapGrid.covering(self.bounds, self.resolution * factor, self.crs)

    def offset_to(self, other: "MapGrid") -> tuple[int, int]:
        """Return (rows, columns) to add to a cell of this grid to get the same cell in the other.

        Args:
            other: a grid of the same resolution and reference system.

        Raises:
            DataError: another resolution or reference system: their cells do not coincide.
        """
        if not np.isclose(self.resolution, other.resolution, rtol=1e-9):
            raise DataError(
                f"grids of {self.resolution} m and {other.resolution} m cells do not align; agree on one resolution"
            )
        if self.crs != other.crs:
            raise DataError(f"grids in {self.crs} and {other.crs} do not align; agree on one reference system")
        return other.north - self.north, self.west - other.west


def _check_bounds(bounds: tuple[float, float, float, float]) -> None:
    """Refuse bounds that are not finite, or not in order."""
    west, south, east, north = bounds
    if not np.isfinite(bounds).all() or not (east > west and north > south):
        raise DataError(f"bounds {bounds} must be finite (west, south, east, north), west < east and south < north")


def check_metres(crs: str) -> None:
    """Refuse a reference system that is not known, or not in metres.

    Args:
        crs: as text that pyproj reads.

    Raises:
        DataError: it is not; names its unit and the remedy.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise DataError(f"unknown coordinate reference system {crs!r}: {error}") from None
    if parsed.is_geographic or any(axis.unit_name not in ("metre", "meter") for axis in parsed.axis_info[:2]):
        unit = parsed.axis_info[0].unit_name
        raise DataError(
            f"{crs} is in {unit}; a map grid needs metres: use the UTM zone of the place "
            "(skyweave.core.geometry.utm.utm_crs)"
        )
