"""TIFF files without GDAL: what `skyweave.data` asks of a dataset of rasterio's, answered by tifffile.

For small machines. What only GDAL reads (another format, a compression, files beside the raster, control points) is
refused with what helps; nothing is read in another way than GDAL reads it.
"""

import contextlib
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.tiff_metadata import read_colours, read_metadata, tag_value
from skyweave.data.tiff_pages import read_page
from skyweave.data.tiff_place import geo_tags, locate_tiff

SUFFIXES = (".tif", ".tiff")
GDAL_NODATA, SUBFILE_TYPE = 42113, 254
IMAGE, REDUCED, MASK = 0, 1, 4  # of a page's subfile type
MASK_SUFFIX = ".msk"
SIDE_FILES = (MASK_SUFFIX, ".aux.xml")
SIDE_FACTS = re.compile("<(SRS|GeoTransform|GCPList|NoDataValue|Description|Scale|Offset|UnitType)[ >]")
OPAQUE = 255
PixelWindow = tuple[tuple[int, int], tuple[int, int]]
DAMAGE = (ValueError, IndexError, KeyError, RuntimeError, zlib.error, struct.error)
"""What tifffile raises of files that are none, beside its own error."""


@contextlib.contextmanager
def open_tiff(path: str | Path) -> Iterator["TiffDataset"]:
    """Open a TIFF file.

    Args:
        path: of the file.

    Raises:
        DataError: no TIFF, damaged, or one that only GDAL reads.
        ModuleNotFoundError: tifffile is not installed.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            yield TiffDataset(file, Path(path))
    except (tifffile.TiffFileError, *DAMAGE) as error:
        raise DataError(
            f"{path}: it cannot be read without GDAL ({error}); the file is no TIFF, or truncated or damaged: copy it "
            "again, or translate it where GDAL is: `gdal_translate -co COMPRESS=DEFLATE -co TILED=YES IN OUT.tif`"
        ) from OSError(str(error))


class TiffDataset:
    """An open TIFF with the attributes and methods of a dataset of rasterio's that reading headers and values takes.

    Args:
        file: of tifffile.
        path: of the file.

    Raises:
        DataError: it has what only GDAL reads.
    """

    driver = "GTiff"
    gcps: tuple[list[Any], None] = ([], None)
    rpcs = None

    def __init__(self, file: Any, path: Path) -> None:
        _refuse_side_files(path)
        self.name, self.files = str(path), [str(path)]
        self._page = page = file.pages[0]
        self._masks, self._coarser = _pages_of(file, MASK), _pages_of(file, REDUCED)
        self.subdatasets = _name_images(len(_pages_of(file, IMAGE)), path)
        self.height, self.width, self.count = page.imagelength, page.imagewidth, page.samplesperpixel
        self.indexes = tuple(range(1, self.count + 1))
        self.dtypes = (str(page.dtype),) * self.count
        self.place, self.geo_tags = locate_tiff(page), geo_tags(page)
        self._metadata = metadata = read_metadata(page)
        self.descriptions, self.units = metadata.facts("description"), metadata.facts("unittype")
        self.scales, self.offsets = metadata.numbers("scale", 1), metadata.numbers("offset", 0)
        self._colours = read_colours(page, metadata)
        self.nodata = _parse_number(tag_value(page, GDAL_NODATA, ""))
        self.nodatavals = (self.nodata,) * self.count

    @property
    def colorinterp(self) -> list[SimpleNamespace]:
        """Return what each band shows, by name."""
        return [SimpleNamespace(name=name) for name in self._colours]

    @property
    def mask_flag_enums(self) -> list[list[SimpleNamespace]]:
        """Return what the mask of each band is made of."""
        return [[SimpleNamespace(name=self._mask_kind)]] * self.count

    @property
    def _mask_kind(self) -> str:
        """Return what says which pixels are measurements, as GDAL decides."""
        kinds = {"per_dataset": bool(self._masks), "nodata": self.nodata is not None, "alpha": "alpha" in self._colours}
        return next((kind for kind, is_there in kinds.items() if is_there), "all_valid")

    def tags(self, number: int | None = None, ns: str | None = None) -> dict[str, str]:
        """Return the tags of the file or of a band, as GDAL's metadata has them.

        Args:
            number: of the band, from 1; None: of the file.
            ns: GDAL's domain.
        """
        return self._metadata.tags(number or 0, ns or "")

    def read(
        self, numbers: Sequence[int], window: PixelWindow | None = None, out_shape: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return (bands, rows, columns) stored values.

        Args:
            numbers: of the bands, from 1.
            window: rows and columns; None: all.
            out_shape: whose last two are the rows and columns to read the nearest pixels of.

        Raises:
            DataError: the file is damaged.
        """
        spans, shape = self._request(window, out_shape)
        page = self._finest_needed(spans, shape)
        return self._read_page(page, spans, shape)[np.subtract(numbers, 1)]

    def read_masks(
        self, numbers: Sequence[int], window: PixelWindow | None = None, out_shape: Sequence[int] | None = None
    ) -> np.ndarray:
        """Return (bands, rows, columns) 255 where values are measurements by the file's mask, nodata or alpha.

        Args:
            numbers: as of `read`.
            window: as of `read`.
            out_shape: as of `read`.
        """
        masks: dict[str, Callable[[], np.ndarray]] = {
            "per_dataset": lambda: self._read_page(self._masks[0], *self._request(window, out_shape))[:1] > 0,
            "nodata": lambda: self._differs(self.read(numbers, window, out_shape)),
            "alpha": lambda: self.read([self._colours.index("alpha") + 1], window, out_shape) > 0,
            "all_valid": lambda: np.ones((1, *self._request(window, out_shape)[1]), bool),
        }
        valid = masks[self._mask_kind]()
        return np.broadcast_to(valid, (len(numbers), *valid.shape[1:])) * np.uint8(OPAQUE)

    def _differs(self, values: np.ndarray) -> np.ndarray:
        """Return where values are not the nodata value."""
        nodata = self.nodata
        assert nodata is not None
        return np.asarray(~np.isnan(values) if math.isnan(nodata) else values != nodata)

    def _request(
        self, window: PixelWindow | None, out_shape: Sequence[int] | None
    ) -> tuple[PixelWindow, tuple[int, int]]:
        """Return the part that is asked for, and the shape to read it in."""
        (top, bottom), (left, right) = spans = window or ((0, self.height), (0, self.width))
        rows, columns = (out_shape or (bottom - top, right - left))[-2:]
        return spans, (rows, columns)

    def _finest_needed(self, spans: PixelWindow, shape: tuple[int, int]) -> Any:
        """Return the coarsest page that has as many pixels as are asked for."""
        needed = shape[0] * self.height / (spans[0][1] - spans[0][0])
        fitting = (page for page in self._coarser if page.imagelength >= needed)
        return min(fitting, key=lambda page: int(page.imagelength), default=self._page)

    def _read_page(self, page: Any, spans: PixelWindow, shape: tuple[int, int]) -> np.ndarray:
        """Return (samples, rows, columns) of a page, which may be a coarser one."""
        rows = _centres(spans[0], shape[0], page.imagelength / self.height)
        columns = _centres(spans[1], shape[1], page.imagewidth / self.width)
        return read_page(page, rows, columns, self.nodata or 0)


