"""Whether a Zarr store of embeddings follows its conventions, and can be read well."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skyweave.inference.stac.standard import GEOEMB_CONVENTION, PROJ_CONVENTION, SPATIAL_CONVENTION
from skyweave.inference.validation.embedding_fields import check_convention_fields
from skyweave.inference.validation.finding import Finding

MAX_CHUNK_BYTES = 1 << 30
PROJ_FIELDS = ("proj:code", "proj:wkt2", "proj:projjson")
AFFINE_NUMBERS = 6
MIN_DIMENSIONS = 3
"""Of an array of embeddings."""


def validate_zarr(path: Path) -> Iterator[Finding]:
    """Yield what departs from the conventions geoemb, proj and spatial, or from good practice.

    Args:
        path: of the store.
    """
    import zarr

    if not (path / "zarr.json").exists():
        yield Finding("error", "zarr_format", "is 2", "write the store anew as Zarr version 3, which has shards")
        return
    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:
        yield Finding("error", "zarr.json", f"cannot be read: {error}", "write the store anew")
        return
    if not isinstance(node, zarr.Group):
        yield Finding("error", "node_type", "is array", "the convention is of groups: put the array into one")
        return
    groups = [("", node), *((f"{name}/", group) for name, group in node.groups())]
    described = [(name, group) for name, group in groups if any(key.startswith("geoemb:") for key in group.attrs)]
    if not described:
        remedy = "add geoemb:type, geoemb:dimensions, geoemb:model, geoemb:source_data and geoemb:data_type"
        yield Finding("error", "attributes", "hold none of geoemb's", remedy)
    for name, group in described or groups[:1]:
        for finding in _check_group(group):
            yield Finding(finding.severity, name + finding.field, finding.problem, finding.remedy)


def _check_group(group: Any) -> Iterator[Finding]:
    attributes = dict(group.attrs)
    if any(key.startswith("geoemb:") for key in attributes):
        yield from check_convention_fields(attributes)
        yield from _check_registration(attributes)
    yield from _check_place(attributes)
    arrays = dict(group.arrays())
    scales = _scales_name(attributes)
    embeddings = {name: array for name, array in arrays.items() if array.ndim >= MIN_DIMENSIONS and name != scales}
    if not embeddings and not attributes.get("geoemb:spatial_layout"):
        yield Finding("error", "arrays", "hold no embeddings", "put an array (time, embedding, y, x) into the group")
    if scales is not None and scales not in arrays:
        field = "geoemb:quantization.scale.array_name"
        yield Finding("error", field, f"names {scales!r}, which is not there", "add that array")
    for name, array in embeddings.items():
        yield from _check_array(name, array, attributes)


def _check_registration(attributes: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield conventions that are used and not registered; any of its three identifiers registers one."""
    registered = attributes.get("zarr_conventions", [])
    entries = [entry for entry in registered if isinstance(entry, Mapping)] if isinstance(registered, list) else []
    for convention, prefix in (
        (GEOEMB_CONVENTION, "geoemb:"),
        (PROJ_CONVENTION, "proj:"),
        (SPATIAL_CONVENTION, "spatial:"),
    ):
        is_used = any(key.startswith(prefix) for key in attributes)
        keys = ("uuid", "schema_url", "spec_url")
        if is_used and not any(entry.get(key) == convention[key] for entry in entries for key in keys):
            severity = "error" if prefix == "geoemb:" else "warning"
            remedy = f'add {{"uuid": "{convention["uuid"]}", "name": "{convention["name"]}"}} to zarr_conventions'
            yield Finding(severity, "zarr_conventions", f"do not name {prefix}", remedy)  # type: ignore[arg-type]


def _check_place(attributes: Mapping[str, Any]) -> Iterator[Finding]:
    if not any(attributes.get(field) for field in PROJ_FIELDS):
        yield Finding("error", "proj:code", "is missing", "write such as EPSG:32633, or proj:wkt2")
    if "spatial:dimensions" not in attributes:
        yield Finding("warning", "spatial:dimensions", "is missing", 'write ["y", "x"]')
    transform = attributes.get("spatial:transform")
    if transform is None:
        yield Finding("warning", "spatial:transform", "is missing", "write [a, b, c, d, e, f] of the upper left corner")
    elif not isinstance(transform, list) or len(transform) != AFFINE_NUMBERS:
        yield Finding("error", "spatial:transform", "must have six numbers", "write [a, b, c, d, e, f]")


def _scales_name(attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the array of scales; None where there is to be none."""
    quantization = attributes.get("geoemb:quantization")
    scale = quantization.get("scale") if isinstance(quantization, Mapping) else None
    return str(scale.get("array_name")) if isinstance(scale, Mapping) and scale.get("type") == "array" else None


def _check_array(name: str, array: Any, attributes: Mapping[str, Any]) -> Iterator[Finding]:
    dimensions = array.metadata.dimension_names
    declared, dtype = attributes.get("geoemb:dimensions"), attributes.get("geoemb:data_type")
    if not dimensions or None in dimensions:
        yield Finding("error", f"{name}.dimension_names", "are missing", "name them, such as time, embedding, y, x")
    elif "embedding" not in dimensions and declared is not None and declared not in array.shape:
        yield Finding(
            "error", "geoemb:dimensions", f"is {declared}, and {name} has shape {array.shape}", "write its length"
        )
    elif "embedding" in dimensions and declared not in (None, array.shape[dimensions.index("embedding")]):
        length = array.shape[dimensions.index("embedding")]
        yield Finding("error", "geoemb:dimensions", f"is {declared}, and {name} has {length}", f"write {length}")
    if dtype is not None and "embedding" in (dimensions or ()) and str(array.dtype) != dtype:
        yield Finding("error", "geoemb:data_type", f"is {dtype}, and {name} has {array.dtype}", f"write {array.dtype}")
    yield from _check_chunks(name, array)


def _check_chunks(name: str, array: Any) -> Iterator[Finding]:
    if array.shards is None:
        yield Finding("warning", name, "is not sharded: one file a chunk", "write it with shards of some dozen chunks")
    if math.prod(array.chunks) * array.dtype.itemsize >= MAX_CHUNK_BYTES:
        yield Finding("warning", f"{name}.chunks", "are 1 GB or more", "use chunks of some megabytes")
