"""Whether STAC items and collections of embeddings follow STAC and its extension ``emb``, and their files fit."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from skyweave.inference.stac.standard import ASSET_KEY, EMB_EXTENSION, STAC_VERSION
from skyweave.inference.validation.embedding_fields import COLLECTION_FIELDS, ITEM_FIELDS, check_embedding_fields
from skyweave.inference.validation.finding import Finding

SCHEMA_VERSION = "1.1.0"
"""Of STAC's schemas that pystac brings; items of 1.0 follow them, too."""


def validate_stac(path: Path) -> Iterator[Finding]:
    """Yield what departs from STAC or from the extension; of a collection also in its items, and in files beside it.

    Args:
        path: of the JSON file.
    """
    content, problem = _read(path)
    if content is None:
        yield Finding("error", "file", problem, "write it anew")
        return
    kind = content.get("type")
    yield from _check_core(content)
    if kind == "Feature":
        yield from _check_item(content, path)
    elif kind == "Collection":
        yield from _check_collection(content)
        yield from _check_linked_items(content, path)
    else:
        yield Finding("error", "type", f"is {kind!r}", "give an item (Feature) or a Collection")


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return None, f"cannot be read as JSON: {error}"
    return (content, "") if isinstance(content, dict) else (None, "is no JSON object")


def _check_core(content: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield where it departs from the schema of items or collections."""
    from jsonschema import Draft7Validator
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource

    name = {"Feature": "item", "Collection": "collection"}.get(str(content.get("type")))
    if name is None:
        return
    schemas = get_local_schema_cache()
    registry: Any = Registry().with_resources(
        [(address, Resource.from_contents(schema)) for address, schema in schemas.items()]
    )
    schema = schemas[f"https://schemas.stacspec.org/v{SCHEMA_VERSION}/{name}-spec/json-schema/{name}.json"]
    newer = {**content, "stac_version": SCHEMA_VERSION}
    for error in Draft7Validator(schema, registry=registry).iter_errors(newer):
        detail = min([error, *(error.context or [])], key=lambda part: -len(part.absolute_path))
        field = ".".join(str(part) for part in detail.absolute_path) or name
        yield Finding("error", field, detail.message[:200], f"see the STAC {name} specification")


def _check_extension(content: Mapping[str, Any]) -> Iterator[Finding]:
    extensions = content.get("stac_extensions") or []
    if EMB_EXTENSION not in extensions:
        yield Finding("error", "stac_extensions", "do not name emb", f"add {EMB_EXTENSION}")
    if content.get("stac_version") != STAC_VERSION:
        remedy = f"write {STAC_VERSION}: the schema of emb 0.0.1 refers to that of STAC {STAC_VERSION}"
        yield Finding("warning", "stac_version", f"is {content.get('stac_version')}", remedy)


def _check_item(item: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    yield from _check_extension(item)
    properties = item.get("properties")
    if isinstance(properties, Mapping):
        yield from check_embedding_fields(properties, ITEM_FIELDS)
        yield from _recommend(properties)
    links = [link for link in item.get("links", []) if isinstance(link, Mapping)]
    if not any(link.get("rel") == "emb:source-data" for link in links):
        remedy = 'add {"rel": "emb:source-data", "href": address of the scene}'
        yield Finding("warning", "links", "do not name the scene", remedy)
    assets = item.get("assets")
    if not isinstance(assets, Mapping) or ASSET_KEY not in assets:
        yield Finding("error", "assets", f"have no `{ASSET_KEY}`", f"name the asset of the file `{ASSET_KEY}`")
        return
    yield from _find_misplaced(assets)
    yield from _check_asset(assets[ASSET_KEY], path)


def _find_misplaced(assets: Mapping[str, Any]) -> Iterator[Finding]:
    for name, asset in assets.items():
        unknown = [key for key in asset if key.startswith("emb:")] if isinstance(asset, Mapping) else []
        for key in unknown:
            yield Finding("error", f"assets.{name}.{key}", "has no place there", "move it into the item's properties")


def _recommend(properties: Mapping[str, Any]) -> Iterator[Finding]:
    for field, remedy in (
        ("emb:runtime_parameters", "write what the embeddings depend on: bands, patch size, overlap"),
        ("emb:energy", "write inference_duration_s and, where it was measured, energy_kwh"),
    ):
        if field not in properties:
            yield Finding("warning", field, "is missing", remedy)


def _check_asset(asset: Any, path: Path) -> Iterator[Finding]:
    """Validate the file of an item, where it lies on this machine."""
    from skyweave.core.errors import DataError
    from skyweave.inference.validation.validators import validate_output

    file = _local_file(asset.get("href") if isinstance(asset, Mapping) else None, path)
    if file is None:
        return
    if not file.exists():
        yield Finding("error", f"assets.{ASSET_KEY}.href", f"leads to {file}, which is not there", "mend the path")
        return
    try:
        report = validate_output(file)
    except DataError as error:
        yield Finding("error", f"assets.{ASSET_KEY}", str(error), "write it in one of these formats")
        return
    for finding in report.findings:
        yield Finding(finding.severity, f"{file.name}: {finding.field}", finding.problem, finding.remedy)


def _check_collection(collection: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _check_extension(collection)
    yield from check_embedding_fields(collection, COLLECTION_FIELDS)
    links = [link for link in collection.get("links", []) if isinstance(link, Mapping)]
    for relation, remedy in (
        ("emb:model", "link the encoder, as a STAC MLM item if there is one"),
        ("emb:source-data", "link the collection of the source data"),
    ):
        if not any(link.get("rel") == relation and link.get("href") for link in links):
            yield Finding("error", "links", f"have no {relation}", remedy)
    if collection.get("emb:type") == "chip" and "emb:chip_layout" not in collection:
        yield Finding("warning", "emb:chip_layout", "is missing", "write layout_type, chip_size and stride")
    if ASSET_KEY not in (collection.get("item_assets") or {}):
        yield Finding("warning", "item_assets", f"do not describe `{ASSET_KEY}`", f"add an entry `{ASSET_KEY}`")


def _check_linked_items(collection: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """Validate the items and the model that lie on this machine."""
    for link in collection.get("links", []):
        relation = link.get("rel") if isinstance(link, Mapping) else None
        file = _local_file(link.get("href"), path) if relation in ("item", "emb:model") else None
        if file is None:
            continue
        if not file.exists():
            yield Finding("error", f"links.{relation}", f"leads to {file}, which is not there", "mend the link")
        elif relation == "item":
            for finding in validate_stac(file):
                yield Finding(finding.severity, f"{file.name}: {finding.field}", finding.problem, finding.remedy)
        else:
            yield from _check_model(file)


def _check_model(file: Path) -> Iterator[Finding]:
    content, problem = _read(file)
    if content is None:
        yield Finding("error", f"{file.name}", problem, "write it anew")
        return
    if not any("/mlm/" in str(extension) for extension in content.get("stac_extensions", [])):
        yield Finding("warning", file.name, "is no item of STAC's MLM extension", "describe the model with MLM")
    for finding in _check_core(content):
        yield Finding(finding.severity, f"{file.name}: {finding.field}", finding.problem, finding.remedy)


def _local_file(href: Any, path: Path) -> Path | None:
    """Return the file that an address leads to; None where it is on another machine."""
    if not isinstance(href, str):
        return None
    parts = urlsplit(href)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else path.parent / unquote(href)
