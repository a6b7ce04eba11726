"""A folder with a STAC collection of embeddings, its items and its model; every run adds an item."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import lock_folder, write_aside
from skyweave.core.errors import ConfigError, DataError
from skyweave.inference.quantisation_record import Quantisation
from skyweave.inference.raster import RasterDescription, Runtime
from skyweave.inference.stac.collection import LICENCE_UNKNOWN, build_collection, merge_extent
from skyweave.inference.stac.item import Acquisition, build_asset, build_item
from skyweave.inference.stac.source import to_uri

COLLECTION_FILE, MODEL_FILE = "collection.json", "model.json"
GEOJSON_MEDIA_TYPE = "application/geo+json"


def add_to_catalog(
    folder: Path,
    output: Path,
    media_type: str,
    description: RasterDescription,
    quantisation: Quantisation,
    model_item: Mapping[str, Any],
    acquisition: Acquisition,
    runtime: Runtime | None,
    joules: float | None = None,
    licence: str | None = None,
) -> Path:
    """Write an item for a file of features, and a collection around it or in addition to the items that are there.

    Several processes may add to one folder at a time.

    Args:
        folder: of the catalogue; it is made.
        output: file or store of the features.
        media_type: of its format.
        description: of the raster.
        quantisation: how values are stored.
        model_item: the model as a STAC item.
        acquisition: when the scene was taken.
        runtime: what the work took.
        joules: that the processors used, if counted.
        licence: SPDX identifier of the collection; None: as it is.

    Returns:
        The item's file.

    Raises:
        ConfigError: the folder holds a collection of another model, sensor, patch size or storage.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = output.name.removesuffix(output.suffix)
    item_file = folder / name / f"{name}.json"
    href = Path(os.path.relpath(output.absolute(), item_file.parent.absolute())).as_posix()
    sources = [to_uri(source) for source in description.provenance.sources]
    item = build_item(
        name,
        description,
        acquisition,
        build_asset(href, media_type, f"Embeddings by {description.provenance.model}"),
        quantisation,
        runtime,
        joules,
        sources,
    )
    new = build_collection(description, quantisation.data_type, media_type, sources[0], licence or LICENCE_UNKNOWN)
    with lock_folder(folder):
        collection = _merge(folder / COLLECTION_FILE, new, licence)
        item["collection"] = collection["id"]
        item["links"] = _structure_links() + item["links"]
        _write_json(folder / MODEL_FILE, model_item)
        _write_json(item_file, item)
        _link_items(folder, collection)
        _write_json(folder / COLLECTION_FILE, collection)
    return item_file


def check_collection(folder: Path, description: RasterDescription, data_type: str, media_type: str) -> None:
    """Refuse a catalogue whose collection an output would not fit into, before it is computed.

    Args:
        folder: of the catalogue, which may not be there.
        description: of the raster.
        data_type: of stored values.
        media_type: of the format.

    Raises:
        ConfigError: the folder holds a collection of another model, sensor, patch size or storage.
    """
    _merge(folder / COLLECTION_FILE, build_collection(description, data_type, media_type, ""), None)


def _merge(path: Path, new: dict[str, Any], licence: str | None) -> dict[str, Any]:
    """Return the collection that is there, or the new one where there is none.

    Raises:
        ConfigError: what all items have in common would differ.
        DataError: the file holds no collection.
    """
    if not path.exists():
        return new
    try:
        old: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        raise DataError(f"{path} holds no JSON; remove it, or choose another folder") from None
    for key in ("emb:type", "emb:dimensions", "data_type", "emb:chip_layout"):
        if old.get(key) != new.get(key):
            raise ConfigError(
                f"{path.parent} holds embeddings with {key} {old.get(key)}, these have {new.get(key)}: all items of a "
                "collection are alike; choose another folder"
            )
    if _model_title(old) != _model_title(new):
        raise ConfigError(
            f"{path.parent} holds embeddings by {_model_title(old)}, these are by {_model_title(new)}: vectors of "
            "different weights cannot be compared; choose another folder"
        )
    return old | ({"license": licence} if licence else {})


def _model_title(collection: Mapping[str, Any]) -> str:
    return next((str(link.get("title")) for link in collection.get("links", []) if link["rel"] == "emb:model"), "none")


def _link_items(folder: Path, collection: dict[str, Any]) -> None:
    """Let a collection name every item that lies in its folder, and no other, and set its extent."""
    files = sorted(path for path in folder.glob("*/*.json") if path.stem == path.parent.name)
    collection["links"] = [link for link in collection["links"] if link["rel"] not in ("item", "root")]
    collection["links"].insert(0, {"rel": "root", "href": f"./{COLLECTION_FILE}", "type": "application/json"})
    collection["links"] += [
        {"rel": "item", "href": f"./{path.parent.name}/{path.name}", "type": GEOJSON_MEDIA_TYPE} for path in files
    ]
    merge_extent(collection, [json.loads(path.read_text()) for path in files])


def _structure_links() -> list[dict[str, str]]:
    return [
        {"rel": rel, "href": f"../{COLLECTION_FILE}", "type": "application/json"}
        for rel in ("root", "parent", "collection")
    ]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
