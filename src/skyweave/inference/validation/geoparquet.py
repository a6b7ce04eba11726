"""Whether a GeoParquet table of embeddings is valid, in spatial order, and says what its embeddings are."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skyweave.inference.stac.standard import PARQUET_KEY
from skyweave.inference.validation.embedding_fields import COLLECTION_FIELDS, ITEM_FIELDS, check_embedding_fields
from skyweave.inference.validation.finding import Finding

EMBEDDING_COLUMN = "embedding"
BOX_FIELDS = ("xmin", "ymin", "xmax", "ymax")
MAX_OVERLAP = 2.0
"""Sum of the areas of row groups over that of the file, of a table in spatial order."""
ROW_GROUP_BYTES = (16 << 20, 1 << 30)
"""A row group of a large file is between these."""


def validate_geoparquet(path: Path) -> Iterator[Finding]:
    """Yield what departs from GeoParquet 1.1, from the fields of embeddings, or from good practice.

    Args:
        path: of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        yield Finding("error", "file", f"cannot be read: {error}", "write it anew")
        return
    with file:
        metadata, schema = file.metadata.metadata or {}, file.schema_arrow
        geo, problem = _read_json(metadata, b"geo")
        if geo is None:
            yield Finding("error", "geo", problem, "write it with geopandas or geoarrow, which add the metadata")
        else:
            yield from _check_geo(geo, schema.names)
        fields, problem = _read_json(metadata, PARQUET_KEY)
        if fields is None:
            remedy = "write what a STAC item says of the embeddings as JSON into the file metadata `emb`"
            yield Finding("error", "emb", problem, remedy)
        else:
            yield from check_embedding_fields(fields, COLLECTION_FIELDS + ITEM_FIELDS)
        yield from _check_column(schema, fields or {})
        yield from _check_layout(file, geo or {})
    yield from _check_conformance(path)


def _read_json(metadata: Mapping[bytes, bytes], key: bytes) -> tuple[dict[str, Any] | None, str]:
    """Return an object of the file metadata, or None and what is wrong with it."""
    if key not in metadata:
        return None, "is missing in the file metadata"
    try:
        content = json.loads(metadata[key])
    except ValueError:
        return None, "is no JSON"
    return (content, "") if isinstance(content, dict) else (None, "is no JSON object")


def _check_geo(geo: Mapping[str, Any], names: list[str]) -> Iterator[Finding]:
    primary = geo.get("primary_column")
    column = geo.get("columns", {}).get(primary)
    if primary not in names or not isinstance(column, Mapping):
        yield Finding("error", "geo.primary_column", f"is {primary!r}", "name the column of geometries")
        return
    if "crs" in column and column["crs"] is None:
        yield Finding("warning", "geo.crs", "is unknown (null)", "write it as PROJJSON, or use longitude and latitude")
    covering = column.get("covering", {}).get("bbox", {})
    if set(covering) < set(BOX_FIELDS):
        remedy = "add a column bbox with xmin, ymin, xmax, ymax and name it in `covering`: readers skip rows by it"
        yield Finding("warning", "geo.covering", "is missing", remedy)


def _check_column(schema: Any, fields: Mapping[str, Any]) -> Iterator[Finding]:
    import pyarrow as pa

    lists = [field for field in schema if pa.types.is_fixed_size_list(field.type) or pa.types.is_list(field.type)]
    named = [field for field in lists if field.name == EMBEDDING_COLUMN] or lists
    if not named:
        yield Finding("error", "columns", "hold no embeddings", "add a column `embedding` of lists of one length")
        return
    column = named[0]
    if not pa.types.is_fixed_size_list(column.type):
        yield Finding("warning", column.name, "has lists of any length", "use a fixed-size list: readers need no copy")
    elif fields.get("emb:dimensions") not in (None, column.type.list_size):
        length = column.type.list_size
        yield Finding("error", "emb:dimensions", f"is {fields['emb:dimensions']}, not {length}", f"write {length}")
    stored = {"halffloat": "float16", "float": "float32", "double": "float64"}.get(
        str(column.type.value_type), str(column.type.value_type)
    )
    if fields.get("data_type") not in (None, stored):
        yield Finding("error", "data_type", f"is {fields['data_type']}, and stored is {stored}", f"write {stored}")


def _check_layout(file: Any, geo: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at compression, row groups, and whether those of a file of several are apart on the map."""
    metadata = file.metadata
    if metadata.num_row_groups == 0:
        return
    first = metadata.row_group(0)
    codecs = {first.column(number).compression for number in range(first.num_columns)}
    if codecs != {"ZSTD"}:
        yield Finding("warning", "compression", f"is {', '.join(sorted(codecs))}", "compress with zstd")
    if metadata.num_row_groups > 1 and not ROW_GROUP_BYTES[0] <= first.total_byte_size <= ROW_GROUP_BYTES[1]:
        size = first.total_byte_size / (1 << 20)
        yield Finding("warning", "row groups", f"have {size:.0f} MB", "write row groups of about 128 MB")
    overlap = _row_group_overlap(metadata)
    if overlap is not None and overlap > MAX_OVERLAP:
        remedy = "sort rows along a Hilbert curve"
        yield Finding("warning", "order", f"is not spatial: row groups cover the map {overlap:.1f} times", remedy)


def _row_group_overlap(metadata: Any) -> float | None:
    """Return how often row groups cover the file's extent by their statistics; None for one, or without statistics."""
    boxes = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
        statistics: list[Any] = [getattr(columns.get(f"bbox.{name}"), "statistics", None) for name in BOX_FIELDS]
        if any(bounds is None for bounds in statistics):  # pyarrow crashes where one is compared with None
            return None
        west, south, east, north = statistics
        boxes.append((west.min, south.min, east.max, north.max))
    if len(boxes) < 2:
        return None
    wests, souths, easts, norths = zip(*boxes, strict=True)
    whole = (max(easts) - min(wests)) * (max(norths) - min(souths))
    covered = sum((east - west) * (north - south) for west, south, east, north in boxes)
    return covered / whole if whole > 0 else None


def _check_conformance(path: Path) -> Iterator[Finding]:
    """Yield what the validator of the abstract tests finds, where that library is installed."""
    try:
        import geoparquet_validator
    except ImportError:
        return
    for outcome in geoparquet_validator.check(str(path))["outcomes"]:
        if outcome["status"] == "fail":
            yield Finding("error", outcome["id"], outcome["message"], "see the GeoParquet specification")
