"""Sentinel-2 products, levels 1C and 2A, in the SAFE format.

ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD: ``MTD_MSIL1C.xml`` and ``MTD_MSIL2A.xml``. From
processing baseline 04.00 on, stored values have an offset, which the metadata give for each band.
"""

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from skyweave.core.errors import DataError
from skyweave.data.products.members import ProductMembers
from skyweave.data.products.product import Product, ProductBand, ProductLayout, QualityBand
from skyweave.data.quality_values import MASK_CLASSES

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""In the order of the numbers that the metadata give to bands."""
NUMBERED = dict(enumerate(BANDS))
METRES = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60, "B10": 60}  # the others: 20
CLASSES = "SCL"
WORST = (True, 1 << 30)
FIRST_BASELINE_WITH_OFFSETS = 4.0
IMAGE_NAME = re.compile(r".*_(B\d[\dA]|SCL)(?:_(\d\d)m)?")


def describe_sentinel2(members: ProductMembers, marker: str) -> Product:
    """Return the product that the metadata describe; of level 2A each band in its own resolution, if it is there.

    Args:
        members: files of the product.
        marker: name of the file of metadata.

    Raises:
        DataError: metadata that are damaged or incomplete, or a product of several granules.
    """
    label = f"{members.path}: {marker}"
    try:
        metadata = ElementTree.fromstring(members.read(marker))
    except ElementTree.ParseError as error:
        raise DataError(f"{label} is damaged ({error}); download the product again") from error
    files = _choose_files(_list_files(members, marker, metadata), label)
    quantification = _number(metadata, label, "QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE")
    offsets = _offsets(metadata, label)
    nodata = next((float(value) for name, value in _special_values(metadata) if name == "NODATA"), 0.0)
    bands = tuple(
        ProductBand(name, files[name], 1 / quantification, offsets.get(name, 0.0) / quantification, nodata)
        for name in BANDS
        if name in files
    )
    quality = QualityBand(files[CLASSES], values=MASK_CLASSES["scl"]) if CLASSES in files else None
    level = "l2a" if "MSIL2A" in marker else "l1c"
    return Product(bands, f"sentinel2-{level}", metadata.findtext(".//PRODUCT_START_TIME"), quality)


LAYOUT = ProductLayout(r"MTD_MSIL(1C|2A)\.xml", describe_sentinel2)


def _list_files(
    members: ProductMembers, marker: str, metadata: ElementTree.Element
) -> Iterator[tuple[str, tuple[bool, int], str]]:
    """Yield band, preference (the smaller the better) and GDAL's name of each image that is there."""
    folder = marker.rpartition("/")[0]
    for entry in metadata.iterfind(".//IMAGE_FILE"):
        name = f"{folder}/{entry.text}.jp2".lstrip("/")
        match = IMAGE_NAME.fullmatch(entry.text or "")
        if match is not None and members.has(name):
            band, metres = match[1], int(match[2] or 0)
            yield band, (metres != METRES.get(band, 20), metres), members.gdal_name(name)


def _choose_files(images: Iterable[tuple[str, tuple[bool, int], str]], label: str) -> dict[str, str]:
    """Return the file of each band, in its own resolution before others, finer before coarser ones."""
    chosen: dict[str, tuple[tuple[bool, int], str]] = {}
    for band, preference, name in images:
        best = chosen.get(band, (WORST, ""))[0]
        if preference == best:
            raise DataError(f"{label} lists several granules, each with a band {band}; give a product of one granule")
        if preference < best:
            chosen[band] = preference, name
    return {band: name for band, (_, name) in chosen.items()}


def _offsets(metadata: ElementTree.Element, label: str) -> dict[str, float]:
    """Return what is added to the stored values of each band; nothing before there were offsets."""
    entries = [*metadata.iterfind(".//RADIO_ADD_OFFSET"), *metadata.iterfind(".//BOA_ADD_OFFSET")]
    try:
        offsets = {NUMBERED[int(entry.attrib["band_id"])]: float(entry.text or "") for entry in entries}
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{label} gives the offset of a band that cannot be read ({error}); download it again"
        ) from error
    baseline = _number(metadata, label, "PROCESSING_BASELINE")
    if baseline < FIRST_BASELINE_WITH_OFFSETS and any(offsets.values()):
        raise DataError(
            f"{label} is of processing baseline {baseline:05.2f}, and gives offsets to {min(offsets.values()):g}, "
            f"which products have from {FIRST_BASELINE_WITH_OFFSETS:05.2f} on: one of both is wrong; download it again"
        )
    if baseline >= FIRST_BASELINE_WITH_OFFSETS and not offsets:
        raise DataError(f"{label} is of processing baseline {baseline:05.2f} and lacks its offsets; download it again")
    return offsets


def _number(metadata: ElementTree.Element, label: str, *names: str) -> float:
    """Return the number under the first of some names."""
    text = next(filter(None, (metadata.findtext(f".//{name}") for name in names)), None)
    try:
        value = float(text or "")
    except ValueError:
        raise DataError(f"{label} has no number as {names[0]}; download the product again") from None
    if not value > 0:
        raise DataError(f"{label} has {value:g} as {names[0]}; download the product again")
    return value


def _special_values(metadata: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield name and number of stored values that are no measurements."""
    for entry in metadata.iterfind(".//Special_Values"):
        yield entry.findtext("SPECIAL_VALUE_TEXT", ""), entry.findtext("SPECIAL_VALUE_INDEX", "0")
