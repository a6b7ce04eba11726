"""Output formats by name, and a raster written by one of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from skyweave.core.atomic_write import write_files_aside, write_folder_aside
from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.inference.raster import FinishedRaster
from skyweave.inference.writer import RasterWriter

AsideContext = Callable[[Path], AbstractContextManager[Path]]

WRITERS: Registry[type[RasterWriter]] = Registry(
    "writers",
    "output format",
    {
        "geotiff": "skyweave.inference.formats.geotiff:GeoTiffWriter",
        "zarr": "skyweave.inference.formats.zarr_store:ZarrWriter",
        "geoparquet": "skyweave.inference.formats.geoparquet:GeoParquetWriter",
    },
)


def write_raster(raster: FinishedRaster, output: Path, writer: RasterWriter, storage: str) -> None:
    """Write a raster aside, verify it and move it to its place.

    Args:
        raster: that is finished.
        output: file or folder to write.
        writer: of the format, see `get_writer`.
        storage: how values are stored.

    Raises:
        ConfigError: values that the storage cannot hold.
        OSError: the disk is full; nothing is left half-written.
    """
    aside: Callable[[Path], AbstractContextManager[Path]] = (
        write_folder_aside if writer.is_folder else write_files_aside
    )
    with aside(output) as path:
        writer.write(raster, path, storage)
        writer.verify(raster, path, storage)


def get_writer(path: Path, name: str | None, storage: str) -> RasterWriter:
    """Return the writer for a file.

    Args:
        path: of the output.
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
    return writer()


def _format_of(path: Path) -> str:
    for name in WRITERS:
        if path.suffix.lower() in WRITERS[name].suffixes:
            return name
    formats = "; ".join(f"{name} ({', '.join(WRITERS[name].suffixes)})" for name in WRITERS)
    raise ConfigError(
        f"{path}: no output format has the suffix {path.suffix!r}; there are {formats}: name it so, or add --format"
    )
