"""A virtual raster of GDAL: a file and its coarser copies, which GDAL copies into one file in the order of a COG."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from skyweave.inference.formats.overviews import Level

GDAL_TYPES = {"float32": "Float32", "int8": "Int8", "uint8": "Byte", "uint16": "UInt16"}


@dataclass(frozen=True)
class BandTexts:
    """What is said of a band.

    Attributes:
        description: its name.
        scale: what stored values are multiplied by; None: they are as they are.
        offset: what is added then.
        tags: further text by name.
    """

    description: str
    scale: float | None = None
    offset: float | None = None
    tags: dict[str, str] = field(default_factory=dict)


def write_virtual_raster(
    path: Path,
    levels: Sequence[tuple[Path, Level]],
    bands: Sequence[BandTexts],
    dtype: str,
    nodata: float,
    crs: str | None,
    transform: tuple[float, ...],
    tags: dict[str, str],
) -> None:
    """Write the XML.

    Args:
        path: of it, beside the files.
        levels: files with all bands and their sizes, the finest first.
        bands: what is said of each.
        dtype: of the values.
        nodata: of the values.
        crs: as WKT.
        transform: (a, b, c, d, e, f) of the finest level.
        tags: of the raster.
    """
    file, size = levels[0]
    root = ElementTree.Element("VRTDataset", rasterXSize=str(size.columns), rasterYSize=str(size.rows))
    if crs is not None:
        ElementTree.SubElement(root, "SRS").text = crs
    a, b, c, d, e, f = transform
    if crs is not None or transform != (1, 0, 0, 0, 1, 0):
        ElementTree.SubElement(root, "GeoTransform").text = ",".join(repr(float(n)) for n in (c, a, b, f, d, e))
    _add_tags(root, tags)
    for number, texts in enumerate(bands, start=1):
        band = ElementTree.SubElement(root, "VRTRasterBand", dataType=GDAL_TYPES[dtype], band=str(number))
        _add_texts(band, texts, number, nodata)
        source = ElementTree.SubElement(band, "SimpleSource")
        _add_source(source, file, number)
        window = {"xOff": "0", "yOff": "0", "xSize": str(size.columns), "ySize": str(size.rows)}
        ElementTree.SubElement(source, "SrcRect", window)
        ElementTree.SubElement(source, "DstRect", window)
        for coarser, _ in levels[1:]:
            _add_source(ElementTree.SubElement(band, "Overview"), coarser, number)
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def _add_texts(band: ElementTree.Element, texts: BandTexts, number: int, nodata: float) -> None:
    ElementTree.SubElement(band, "Description").text = texts.description
    _add_tags(band, texts.tags)
    ElementTree.SubElement(band, "NoDataValue").text = repr(float(nodata))
    ElementTree.SubElement(band, "ColorInterp").text = "Gray" if number == 1 else "Undefined"
    if texts.scale is not None and texts.offset is not None:
        ElementTree.SubElement(band, "Offset").text = repr(float(texts.offset))
        ElementTree.SubElement(band, "Scale").text = repr(float(texts.scale))


def _add_source(element: ElementTree.Element, file: Path, number: int) -> None:
    ElementTree.SubElement(element, "SourceFilename", relativeToVRT="1").text = file.name
    ElementTree.SubElement(element, "SourceBand").text = str(number)


def _add_tags(element: ElementTree.Element, tags: dict[str, str]) -> None:
    if tags:
        metadata = ElementTree.SubElement(element, "Metadata")
        for key, text in tags.items():
            ElementTree.SubElement(metadata, "MDI", key=key).text = text
