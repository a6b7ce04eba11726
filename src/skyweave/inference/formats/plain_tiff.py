"""A raster as a tiled, compressed GeoTIFF without GDAL: what small machines write; it has no overviews."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from skyweave.data.tiff_dataset import GDAL_NODATA, TiffDataset, open_tiff
from skyweave.data.tiff_metadata import GDAL_METADATA
from skyweave.data.tiff_place import PIXEL_SCALE, TIEPOINTS, TRANSFORMATION
from skyweave.inference.formats.tiff_storage import (
    STORAGES,
    SUFFIXES,
    class_tags,
    nodata_of,
    scaling_of,
    store_values,
)
from skyweave.inference.quantisation import Int8Quantisation
from skyweave.inference.raster import FinishedRaster, RasterDescription
from skyweave.inference.writer import RasterWriter

MAX_TILE, TILE_MULTIPLE = 256, 16
ASCII, SHORT, DOUBLE = "s", "H", "d"
TAG_TYPES = {34735: SHORT, 34736: DOUBLE, 34737: ASCII}


class PlainTiffWriter(RasterWriter):
    """Write a GeoTIFF with tifffile.

    Args:
        system: tags that name the reference system, of `skyweave.data.tiff_place.geo_tags`.
    """

    suffixes = SUFFIXES
    storages = STORAGES
    media_type = "image/tiff; application=geotiff"

    def __init__(self, system: Mapping[int, Any]) -> None:
        self._system = dict(system)

    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write the raster.

        Args:
            raster: that is finished.
            path: to write to.
            storage: one of ``storages``.

        Raises:
            ConfigError: features that float16 cannot hold.
            OSError: the disk is full.
        """
        import tifffile

        description = raster.description
        scaling = scaling_of(raster, storage)
        side = _tile_side(description)
        with tifffile.TiffWriter(path, bigtiff=math.prod(description.shape) * 4 > 2**31) as file:
            file.write(
                _tiles(raster, side, storage, scaling),
                shape=(description.rows, description.columns, len(description.bands)),
                dtype=storage,
                tile=(side, side),
                compression="zlib",
                photometric="minisblack",
                planarconfig="contig",
                metadata=None,
                software=False,
                extratags=_extra_tags(description, storage, scaling, self._system),
            )

    def verify(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Read everything back.

        Args:
            raster: that was written.
            path: of the file.
            storage: one of ``storages``.

        Raises:
            OSError: pixels are missing.
        """
        with open_tiff(path) as dataset:
            valid = sum(int((dataset.read_masks([1], window) > 0).sum()) for window in _strips(dataset))
        if valid != raster.statistics.count:
            raise OSError(f"{path}: {raster.statistics.count - valid} pixels were not written; free some space")


def read_geo_tags(path: Path) -> dict[int, Any]:
    """Return the tags of a file that name its reference system.

    Args:
        path: of a TIFF.
    """
    with open_tiff(path) as dataset:
        return dataset.geo_tags


def _strips(dataset: TiffDataset) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for row in range(0, dataset.height, MAX_TILE):
        yield (row, min(row + MAX_TILE, dataset.height)), (0, dataset.width)


def _tile_side(description: RasterDescription) -> int:
    longer = max(description.rows, description.columns)
    return min(math.ceil(longer / TILE_MULTIPLE) * TILE_MULTIPLE, MAX_TILE)


def _tiles(raster: FinishedRaster, side: int, storage: str, scaling: Int8Quantisation | None) -> Iterator[np.ndarray]:
    """Yield the tiles, (rows, columns, bands), full at the edges too."""
    for _, _, values in raster.blocks(side, side):
        tile = np.zeros((side, side, len(values)), storage)
        tile[: values.shape[1], : values.shape[2]] = store_values(values, storage, scaling).transpose(1, 2, 0)
        yield tile


def _extra_tags(
    description: RasterDescription, storage: str, scaling: Int8Quantisation | None, system: Mapping[int, Any]
) -> list[tuple[int, str, int, Any, bool]]:
    texts = {GDAL_NODATA: f"{nodata_of(description, storage):g}", GDAL_METADATA: _metadata(description, scaling)}
    tags: list[tuple[int, str, int, Any, bool]] = [(code, ASCII, 0, text, True) for code, text in texts.items()]
    tags += [(code, DOUBLE, len(numbers), numbers, True) for code, numbers in _place(description).items()]
    for code, value in system.items():
        tags.append((code, TAG_TYPES[code], 0 if TAG_TYPES[code] == ASCII else len(value), value, True))
    return tags


def _place(description: RasterDescription) -> dict[int, tuple[float, ...]]:
    """Return the tags of the transform."""
    a, b, c, d, e, f = description.transform
    if b or d or e >= 0:
        return {TRANSFORMATION: (a, b, 0, c, d, e, 0, f, 0, 0, 0, 0, 0, 0, 0, 1)}
    return {PIXEL_SCALE: (a, -e, 0.0), TIEPOINTS: (0.0, 0.0, 0.0, c, f, 0.0)}


def _metadata(description: RasterDescription, scaling: Int8Quantisation | None) -> str:
    """Return names of bands, what made the values, and what undoes their scaling, as GDAL keeps them in a TIFF."""
    root = ElementTree.Element("GDALMetadata")
    tags = {**description.provenance.tags, **class_tags(description)}
    for name, text in tags.items():
        ElementTree.SubElement(root, "Item", name=name).text = text
    for number, band in enumerate(description.bands):
        facts = {"description": band}
        if scaling is not None:
            facts |= {"scale": repr(float(scaling.scales[number])), "offset": repr(float(scaling.offsets[number]))}
        for role, text in facts.items():
            item = ElementTree.SubElement(root, "Item", name=role.upper(), sample=str(number), role=role)
            item.text = text
    return ElementTree.tostring(root, encoding="unicode").encode("ascii", "xmlcharrefreplace").decode()
