"""Output formats by name."""

from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.embedding.writer import FeatureWriter

WRITERS: Registry[type[FeatureWriter]] = Registry(
    "writers", "output format", {"geotiff": "skyweave.embedding.geotiff:GeoTiffWriter"}
)


def get_writer(path: Path, name: str | None, storage: str) -> type[FeatureWriter]:
    """Return the writer for a file.

    Args:
        path: of the file.
        name: of the format; None: the one that the suffix belongs to.
        storage: how values are to be stored.

    Raises:
        UnknownNameError: no format has that name.
        ConfigError: no format has that suffix, or the format cannot store values so.
    """
    name = name or _format_of(path)
    writer = WRITERS[name]
    if storage not in writer.storages:
        raise ConfigError(f"{name} cannot store {storage}; choose one of: {', '.join(writer.storages)}")
    return writer


def _format_of(path: Path) -> str:
    for name in WRITERS:
        if path.suffix.lower() in WRITERS[name].suffixes:
            return name
    formats = "; ".join(f"{name} ({', '.join(WRITERS[name].suffixes)})" for name in WRITERS)
    raise ConfigError(
        f"{path}: no output format has the suffix {path.suffix!r}; there are {formats}: name it so, or add --format"
    )
