"""Names of the published standards for embeddings, each with where its text is.

STAC extension: https://github.com/geo-embeddings/embeddings-stac-specification, version 0.0.1, maturity "proposal". Its
schema refers to those of STAC 1.0.0, so files that carry it say 1.0.0. Zarr conventions: geoemb
(https://github.com/geo-embeddings/embeddings-zarr-convention, v1), proj and spatial (zarr-conventions, v1).
"""

from typing import Any
from urllib.parse import quote

STAC_VERSION = "1.0.0"
EMB_EXTENSION = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
PROCESSING_EXTENSION = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION_EXTENSION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
ITEM_ASSETS_EXTENSION = "https://stac-extensions.github.io/item-assets/v1.0.0/schema.json"

ASSET_KEY = "embeddings"
"""Of the asset that an item must have."""
PARQUET_KEY = b"emb"
"""Of the file metadata of a GeoParquet file that hold what the item says of its asset."""

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
ZARR_MEDIA_TYPE = "application/vnd.zarr; version=3"
PARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"

EMBEDDING_TYPES = ("pixel", "chip")
STAC_LAYOUTS = ("regular_grid", "variable_grid", "named_grid")
ZARR_LAYOUTS = ("regular_grid", "irregular")
DEVICE_TYPES = ("cpu", "gpu")
STAC_DATA_TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"),
    *("cint16", "cint32", "cfloat32", "cfloat64", "other"),
)

GEOEMB_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/geo-embeddings/embeddings-zarr-convention/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/geo-embeddings/embeddings-zarr-convention/blob/v1/README.md",
    "uuid": "61c12cc5-0e28-4056-999a-480cf3fb7e4c",
    "name": "geoemb:",
    "description": "Geoembeddings convention for geospatial embedding arrays with model provenance",
}
PROJ_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/geo-proj/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/geo-proj/blob/v1/README.md",
    "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "name": "proj:",
    "description": "Coordinate reference system information for geospatial data",
}
SPATIAL_CONVENTION = {
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
    "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
    "name": "spatial:",
    "description": "Spatial coordinate information",
}


def model_urn(name: str, fingerprint: str) -> str:
    """Return a URI that names weights wherever they lie.

    Args:
        name: of the weights.
        fingerprint: of architecture, normalisation and weights.
    """
    return f"urn:skyweave:weights:{quote(name, safe='')}:{fingerprint}"


def embedding_type(patch_size: int) -> str:
    """Return which of the standard's two kinds features of patches are: ``pixel`` only where a patch is one pixel.

    Args:
        patch_size: pixels per patch side.
    """
    return "pixel" if patch_size == 1 else "chip"


def describe_chip_layout(patch_size: int) -> dict[str, Any]:
    """Return the chip layout object of patches that lie side by side.

    Args:
        patch_size: pixels per patch side.
    """
    side = [patch_size, patch_size]
    return {"layout_type": "regular_grid", "chip_size": side, "stride": side}