def _pages_of(file: Any, kind: int) -> list[Any]:
    """Return the pages of a kind; coarser copies of a mask are of none that is asked for."""
    return [page for page in file.pages if tag_value(page, SUBFILE_TYPE, 0) & (REDUCED | MASK) == kind]


def _name_images(count: int, path: Path) -> list[str]:
    """Return GDAL's names of the images in a file of several."""
    return [f"GTIFF_DIR:{number}:{path}" for number in range(1, count + 1)] if count > 1 else []


def _centres(span: tuple[int, int], count: int, scale: float) -> np.ndarray:
    """Return the pixels of a page that are the nearest to so many centres in a span."""
    centres = span[0] + (np.arange(count) + 0.5) * (span[1] - span[0]) / count
    return np.asarray(np.floor(centres * scale), int)


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _refuse_side_files(path: Path) -> None:
    """Refuse a file beside which lie facts on it that are not read here."""
    for suffix in SIDE_FILES:
        beside = path.with_name(path.name + suffix)
        if beside.exists() and (suffix == MASK_SUFFIX or SIDE_FACTS.search(beside.read_text())):
            raise DataError(
                f"{path}: {beside.name} beside it says more of it, which only GDAL reads; make one file of both: "
                f"`gdal_translate {path} OUT.tif`, or install skyweave[geo]"
            )
