"""Features as a GeoParquet 1.1 table: a row for each patch with data, its outline in longitude and latitude.

Rows lie along a Hilbert curve and carry a bounding box, so that a reader of some place skips the rest of the file. What
the STAC item says of the asset is in the file, too, as ``emb``.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.inference.formats.hilbert import hilbert_index
from skyweave.inference.formats.polygons import BOX_FIELDS, bounding_boxes, encode_polygons, pixel_outlines
from skyweave.inference.quantisation_record import (
    PIXEL_METHODS,
    Quantisation,
    QuantisationError,
    quantise_pixels,
    round_to_half,
)
from skyweave.inference.raster import FinishedRaster, RasterDescription
from skyweave.inference.stac.source import to_uri
from skyweave.inference.stac.standard import (
    PARQUET_KEY,
    PARQUET_MEDIA_TYPE,
    describe_chip_layout,
    embedding_type,
    model_urn,
)
from skyweave.inference.writer import RasterWriter

BLOCK = 64
"""Side of what is read at a time, in patches; a power of two, so that the curve passes one block after the other."""
ROW_GROUP_BYTES = 128 << 20
ROW_BYTES = 160
"""Of a row without its embedding, roughly."""
GEOPARQUET_VERSION = "1.1.0"


class GeoParquetWriter(RasterWriter):
    """Write a table with the columns row, column, datetime, embedding, scale (``int8`` only), bbox and geometry."""

    suffixes = (".parquet", ".geoparquet")
    storages = ("float32", "float16", "int8")
    media_type = PARQUET_MEDIA_TYPE

    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write row groups of some hundred megabytes.

        Args:
            raster: that is finished.
            path: to write to.
            storage: one of ``storages``.

        Raises:
            ConfigError: a raster of something else than features, or features that float16 cannot hold.
        """
        import pyarrow.parquet as parquet

        description = raster.description
        if description.kind != "features":
            raise ConfigError(
                f"GeoParquet holds features of patches, not {description.kind}; choose -o OUT.tif or .zarr"
            )
        error, extent = QuantisationError(), _Extent()
        schema = _schema(description, storage)
        compression = {"compression": "zstd", "compression_level": 3, "use_dictionary": ["datetime"]}
        with parquet.ParquetWriter(path, schema, version="2.6", **compression) as target:
            for tables in _group_rows(_tables(raster, storage, schema, error, extent), _rows_a_group(schema)):
                target.write_table(tables, row_group_size=len(tables))
            self.quantisation = Quantisation(PIXEL_METHODS[storage], storage, error=error)
            metadata = _geo_metadata(description, extent) | _embedding_metadata(description, self.quantisation)
            target.add_key_value_metadata({key: json.dumps(value) for key, value in metadata.items()})

    def verify(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Read every row group back and count its rows.

        Args:
            raster: that was written.
            path: of the file.
            storage: one of ``storages``.

        Raises:
            OSError: rows are missing, or cannot be read.
        """
        import pyarrow.parquet as parquet

        rows = 0
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows += file.read_row_group(group, columns=["embedding"]).num_rows
        if rows != raster.statistics.count:
            raise OSError(f"{path}: {raster.statistics.count - rows} of {raster.statistics.count} patches are missing")


class _Extent:
    """The box around all geometries, and whether one is cut at the antimeridian."""

    def __init__(self) -> None:
        self.box: np.ndarray | None = None
        self.is_cut = False

    def add(self, boxes: np.ndarray, is_cut: bool) -> None:
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        if self.box is not None:
            low, high = np.minimum(low, self.box[:2]), np.maximum(high, self.box[2:])
        self.box, self.is_cut = np.concatenate([low, high]), self.is_cut or is_cut


def _schema(description: RasterDescription, storage: str) -> Any:
    import pyarrow as pa

    value = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[storage]
    fields = [
        pa.field("row", pa.int32(), False),
        pa.field("column", pa.int32(), False),
        pa.field("embedding", pa.list_(value, len(description.bands)), False),
        pa.field("bbox", pa.struct([pa.field(name, pa.float64(), False) for name in BOX_FIELDS]), False),
        pa.field("geometry", pa.binary(), False),
    ]
    if storage == "int8":
        fields.insert(3, pa.field("scale", pa.float32(), False))
    if description.provenance.time is not None:
        fields.insert(2, pa.field("datetime", pa.timestamp("us", tz="UTC"), False))
    return pa.schema(fields)


def _tables(
    raster: FinishedRaster, storage: str, schema: Any, error: QuantisationError, extent: _Extent
) -> Iterator[Any]:
    """Yield a table for each block with data, in the order of the curve."""
    description = raster.description
    order = max(math.ceil(math.log2(max(description.rows, description.columns, BLOCK))), 0)
    for row, column in _blocks_along_curve(description, order):
        rows, columns = min(BLOCK, description.rows - row), min(BLOCK, description.columns - column)
        values = raster.read(row, column, rows, columns)
        place = np.argwhere(description.find_valid(values))
        if len(place):
            along = np.argsort(hilbert_index(place[:, 1] + column, place[:, 0] + row, order))
            place = place[along]
            yield _table(description, values, place, (row, column), storage, schema, error, extent)


def _blocks_along_curve(description: RasterDescription, order: int) -> list[tuple[int, int]]:
    corners = np.array(
        [(row, column) for row in range(0, description.rows, BLOCK) for column in range(0, description.columns, BLOCK)]
    )
    along = np.argsort(hilbert_index(corners[:, 1], corners[:, 0], order) // BLOCK**2)
    return [(int(row), int(column)) for row, column in corners[along]]


def _table(
    description: RasterDescription,
    values: np.ndarray,
    place: np.ndarray,
    corner: tuple[int, int],
    storage: str,
    schema: Any,
    error: QuantisationError,
    extent: _Extent,
) -> Any:
    """Return the rows of some patches of a block."""
    import pyarrow as pa

    columns: dict[str, Any] = _embedding_columns(values, place, storage, error)
    at = place + corner
    columns |= {"row": at[:, 0].astype(np.int32), "column": at[:, 1].astype(np.int32)}
    outlines = pixel_outlines(description, at)
    boxes = bounding_boxes(outlines)
    geometries, is_cut = encode_polygons(outlines)
    extent.add(boxes, is_cut)
    columns["bbox"] = pa.StructArray.from_arrays(
        [pa.array(boxes[:, number]) for number in range(4)], fields=list(schema.field("bbox").type)
    )
    columns["geometry"] = pa.array(geometries, pa.binary())
    if description.provenance.time is not None:
        microseconds = np.full(len(at), description.provenance.time // 1000, "datetime64[us]")
        columns["datetime"] = pa.array(microseconds, pa.timestamp("us", tz="UTC"))
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _embedding_columns(values: np.ndarray, place: np.ndarray, storage: str, error: QuantisationError) -> dict[str, Any]:
    """Return the column of embeddings, and that of scales where they have one."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    stored: np.ndarray = values
    if storage == "int8":
        stored, scales = quantise_pixels(values)
        error.add(values, stored * scales)
        columns["scale"] = scales[place[:, 0], place[:, 1]]
    else:
        stored = round_to_half(values) if storage == "float16" else values
        error.add(values, stored)
    vectors = np.ascontiguousarray(stored[:, place[:, 0], place[:, 1]].T)
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return columns


def _rows_a_group(schema: Any) -> int:
    embedding = schema.field("embedding").type
    return int(ROW_GROUP_BYTES // (embedding.list_size * embedding.value_type.bit_width // 8 + ROW_BYTES))


def _group_rows(tables: Iterator[Any], rows: int) -> Iterator[Any]:
    """Join tables until they have so many rows."""
    import pyarrow as pa

    waiting: list[Any] = []
    for table in tables:
        waiting.append(table)
        if sum(len(part) for part in waiting) >= rows:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _geo_metadata(description: RasterDescription, extent: _Extent) -> dict[str, Any]:
    """Return the ``geo`` metadata; without ``crs`` coordinates are longitude and latitude, and null means unknown."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Polygon", "MultiPolygon"] if extent.is_cut else ["Polygon"],
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in BOX_FIELDS}},
    }
    if description.crs is None:
        column["crs"] = None
    if extent.box is not None:
        column["bbox"] = extent.box.tolist()
    return {"geo": {"version": GEOPARQUET_VERSION, "primary_column": "geometry", "columns": {"geometry": column}}}


def _embedding_metadata(description: RasterDescription, quantisation: Quantisation) -> dict[str, Any]:
    """Return what a STAC item and its collection say of these embeddings."""
    made = description.provenance
    fields: dict[str, Any] = {
        "emb:type": embedding_type(made.patch_size),
        "emb:dimensions": len(description.bands),
        "data_type": quantisation.data_type,
        "gsd": description.ground_sample_distance,
        "emb:quantization": quantisation.to_stac(),
        "skyweave:quantization_error": quantisation.error.to_dict(),
        "skyweave:provenance": made.tags,
        "links": [
            {"rel": "emb:model", "href": model_urn(made.model, made.fingerprint)},
            *({"rel": "emb:source-data", "href": to_uri(source)} for source in made.sources),
        ],
    }
    if made.patch_size > 1:
        fields["emb:chip_layout"] = describe_chip_layout(made.patch_size)
    return {PARQUET_KEY.decode(): fields}
