"""Sentinel-1 products of detected ground range (GRD), in the SAFE format: backscatter, on a map.

ESA, Sentinel-1 Product Specification, S1-RS-MDA-52-7441. Sigma nought is ``stored ** 2 / A ** 2``, where the annotation
of calibration gives A at some lines and pixels, bilinear between them. Pixels lie where its control points
say, which know the height of the ground at these points alone; neither thermal noise nor the terrain is corrected.
"""

import re
from xml.etree import ElementTree

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.products.gains import GainGrid
from skyweave.data.products.members import ProductMembers
from skyweave.data.products.product import Product, ProductBand, ProductLayout

MEASUREMENT = re.compile(r"measurement/(s1\w-\w+-grd-(vv|vh|hh|hv)-.+)\.tiff?", re.IGNORECASE)
OTHER_MEASUREMENT = re.compile(r"measurement/s1\w-\w+-(slc|ocn|raw)-", re.IGNORECASE)
HREF = "href"


def describe_sentinel1(members: ProductMembers, marker: str) -> Product:
    """Return the product that the manifest lists: a band for each polarisation, in linear power.

    Args:
        members: files of the product.
        marker: name of the manifest.

    Raises:
        DataError: a manifest or an annotation that is damaged, or a product of another kind.
    """
    label = f"{members.path}: {marker}"
    manifest = _parse(members, marker)
    folder = marker.rpartition("/")[0]
    names = [element.attrib[HREF].removeprefix("./") for element in manifest.iter() if HREF in element.attrib]
    matches = [match for name in names if (match := MEASUREMENT.fullmatch(name))]
    if not matches:
        raise DataError(f"{label} is of no Sentinel-1 product of detected ground range (GRD), {_remedy(names)}")
    bands = [_band(members, folder, match) for match in matches if members.has(_join(folder, match[0]))]
    time = next((element.text for element in manifest.iter() if element.tag.endswith("}startTime")), None)
    return Product(tuple(sorted(bands, key=lambda band: band.name, reverse=True)), "sentinel1-grd", time)


def _remedy(names: list[str]) -> str:
    """Return what to do with a product that is no GRD, by the names of its files."""
    other = next((match[1].upper() for name in names if (match := OTHER_MEASUREMENT.match(name))), None)
    return f"but {other}; download a GRD" if other else "if it is of another satellite, give its folder"


LAYOUT = ProductLayout(r"manifest\.safe", describe_sentinel1)


def _band(members: ProductMembers, folder: str, match: re.Match[str]) -> ProductBand:
    """Return the band of a measurement."""
    stem, polarisation = match[1].lower(), match[2].upper()
    annotation = _parse(members, _join(folder, f"annotation/{stem}.xml"))
    calibration = _parse(members, _join(folder, f"annotation/calibration/calibration-{stem}.xml"))
    label = f"{members.path}: calibration-{stem}.xml"
    try:
        metres = float(annotation.findtext(".//rangePixelSpacing") or "")
        shape = tuple(int(annotation.findtext(f".//{name}") or "") for name in ("numberOfLines", "numberOfSamples"))
        gain = _read_gain(calibration, (shape[0], shape[1]))
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{label} or its annotation cannot be read ({error}); download the product again") from error
    file = members.gdal_name(_join(folder, match[0]))
    return ProductBand(polarisation, file, unit="power", gain=gain, metres=metres)


def _read_gain(calibration: ElementTree.Element, shape: tuple[int, int]) -> GainGrid:
    """Return what squared values are multiplied by."""
    lines, rows = [], []
    grid = np.linspace(0, shape[1] - 1, GainGrid.columns_of(shape[1]))
    for vector in calibration.iterfind(".//calibrationVector"):
        lines.append(float(vector.findtext("line") or ""))
        pixels, values = (np.array((vector.findtext(name) or "").split(), float) for name in ("pixel", "sigmaNought"))
        if not (values > 0).all():
            raise ValueError("a factor of calibration is not positive")
        rows.append(np.interp(grid, pixels, values))
    return GainGrid.interpolate(np.array(lines), 1 / np.array(rows) ** 2, shape[0])


def _parse(members: ProductMembers, name: str) -> ElementTree.Element:
    if not members.has(name):
        raise DataError(f"{members.path}: {name} is not there; download the product again")
    try:
        return ElementTree.fromstring(members.read(name))
    except ElementTree.ParseError as error:
        raise DataError(f"{members.path}: {name} is damaged ({error}); download the product again") from error


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}".lstrip("/")
