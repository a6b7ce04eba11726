"""Rasters by name: files, GDAL's names of what is inside a file, URLs; and all files that a raster is made of."""

import contextlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError, MissingExtraError
from skyweave.core.quiet import ignore_warnings
from skyweave.data.band_header import band_from_file_name
from skyweave.data.products.product import find_product
from skyweave.data.products.shared import keep_open
from skyweave.data.products.virtual_raster import product_as_raster
from skyweave.data.tiff_dataset import SUFFIXES, open_tiff

MAX_LISTED_SUBDATASETS = 4
FOLDER_FORMATS = (".zarr", ".safe", ".gdb")  # GDAL opens these folders as they are


def raster_name(path: str | Path) -> str:
    """Return what GDAL opens; ``HDF5:cube.h5://a/b`` and ``https://host/a.tif`` keep their slashes as a string only.

    Args:
        path: of a file, or a name that GDAL knows.
    """
    return str(path)


def is_gdal_name(name: str) -> bool:
    """Return whether a name is no plain path: a subdataset, a virtual file system or a URL.

    Args:
        name: as given.
    """
    if Path(name).exists():
        return False
    return name.startswith("/vsi") or re.match(r"[A-Za-z][A-Za-z0-9_+.-]+:", name) is not None


def check_raster_exists(path: str | Path) -> None:
    """Refuse a file that is not there, before anything slow begins.

    Args:
        path: of a file, or a name that GDAL knows, which only GDAL can look up.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder that is no raster.
    """
    name = raster_name(path)
    if is_gdal_name(name) or find_product(path) is not None:
        return
    file = Path(name)
    if not file.exists():
        raise FileNotFoundError(f"no such file: {name}")
    if file.is_dir() and file.suffix.casefold() not in FOLDER_FORMATS:
        raise IsADirectoryError(f"{name} is a folder; {_advise_on_folder(file)}")


def _advise_on_folder(folder: Path) -> str:
    """Return what to give instead of a folder that is no product: its files as one image, where they are its bands."""
    for file in sorted(folder.iterdir()):
        band = band_from_file_name(file.name)
        if band is not None and file.is_file():
            head, _, tail = file.name.rpartition(band)
            return f"its files may be bands of one image: give '{folder / f'{head}{{band}}{tail}'}'"
    return "give a raster file"


@contextlib.contextmanager
def open_raster(path: str | Path) -> Iterator[Any]:
    """Open a raster with rasterio; GDAL's errors name the file and the remedy, also those of reading in the block.

    Args:
        path: any file that GDAL opens, or a name of its: a subdataset, a virtual file, a URL; or a product of one file
            a band (`skyweave.data.products`), whose bands are brought to the grid of the finest.

    Raises:
        FileNotFoundError: no such file.
        IsADirectoryError: a folder.
        DataError: GDAL cannot read it, or it only holds other rasters.
        MissingExtraError: rasterio is not installed.
    """
    if importlib.util.find_spec("rasterio") is None:
        check_raster_exists(path)
        with open_tiff(_as_tiff(path)) as tiff:
            yield tiff
        return
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    check_raster_exists(path)
    try:
        with ignore_warnings(NotGeoreferencedWarning):  # no error here: it becomes a note
            product = find_product(path)
            opened = rasterio.open(raster_name(path)) if product is None else keep_open(product_as_raster(product))
        with opened as dataset:
            _check_bands(dataset, path)
            yield dataset
    except RasterioError as error:
        raise DataError(_describe_unreadable(path, str(error.__cause__ or error))) from error


def is_unreadable(error: Exception) -> bool:
    """Return whether an error is of a file (damaged, gone, out of reach), not of what is declared about it.

    Args:
        error: of reading.
    """
    return isinstance(error, OSError) or isinstance(error.__cause__, OSError | _rasterio_error())


def _rasterio_error() -> type[Exception]:
    """Return what rasterio raises; without it nothing of its."""
    if importlib.util.find_spec("rasterio") is None:
        return OSError
    from rasterio.errors import RasterioError

    error: type[Exception] = RasterioError
    return error


def _as_tiff(path: str | Path) -> Path:
    """Refuse what is read by GDAL alone, where that is not installed."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        raise MissingExtraError(f"{path}: only GeoTIFF files are read without GDAL: pip install 'skyweave[geo]'")
    return file


def _describe_unreadable(path: str | Path, cause: str) -> str:
    """Return the message on a file that GDAL cannot read: an archive, or no raster."""
    if members := _archived(path):
        return f"{path} is an archive; give a raster in it: {members}"
    return (
        f"{path}: GDAL cannot read it ({cause}); the file is no raster, or truncated or damaged: "
        "copy or download it again"
    )


def _file_names(members: list[str]) -> list[str]:
    """Return the members of an archive that are no folders."""
    return [name for name in members if not name.endswith("/")]


def _archived(path: str | Path) -> str:
    """Return GDAL's names of the first files in a ZIP archive; nothing of another file."""
    import zipfile

    if is_gdal_name(raster_name(path)) or not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = _file_names(archive.namelist())
    return "; ".join(f"/vsizip/{path}/{name}" for name in names[:MAX_LISTED_SUBDATASETS])


def list_dataset_files(path: str | Path) -> list[Path]:
    """Return all files that a raster is made of: headers, masks, overviews, and the sources of virtual rasters.

    Args:
        path: any file that GDAL opens, or a name of its.

    Returns:
        Files that exist on this machine, the given one first; none for what lies elsewhere.

    Raises:
        FileNotFoundError: no such file.
        DataError: GDAL cannot read it.
    """
    files: dict[Path, None] = {}
    waiting = [raster_name(path)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        parts = [Path(part) for part in _parts(name, required=name == raster_name(path))]
        files |= dict.fromkeys(part for part in parts if part.exists())
        waiting += [str(part) for part in parts if part.suffix.casefold() == ".vrt"]
    return list(files)


def _parts(name: str, required: bool) -> list[str]:
    """Return the files that GDAL names for a raster, and itself."""
    itself = [] if is_gdal_name(name) else [name]
    if (product := find_product(name)) is not None:
        return itself + product.files
    try:
        with open_raster(name) as dataset:
            return itself + [str(file) for file in dataset.files]
    except DataError:
        if required:
            raise
        return itself  # a source that only the virtual raster can read


def _check_bands(dataset: Any, path: str | Path) -> None:
    """Refuse a file that only holds other rasters."""
    if dataset.count:
        return
    names = list(dataset.subdatasets)
    if not names:
        raise DataError(f"{path} holds no bands; the file is no raster, or an empty one")
    rest = len(names) - MAX_LISTED_SUBDATASETS
    more = f"; and {rest} more" if rest > 0 else ""
    listed = "; ".join(names[:MAX_LISTED_SUBDATASETS])
    raise DataError(f"{path} holds no bands of its own; give one of its subdatasets: {listed}{more}")
