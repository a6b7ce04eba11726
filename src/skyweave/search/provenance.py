"""What files in the standards of embeddings say of how they were made."""

from collections.abc import Mapping
from typing import Any

from skyweave.search.reader import FeatureSpace

TAGS_KEY = "skyweave:provenance"


def space_from_standard(record: Mapping[str, Any], prefix: str, channels: int) -> tuple[FeatureSpace, dict[str, str]]:
    """Return the feature space and the tags of a record.

    Our files carry the tags that a GeoTIFF has; those of others at least name their model, which is taken for the
    fingerprint then: it is the same where the model is.

    Args:
        record: of the STAC extension ``emb`` or of the Zarr convention ``geoemb``.
        prefix: of its fields.
        channels: of a vector.
    """
    tags = {str(key): str(value) for key, value in record.get(TAGS_KEY, {}).items()}
    fingerprint = tags.get("FINGERPRINT") or _find_model(record, prefix)
    gsd = tags.get("GSD")
    return FeatureSpace(channels, fingerprint, tags.get("SENSOR"), float(gsd) if gsd else None), tags


def _find_model(record: Mapping[str, Any], prefix: str) -> str | None:
    links = [link.get("href") for link in record.get("links", ()) if link.get("rel") == f"{prefix}:model"]
    model = record.get(f"{prefix}:model") or next(iter(links), None)
    return str(model) if model else None
