"""Labels as polygons of a GeoJSON file (RFC 7946): pixels inside are 1, others 0."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from skyweave.core.csv_table import CsvRow
from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles
from skyweave.downstream.labels.images import image_header
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.mask import StoredMask
from skyweave.downstream.labels.tables import LabelTable
from skyweave.downstream.labels.tiles import Window

GEOJSON_CRS = "EPSG:4326"
Affine6 = tuple[float, float, float, float, float, float]


class PolygonReader(LabelReader):
    """Polygons of one file for all images, whose places their georeference or the table ``bounds_files`` says."""

    needs_files = True

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        self._path = images.root / (config.files or "")
        self._bounds: dict[Path, CsvRow] | None = None
        if config.bounds_files is not None:
            table = LabelTable(images.root / config.bounds_files, config.file_column, config.box_columns, images)
            self._bounds = {image: rows[0] for image, rows in table.rows.items()}

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredMask:
        # burnt into the grid of the image; a pixel is inside where its centre is
        from rasterio.features import rasterize
        from rasterio.transform import Affine

        shapes = self._geometries if self._bounds is not None else _in_crs(self._geometries, path)
        transform = Affine(*self._affine(path, shape))
        values = rasterize(shapes, shape, transform=transform, dtype="uint8") if shapes else np.zeros(shape, np.uint8)
        if window is not None:
            top, left, rows, columns = window
            values = values[top : top + rows, left : left + columns]
        return StoredMask(values, np.ones(values.shape, bool))

    @override
    def source(self, path: Path) -> str:
        # the image and the file
        return f"{path} ({self._path})"

    def _is_stored(self, path: Path) -> bool:
        return self._bounds is None or path in self._bounds

    @cached_property
    def _geometries(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            raise FileNotFoundError(f"no polygons {self._path}; check labels.files")
        try:
            content = json.loads(self._path.read_text(encoding="utf-8-sig"))
            geometries = [feature["geometry"] for feature in content["features"] if feature.get("geometry")]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._path} is no GeoJSON of features ({error!r}); see RFC 7946") from error
        return [geometry for geometry in geometries if geometry.get("type") in ("Polygon", "MultiPolygon")]

    def _affine(self, path: Path, shape: tuple[int, int]) -> Affine6:
        if self._bounds is None:
            return image_header(path).affine
        row = self._bounds[path]
        try:
            west, south, east, north = (float(row.cells[column]) for column in self.config.box_columns)
        except ValueError as error:
            raise DataError(f"{self.config.bounds_files}, line {row.line}: a side is no number; correct it") from error
        return ((east - west) / shape[1], 0.0, west, 0.0, -(north - south) / shape[0], north)


def _in_crs(geometries: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Return geometries in the reference system of an image."""
    from rasterio.warp import transform_geom

    crs = image_header(path).crs
    if crs is None:
        raise DataError(f"{path} has no reference system, so polygons cannot be placed; give labels.bounds_files")
    return [transform_geom(GEOJSON_CRS, crs, geometry) for geometry in geometries]
