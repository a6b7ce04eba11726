"""Labels as polygons of a file: pixels inside are 1, or of the class that a property names; others are 0."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.mask import StoredMask
from skyweave.downstream.labels.readers.vector_files import DEGREES, VectorFeatures, read_features
from skyweave.downstream.labels.tables import LabelTable
from skyweave.downstream.labels.tiles import Window

POLYGONS = ("Polygon", "MultiPolygon")
Affine6 = tuple[float, float, float, float, float, float]
Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


class PolygonReader(LabelReader):
    """Polygons of one file for all images, whose places their georeference or the table ``bounds_files`` says.

    Coordinates are degrees, longitude first, or of the system that ``box_crs`` or the file's ``crs`` (GeoJSON 2008)
    names. With ``label_column`` the class of a polygon is what that property says: the name of a class or its number.
    """

    needs_files = True
    keys = ("files", "label_column", "box_crs", "bounds_files", "box_columns")

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        self._path = images.root / (config.files or "")
        self._left_out: dict[str, list[str]] = defaultdict(list)
        self._missed: dict[Path, list[str]] = {}
        self._contradicted: list[str] = []
        self._geometries, self._values, self._crs = self._read_geometries()
        self._by_crs = {self._crs: self._geometries}
        self._table: LabelTable | None = None
        if config.bounds_files is not None:
            table = images.root / config.bounds_files
            self._table = LabelTable(table, config.file_column, config.box_columns, images)
        self._check_places()

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredMask:
        # burnt into the grid of the image; a pixel is inside where its centre is
        crs, affine = self._place(path, shape)
        shapes = self._geometries_in(crs)
        if path not in self._missed:
            self._missed[path] = _between_centres(shapes, affine, shape)
        values, valid = _burn(shapes, self._values, affine, shape)
        if not valid.all() and (name := self.images.relative(path)) not in self._contradicted:
            self._contradicted.append(name)
        if window is not None:
            top, left, rows, columns = window
            values, valid = (plane[top : top + rows, left : left + columns] for plane in (values, valid))
        return StoredMask(values, valid)

    @override
    def source(self, path: Path) -> str:
        # the image and the file
        return f"{path} ({self._path})"

    @override
    def left_out(self) -> dict[str, list[str]]:
        # features without a polygon
        return {
            **super().left_out(),
            **(self._table.left_out() if self._table else {}),
            **self._left_out,
            "images in which polygons of two classes overlap (no label there)": self._contradicted,
            "polygons in an image, but between the centres of its pixels": [
                f"{name} in {self.images.relative(path)}" for path, names in self._missed.items() for name in names
            ],
        }

    def _is_stored(self, path: Path) -> bool:
        return self._table is None or path in self._table.rows

    def _read_geometries(self) -> tuple[list[dict[str, Any]], list[int], str]:
        """Return the polygons, the stored value of each, and their reference system."""
        from rasterio.features import is_valid_geom

        features = read_features(self._path)
        crs = self.config.box_crs or features.crs
        if crs is None:
            raise DataError(
                f"{self._path} does not say in which reference system its coordinates are (of a shapefile, its .prj is "
                "missing); declare it, such as labels.box_crs: EPSG:32633"
            )
        polygons, values = [], []
        for number, geometry in enumerate(features.geometries):
            for part in _parts(geometry):
                if part.get("type") in POLYGONS and is_valid_geom(part):
                    polygons.append(part)
                    values.append(self._value(features, number))
                else:
                    self._left_out["features without a polygon"].append(f"feature {number}: {part.get('type')}")
        return polygons, values, crs

    def _value(self, features: VectorFeatures, number: int) -> int:
        """Return what pixels in a feature are stored as: 1, or the number of the class that its property names."""
        column = self.config.label_column
        if column is None:
            return 1
        properties = features.properties[number]
        if column not in properties:
            raise DataError(
                f"{self._path}: feature {number} has no property {column!r} (labels.label_column); it has "
                f"{', '.join(map(str, properties)) or 'none'}"
            )
        stated = _text_of(properties[column])
        numbers = dict(zip(self.config.class_names, self.config.stored_values, strict=False))
        numbers |= {str(value): value for value in self.config.stored_values}
        if stated not in numbers:
            raise DataError(
                f"{self._path}: feature {number} has {column} {stated!r}, which is none of the classes "
                f"{', '.join(numbers)}; add it to labels.classes, or leave the feature out"
            )
        return numbers[stated]

    def _geometries_in(self, crs: str) -> list[dict[str, Any]]:
        """Return the polygons in another reference system; they are transformed once."""
        from rasterio.warp import transform_geom

        if crs not in self._by_crs:
            self._by_crs[crs] = [transform_geom(self._crs, crs, geometry) for geometry in self._geometries]
        return self._by_crs[crs]

    def _place(self, path: Path, shape: tuple[int, int]) -> tuple[str, Affine6]:
        """Return reference system and affine of an image's grid."""
        if self._table is not None:
            return self._place_in_table(self._table, path, shape)
        header = image_header(path)
        if header.crs is None:
            raise DataError(f"{path} has no reference system to place polygons by; give labels.bounds_files")
        return header.crs, header.affine

    def _place_in_table(self, table: LabelTable, path: Path, shape: tuple[int, int]) -> tuple[str, Affine6]:
        """Return reference system and affine of an image's grid, as the table of bounds says them."""
        sides = [table.column_value(path, column) or "" for column in self.config.box_columns]
        try:
            west, south, east, north = map(float, sides)
        except ValueError:
            west = east = 0.0
        if not (west < east and south < north):
            raise DataError(
                f"{table.path}: {self.images.relative(path)} lies from {', '.join(sides)}; give west, south, "
                "east and north in degrees, in the order of labels.box_columns"
            )
        return DEGREES, ((east - west) / shape[1], 0.0, west, 0.0, -(north - south) / shape[0], north)

    def _check_places(self) -> None:
        """Refuse polygons of which none lies in any image."""
        images = [self._bounds(path) for path in self.images.paths if self.has_label(path)]
        polygons = np.array([_bounds_of(geometry) for geometry in self._geometries]).reshape(-1, 4)
        if not images or _any_overlap(polygons, np.array(images)):
            return
        if not len(polygons):
            raise DataError(f"{self._path} holds no polygon; give features of type Polygon or MultiPolygon")
        raise DataError(self._describe_mismatch(polygons, images))

    def _describe_mismatch(self, polygons: np.ndarray, images: list[Bounds]) -> str:
        """Return the message of polygons (west, south, east, north) of which none lies in any image."""
        west, south = polygons[:, :2].min(0)
        east, north = polygons[:, 2:].max(0)
        remedy = "name their system, as labels.box_crs: EPSG:32633, or the file that goes with the images"
        if _any_overlap(polygons[:, [1, 0, 3, 2]], np.array(images)):
            remedy = "x and y are exchanged: write the longitude (or the east) first"
        return (
            f"{self._path}: no polygon lies in any image; in {self._crs} they lie in "
            f"{_in_words((west, south, east, north))}, {self.images.relative(self.images.paths[0])} in "
            f"{_in_words(images[0])} (west, south, east, north); {remedy}"
        )

    def _bounds(self, path: Path) -> Bounds:
        """Return where an image lies in the reference system of the polygons."""
        from rasterio.errors import RasterioError
        from rasterio.warp import transform_bounds

        shape = image_header(path).shape
        crs, (a, b, c, d, e, f) = self._place(path, shape)
        xs = [c + a * column + b * row for column in (0, shape[1]) for row in (0, shape[0])]
        ys = [f + d * column + e * row for column in (0, shape[1]) for row in (0, shape[0])]
        try:
            bounds: Bounds = transform_bounds(crs, self._crs, min(xs), min(ys), max(xs), max(ys))
        except RasterioError as error:
            raise DataError(f"{self._path} in {self._crs} and {path} cannot be compared: {error}") from error
        return bounds


