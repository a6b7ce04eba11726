"""The collection of embeddings that one model made of one kind of source: what all items have in common."""

from collections.abc import Iterable, Mapping
from typing import Any

from skyweave.inference.raster import RasterDescription
from skyweave.inference.stac.standard import (
    ASSET_KEY,
    EMB_EXTENSION,
    ITEM_ASSETS_EXTENSION,
    STAC_VERSION,
    describe_chip_layout,
    embedding_type,
)

FIT_FOR_USE = ["classification", "segmentation", "similarity_search"]
LICENCE_UNKNOWN = "various"
"""Of model and imagery together, as STAC 1.0 writes it where no single licence holds."""


def build_collection(
    description: RasterDescription, data_type: str, media_type: str, source: str, licence: str = LICENCE_UNKNOWN
) -> dict[str, Any]:
    """Return a collection without items, as plain JSON types; its model lies beside it in ``model.json``.

    Args:
        description: of the first raster.
        data_type: of stored values.
        media_type: of the items' files.
        source: address of the source data.
        licence: SPDX identifier.
    """
    made, patch = description.provenance, description.provenance.patch_size
    collection: dict[str, Any] = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EMB_EXTENSION, ITEM_ASSETS_EXTENSION],
        "id": f"{_slug(made.model)}-{made.sensor}-p{patch}",
        "title": f"Embeddings of {made.sensor} by {made.model}",
        "description": f"Features of patches of {patch} x {patch} pixels of {made.sensor}, by {made.model} "
        f"(fingerprint {made.fingerprint}).",
        "license": licence,
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "emb:type": embedding_type(patch),
        "emb:dimensions": len(description.bands),
        "data_type": data_type,
        "gsd": description.ground_sample_distance,
        "emb:temporal_resolution": "single_acquisition",
        "emb:fit_for_use": FIT_FOR_USE,
        "summaries": {"data_type": [data_type], "emb:dimensions": [len(description.bands)]},
        "item_assets": {ASSET_KEY: {"type": media_type, "roles": ["data"], "title": "Embeddings"}},
        "links": [
            {
                "rel": "emb:model",
                "href": "./model.json",
                "type": "application/geo+json",
                "title": f"{made.model}, fingerprint {made.fingerprint}",
            },
            {"rel": "emb:source-data", "href": source, "title": made.sensor},
        ],
    }
    if patch > 1:
        collection["emb:chip_layout"] = describe_chip_layout(patch)
    return collection


def merge_extent(collection: dict[str, Any], items: Iterable[Mapping[str, Any]]) -> None:
    """Set the extent of a collection to that of its items.

    Args:
        collection: to change.
        items: all of them.
    """
    items = list(items)
    boxes = [item["bbox"] for item in items if item.get("bbox")]
    times = sorted(time for item in items for time in _times(item["properties"]))
    collection["extent"] = {
        "spatial": {"bbox": [_enclose(boxes)]},
        "temporal": {"interval": [[times[0], times[-1]] if times else [None, None]]},
    }


def _times(properties: Mapping[str, Any]) -> list[str]:
    keys = ("datetime", "start_datetime", "end_datetime")
    return [properties[key] for key in keys if properties.get(key)]


def _enclose(boxes: list[list[float]]) -> list[float]:
    """Return a box around all; the whole Earth's width where one crosses the antimeridian."""
    if not boxes:
        return [-180.0, -90.0, 180.0, 90.0]
    wests, souths, easts, norths = zip(*boxes, strict=True)
    crosses = any(west > east for west, east in zip(wests, easts, strict=True))
    west, east = (-180.0, 180.0) if crosses else (min(wests), max(easts))
    return [west, min(souths), east, max(norths)]


def _slug(name: str) -> str:
    """Return a name of weights, or the stem of their file, as an identifier."""
    stem = name.rstrip("/").rsplit("/", 1)[-1].removesuffix(".safetensors")
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in stem)
