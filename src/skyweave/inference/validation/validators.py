"""Which validator a file or store is for, and what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path

from skyweave.core.archive_names import advise_local_copy
from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.inference.validation.finding import Finding, ValidationReport, sort_findings

Validate = Callable[[Path], Iterator[Finding]]

VALIDATORS: Registry[Validate] = Registry(
    "validators",
    "format of embeddings",
    {
        "geotiff": "skyweave.inference.validation.geotiff:validate_geotiff",
        "zarr": "skyweave.inference.validation.zarr_store:validate_zarr",
        "geoparquet": "skyweave.inference.validation.geoparquet:validate_geoparquet",
        "stac": "skyweave.inference.validation.stac:validate_stac",
    },
)
"""Functions that yield what departs from a standard. Another package adds one for a format of its own."""
STANDARDS = {
    "geotiff": "cloud-optimised GeoTIFF",
    "zarr": "Zarr 3 with the conventions geoemb, proj and spatial",
    "geoparquet": "GeoParquet 1.1 with STAC's emb",
    "stac": "STAC with the extension emb 0.0.1",
}
MAGIC = {b"PAR1": "geoparquet", b"II*\0": "geotiff", b"MM\0*": "geotiff", b"II+\0": "geotiff", b"MM\0+": "geotiff"}
"""First bytes of files."""


def validate_output(path: Path) -> ValidationReport:
    """Hold a file or store of embeddings, or its STAC file, against the standards for it.

    Args:
        path: of a GeoTIFF, a Zarr store, a GeoParquet file, or a STAC item or collection.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is of none of these formats.
    """
    name = detect_format(path)
    return ValidationReport(path, STANDARDS.get(name, name), sort_findings(list(VALIDATORS[name](path))))


def detect_format(path: Path) -> str:
    """Return the name of a format in `VALIDATORS`, by what is in the file.

    Args:
        path: of a file or folder.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is of no format that is known here.
    """
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
            return "zarr"
        raise DataError(f"{path} is a folder without zarr.json; give a Zarr store, or a file in the folder")
    if not path.exists() and (advice := advise_local_copy(str(path))):
        raise FileNotFoundError(f"no such file: {path}; files are validated where they lie: {advice}")
    with path.open("rb") as file:
        start = file.read(64)
    if start[:4] in MAGIC:
        return MAGIC[start[:4]]
    if start.lstrip()[:1] == b"{":
        return "stac"
    suffix = path.suffix.lstrip(".").lower()
    if suffix in VALIDATORS:
        return suffix
    raise DataError(f"{path} is no GeoTIFF, Zarr store, GeoParquet or STAC file; name one of these")