def _text_of(value: Any) -> str:
    """Return a property as text; tables turn whole numbers into 1.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _burn(
    shapes: list[dict[str, Any]], values: list[int], affine: Affine6, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored values of pixels whose centre is in a polygon, 0 elsewhere; and where no two contradict."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    burnt, valid = np.zeros(shape, np.int32), np.ones(shape, bool)
    inside = np.zeros(shape, bool)
    for value in sorted(set(values)):
        members = [geometry for geometry, number in zip(shapes, values, strict=True) if number == value]
        mask = rasterize(members, shape, transform=Affine(*affine), dtype="uint8").astype(bool)
        valid &= ~(mask & inside)
        burnt[mask], inside = value, inside | mask
    return burnt, valid


def _parts(geometry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the geometries of a collection, or the one that is none."""
    if geometry.get("type") != "GeometryCollection":
        return [geometry]
    return [part for member in geometry.get("geometries", []) for part in _parts(member)]


def _between_centres(geometries: list[dict[str, Any]], affine: Affine6, shape: tuple[int, int]) -> list[str]:
    """Return the numbers of polygons in an image that are too small or too thin to hold the centre of a pixel."""
    if not geometries:
        return []
    a, b, c, d, e, f = affine
    west, south, east, north = np.array([_bounds_of(geometry) for geometry in geometries]).T
    corners = np.stack([np.stack([x, y]) for x in (west, east) for y in (south, north)])  # (4, 2, polygons)
    pixels = np.linalg.inv([[a, b], [d, e]]) @ (corners - np.array([[c], [f]]))
    low, high = pixels.min(0), pixels.max(0)
    inside = ((high > 0) & (low < np.array([[shape[1]], [shape[0]]]))).all(0)
    centres = (np.floor(high - 0.5) - np.floor(low - 0.5)).min(0)
    return [f"polygon {number}" for number in np.flatnonzero(inside & (centres < 1))]


def _in_words(bounds: Bounds) -> str:
    return ", ".join(f"{side:.10g}" for side in bounds)


def _bounds_of(geometry: dict[str, Any]) -> Bounds:
    """Return the rectangle around a polygon."""
    from rasterio.features import bounds

    rectangle: Bounds = bounds(geometry)
    return rectangle


def _any_overlap(rectangles: np.ndarray, others: np.ndarray) -> bool:
    """Return whether any of the rectangles (west, south, east, north) has ground in common with any of the others."""
    return any(
        bool(((rectangles[:, :2] < other[2:]) & (rectangles[:, 2:] > other[:2])).all(1).any()) for other in others
    )
