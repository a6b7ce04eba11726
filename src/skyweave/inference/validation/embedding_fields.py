"""What the STAC extension ``emb`` 0.0.1 and the Zarr convention ``geoemb`` 1 ask of their fields.

Written from their published texts, see `skyweave.inference.stac.standard`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from skyweave.inference.stac.standard import (
    DEVICE_TYPES,
    EMBEDDING_TYPES,
    STAC_DATA_TYPES,
    STAC_LAYOUTS,
    ZARR_LAYOUTS,
)
from skyweave.inference.validation.fields import (
    Field,
    check_fields,
    check_unknown,
    is_address,
    is_count,
    is_not_negative,
    is_number,
    is_object,
    is_positive,
    is_text,
    list_of,
    one_of,
    text_or_null,
)
from skyweave.inference.validation.finding import Finding


def _number_or_text(value: Any) -> str | None:
    return None if is_number(value) is None or is_text(value) is None else "must be a number or text"


def _anything(value: Any) -> str | None:
    return None


TYPE_REMEDY = "write pixel where every pixel has an embedding of its own, else chip"
TYPE_OF_VALUES = "name the NumPy type of what is stored, such as float32 or int8"
SIDES = list_of(is_count, 2)

COLLECTION_FIELDS = (
    Field("emb:type", one_of(EMBEDDING_TYPES), TYPE_REMEDY, True),
    Field("emb:dimensions", is_count, "write the length of an embedding", True),
    Field("data_type", one_of(STAC_DATA_TYPES), TYPE_OF_VALUES, True),
    Field("gsd", is_positive, "write the metres on the ground of an embedding"),
    Field("emb:chip_layout", is_object, "write an object with layout_type, chip_size and stride"),
    Field("emb:temporal_resolution", is_text, "write such as single_acquisition or annual"),
    Field("emb:fit_for_use", list_of(is_text), "write a list of uses, such as classification"),
    Field("emb:uncertainty", is_object, "write an object with method and description"),
)
ITEM_FIELDS = (
    Field("emb:runtime_parameters", is_object, "write an object: bands, patch size, overlap"),
    Field("emb:preprocessing", is_object, "write an object with format and expression"),
    Field("emb:postprocessing", is_object, "write an object with format and expression"),
    Field("emb:fit_for_use", list_of(is_text), "write a list of uses, such as classification"),
    Field("emb:spatial_coverage", is_text, "write it as text"),
    Field("emb:uncertainty", is_object, "write an object with method and description"),
    Field("emb:quantization", is_object, "write an object with method and original_dtype"),
    Field("emb:energy", is_object, "write an object with device_type and inference_duration_s"),
    Field("processing:datetime", is_text, "write when the embeddings were computed, such as 2026-01-31T12:00:00Z"),
)
EXPRESSION_FIELDS = (
    Field("format", is_text, "name the language of the expression; plain words are text", True),
    Field("expression", _anything, "write what was done", True),
)
QUANTIZATION_FIELDS = (
    Field("method", is_text, "write none, linear, per_pixel_scale or another word", True),
    Field("original_dtype", is_text, "write the type before quantization, mostly float32", True),
    Field("quantized_dtype", is_text, TYPE_OF_VALUES),
    Field("scale", list_of(is_number), "write a list of one number for all channels or one for each"),
    Field("offset", list_of(is_number), "write a list of one number for all channels or one for each"),
    Field("link", is_object, "write a link object with rel and href"),
)
LAYOUT_FIELDS = (
    Field("layout_type", one_of(STAC_LAYOUTS), "write regular_grid for chips at equal distances", True),
    Field("chip_size", SIDES, "write [height, width] in pixels of the source"),
    Field("stride", SIDES, "write [rows, columns] from one chip to the next, in pixels of the source"),
    Field("grid_id", is_text, "name the grid"),
    Field("grid_definition", is_object, "write a link object with rel and href"),
)
ENERGY_FIELDS = (
    Field("device_type", one_of(DEVICE_TYPES), "write cpu or gpu"),
    *(
        Field(name, is_not_negative, "write a number, or leave out what was not measured")
        for name in ("energy_kwh", "inference_duration_s", "avg_power_w", "max_power_w")
    ),
    Field("name", is_text, "name the processor"),
    Field("instance_type", text_or_null, "name the cloud's instance type, or null"),
    Field("platform", text_or_null, "name the cloud, or local"),
)
UNCERTAINTY_FIELDS = (
    Field("method", is_text, "name the method"),
    Field("description", is_text, "describe it in words"),
)
NESTED = {
    "emb:chip_layout": LAYOUT_FIELDS,
    "emb:quantization": QUANTIZATION_FIELDS,
    "emb:energy": ENERGY_FIELDS,
    "emb:uncertainty": UNCERTAINTY_FIELDS,
    "emb:preprocessing": EXPRESSION_FIELDS,
    "emb:postprocessing": EXPRESSION_FIELDS,
}
ZARR_FIELDS = (
    Field("geoemb:type", one_of(EMBEDDING_TYPES), TYPE_REMEDY, True),
    Field("geoemb:dimensions", is_count, "write the length of an embedding", True),
    Field("geoemb:model", is_address, "write where the encoder is described, as a URI", True),
    Field("geoemb:source_data", list_of(is_address), "write a list of URIs of the data that were embedded", True),
    Field("geoemb:data_type", is_text, TYPE_OF_VALUES, True),
    Field("geoemb:gsd", is_positive, "write the metres on the ground of an embedding"),
    Field("geoemb:chip_layout", is_object, "write an object with layout_type and chip_size"),
    Field("geoemb:quantization", is_object, "write an object with method and original_dtype"),
    Field("geoemb:spatial_layout", one_of(("utm_zones", "global")), "write utm_zones or global, or leave it out"),
    Field("geoemb:build_version", is_text, "write the version of what built the store"),
    Field("geoemb:benchmark", list_of(is_address), "write a list of URIs"),
)
ZARR_LAYOUT_FIELDS = (
    Field("layout_type", one_of(ZARR_LAYOUTS), "write regular_grid for chips at equal distances", True),
    Field("chip_size", SIDES, "write [height, width] in pixels of the source", True),
    Field("stride", SIDES, "write [rows, columns] from one chip to the next"),
    Field("grid_id", is_text, "name the grid"),
    Field("grid_definition", is_address, "write the URI of the grid's description"),
)
ZARR_QUANTIZATION_FIELDS = (
    *QUANTIZATION_FIELDS[:3],
    Field("scale", is_object, "write {type: scalar, scale, offset} or {type: array, array_name, nodata}"),
    Field("link", is_address, "write the URI of the codebook"),
)
SCALAR_SCALE_FIELDS = (
    Field("type", one_of(("scalar",)), "write scalar", True),
    Field("scale", is_number, "write the factor", True),
    Field("offset", is_number, "write what is added, or leave it out for 0"),
)
ARRAY_SCALE_FIELDS = (
    Field("type", one_of(("array",)), "write array", True),
    Field("array_name", is_text, "name the array of scales in this group", True),
    Field("nodata", _number_or_text, "write the scale that means no data"),
)


def check_embedding_fields(content: Mapping[str, Any], fields: tuple[Field, ...]) -> Iterator[Finding]:
    """Yield what is wrong with the fields of the STAC extension and the objects in them.

    Args:
        content: a collection, or the properties of an item.
        fields: `COLLECTION_FIELDS` or `ITEM_FIELDS`.
    """
    yield from check_fields(content, fields)
    yield from check_unknown(content, "emb:", [field.name for field in fields])
    for name, nested in NESTED.items():
        if isinstance(content.get(name), Mapping):
            yield from check_fields(content[name], nested, name)
            if nested is not EXPRESSION_FIELDS:
                prefix = "emb:" if nested is LAYOUT_FIELDS else ""
                yield from check_unknown(content[name], prefix, [field.name for field in nested], name)


def check_convention_fields(attributes: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the fields of the Zarr convention and the objects in them.

    Args:
        attributes: of the group.
    """
    yield from check_fields(attributes, ZARR_FIELDS)
    yield from check_unknown(attributes, "geoemb:", [field.name for field in ZARR_FIELDS])
    layout, quantization = attributes.get("geoemb:chip_layout"), attributes.get("geoemb:quantization")
    if attributes.get("geoemb:type") == "chip" and layout is None:
        remedy = 'write {"layout_type": "regular_grid", "chip_size": [height, width]}'
        yield Finding("error", "geoemb:chip_layout", "is missing, which chips must have", remedy)
    for name, content, nested in (
        ("geoemb:chip_layout", layout, ZARR_LAYOUT_FIELDS),
        ("geoemb:quantization", quantization, ZARR_QUANTIZATION_FIELDS),
    ):
        if isinstance(content, Mapping):
            yield from check_fields(content, nested, name)
            yield from check_unknown(content, "", [field.name for field in nested], name)
    if isinstance(quantization, Mapping) and isinstance(quantization.get("scale"), Mapping):
        scale = quantization["scale"]
        fields: tuple[Field, ...] = ARRAY_SCALE_FIELDS if scale.get("type") == "array" else SCALAR_SCALE_FIELDS
        yield from check_fields(scale, fields, "geoemb:quantization.scale")
        yield from check_unknown(scale, "", [field.name for field in fields], "geoemb:quantization.scale")
