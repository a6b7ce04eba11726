"""Embeddings in a GeoParquet table: a row for each patch, with its vector and its outline in longitude and latitude."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.search.places import OutlinePlaces
from skyweave.search.provenance import space_from_standard
from skyweave.search.reader import PatchBlock, PatchReader, find_fills

ROWS_AT_ONCE = 65536
METADATA_KEY = b"emb"
VECTORS, SCALES, BOXES, OUTLINES = "embedding", "scale", "bbox", "geometry"
BOX_FIELDS = ("xmin", "ymin", "xmax", "ymax")
LITTLE_ENDIAN, POLYGON = 1, 3
POLYGON_BYTES = 1 + 4 + 4 + 4 + 5 * 16
"""Of a polygon of one ring with five points as well-known binary."""


class GeoParquetPatches(PatchReader):
    """Reads a table whose column ``embedding`` holds lists of one length, times ``scale`` where there is such a column.

    A patch is the outline in ``geometry`` where that is a quadrangle, else the box in ``bbox``.

    Args:
        path: of the file.

    Raises:
        DataError: no Parquet, no embeddings, or coordinates that are no longitude and latitude.
    """

    suffixes = (".parquet", ".geoparquet")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._open() as file:
            schema, metadata = file.schema_arrow, file.metadata.metadata or {}
        if VECTORS not in schema.names or BOXES not in schema.names:
            raise DataError(f"{path} has no columns {VECTORS} and {BOXES}; is it a table of embeddings?")
        _check_degrees(metadata, path)
        channels = getattr(schema.field(VECTORS).type, "list_size", None) or self._first_length()
        record = json.loads(metadata.get(METADATA_KEY, b"{}"))
        self.space, self.tags = space_from_standard(record, "emb", channels)
        self._has_scales = SCALES in schema.names
        self._has_outlines = OUTLINES in schema.names

    def blocks(self) -> Iterator[PatchBlock]:
        """Yield all patches that have features, in the order of the table."""
        columns = [VECTORS, BOXES, *([SCALES] * self._has_scales), *([OUTLINES] * self._has_outlines)]
        with self._open() as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                lists = batch.column(VECTORS)
                vectors = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
                vectors = vectors.reshape(len(batch), self.space.channels)
                if self._has_scales:
                    vectors *= batch.column(SCALES).to_numpy(zero_copy_only=False)[:, None]
                valid, fills = find_fills(vectors.T, np.isfinite(vectors).all(1))
                corners = _corners_of(batch.column(BOXES))
                if self._has_outlines:
                    _use_quadrangles(corners, batch.column(OUTLINES).to_pylist())
                yield PatchBlock(vectors[valid], corners[valid], fills)

    def places(self, positions: np.ndarray) -> OutlinePlaces:
        """Return the places of patches.

        Args:
            positions: of the blocks, in their order.
        """
        return OutlinePlaces(positions)

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        try:
            return parquet.ParquetFile(self.path)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} is no Parquet file, or damaged ({error}); write it again") from None

    def _first_length(self) -> int:
        with self._open() as file:
            for batch in file.iter_batches(1, columns=[VECTORS]):
                return len(batch.column(VECTORS)[0])
        raise DataError(f"{self.path} holds no rows")


def _check_degrees(metadata: dict[bytes, bytes], path: Path) -> None:
    """Refuse coordinates that are declared to be something else than longitude and latitude (GeoParquet 1.1)."""
    geo = json.loads(metadata.get(b"geo", b"{}"))
    column = geo.get("columns", {}).get(geo.get("primary_column", OUTLINES), {})
    crs = column.get("crs", "absent")
    if crs is None:
        raise DataError(f"{path} has no coordinate reference system, so no place of its patches is known")
    identifier = crs.get("id", {}) if isinstance(crs, dict) else {}
    if crs != "absent" and identifier.get("code") not in ("CRS84", 4326):
        raise DataError(f"{path} is not in longitude and latitude; write it so: geopandas' to_crs('OGC:CRS84')")


def _corners_of(boxes: Any) -> np.ndarray:
    """Return the corners of bounding boxes, (patches, 4, 2)."""
    west, south, east, north = (boxes.field(name).to_numpy(zero_copy_only=False) for name in BOX_FIELDS)
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)


def _use_quadrangles(corners: np.ndarray, geometries: list[bytes | None]) -> None:
    """Put outlines of four corners in the place of their boxes; others, such as those cut in two, keep the box."""
    for number, geometry in enumerate(geometries):
        if geometry is None or len(geometry) != POLYGON_BYTES or geometry[0] != LITTLE_ENDIAN:
            continue
        if np.frombuffer(geometry, "<u4", 3, 1).tolist() == [POLYGON, 1, 5]:
            corners[number] = np.frombuffer(geometry, "<f8", 8, 13).reshape(4, 2)
