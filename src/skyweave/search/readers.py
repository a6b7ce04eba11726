"""Formats of embeddings by name."""

from pathlib import Path

from skyweave.core.archive_names import advise_local_copy
from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.search.reader import PatchReader

PATCH_READERS: Registry[type[PatchReader]] = Registry(
    "patch_readers",
    "format of embeddings",
    {
        "geotiff": "skyweave.search.geotiff_patches:GeoTiffPatches",
        "geoparquet": "skyweave.search.geoparquet_patches:GeoParquetPatches",
        "zarr": "skyweave.search.zarr_patches:ZarrPatches",
    },
)


def open_patches(path: str | Path) -> PatchReader:
    """Open a file of embeddings by its suffix.

    Args:
        path: of the file or store.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: no format has the suffix.
        DataError: it holds no embeddings.
    """
    name, path = str(path), Path(path)
    if not path.exists():
        advice = advise_local_copy(name)
        raise FileNotFoundError(
            f"no such file: {name}" + (f"; embeddings are read from files: {advice}" if advice else "")
        )
    for name in PATCH_READERS:
        if path.suffix.lower() in PATCH_READERS[name].suffixes:
            return PATCH_READERS[name](path)
    known = ", ".join(suffix for name in PATCH_READERS for suffix in PATCH_READERS[name].suffixes)
    raise ConfigError(f"{path}: no format of embeddings has the suffix {path.suffix!r}; there are {known}")
