"""Landsat Collection 2 products, levels 1 and 2: a folder or a tar file with ``*_MTL.txt``.

USGS, Collection 2 Data Format Control Books of Landsat 8-9 (LSDS-1822, LSDS-1834) and 4-7 (LSDS-1414): groups of
``KEY = VALUE``. Of level 1 a thermal band has the factors of its radiance only: 10 and 11 of TIRS, 6 of TM, and 6 of
ETM+ at low and high gain (``6_VCID_1``, ``6_VCID_2``).
"""

import re
from datetime import datetime

from skyweave.core.errors import DataError
from skyweave.data.products.members import ProductMembers
from skyweave.data.products.product import Product, ProductBand, ProductLayout, QualityBand
from skyweave.data.quality_values import MASK_BITS

Groups = dict[str, dict[str, str]]
"""Keys and values by the name of their group."""
Rule = tuple[str, str, str, tuple[str, ...]]
OPERATIONAL_LAND_IMAGER = ("LANDSAT_8", "LANDSAT_9")
RESCALING: dict[int, list[Rule]] = {
    # level: (pattern of a key of PRODUCT_CONTENTS, name of the band, group, factor and summand: the first there is)
    1: [
        (
            r"FILE_NAME_BAND_(\w+)",
            "B{}",
            "LEVEL1_RADIOMETRIC_RESCALING",
            ("REFLECTANCE_{}_BAND_{}", "RADIANCE_{}_BAND_{}"),
        ),
    ],
    2: [
        (r"FILE_NAME_BAND_(\d+)", "SR_B{}", "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", ("REFLECTANCE_{}_BAND_{}",)),
        (
            r"FILE_NAME_BAND_ST_(B\d+)",
            "ST_{}",
            "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS",
            ("TEMPERATURE_{}_BAND_ST_{}",),
        ),
    ],
}


def describe_landsat(members: ProductMembers, marker: str) -> Product:
    """Return the product that the metadata describe.

    Args:
        members: files of the product.
        marker: name of the file of metadata.

    Raises:
        DataError: metadata that are damaged, incomplete, or of another collection.
    """
    label = f"{members.path}: {marker}"
    groups = _parse_groups(members.read(marker).decode("utf-8", "replace"))
    contents = groups.get("PRODUCT_CONTENTS", {})
    if contents.get("COLLECTION_NUMBER") != "02":
        raise DataError(f"{label} is of collection {contents.get('COLLECTION_NUMBER')}, not 02; download that")
    level = 2 if contents.get("PROCESSING_LEVEL", "").startswith("L2") else 1
    folder = marker.rpartition("/")[0]
    bands = [
        _band(groups, key, rule, members.gdal_name(name), label)
        for key, file in contents.items()
        if members.has(name := f"{folder}/{file}".lstrip("/")) and (rule := _find_rule(key, level)) is not None
    ]
    image = groups.get("IMAGE_ATTRIBUTES", {})
    sensor = f"landsat8-l{level}" if image.get("SPACECRAFT_ID") in OPERATIONAL_LAND_IMAGER else None
    return Product(tuple(bands), sensor, _time(image), _quality(members, contents, folder))


LAYOUT = ProductLayout(r".+_MTL\.txt", describe_landsat)


def _find_rule(key: str, level: int) -> Rule | None:
    """Return how the file under a key of the contents is rescaled; None where it is no band."""
    return next((rule for rule in RESCALING[level] if re.fullmatch(rule[0], key)), None)


def _parse_groups(text: str) -> Groups:
    """Return the keys and values of each group; of groups in groups, those of the innermost."""
    groups: Groups = {}
    inside: list[str] = []
    for line in text.splitlines():
        key, _, value = (part.strip().strip('"') for part in line.partition("="))
        if key == "GROUP":
            inside.append(value)
        elif key == "END_GROUP":
            inside = inside[:-1]
        elif inside and value:
            groups.setdefault(inside[-1], {})[key] = value
    return groups


def _band(groups: Groups, key: str, rule: Rule, file: str, label: str) -> ProductBand:
    """Return a band with its scale and offset."""
    pattern, name, group, parameters = rule
    match = re.fullmatch(pattern, key)
    number = match[1] if match else ""
    there = (one for one in parameters if one.format("MULT", number) in groups.get(group, {}))
    parameter = next(there, parameters[0])
    try:
        scale, offset = (float(groups[group][parameter.format(word, number)]) for word in ("MULT", "ADD"))
    except (KeyError, ValueError) as error:
        raise DataError(f"{label} gives no scale and offset of band {number} ({error}); download it again") from error
    return ProductBand(name.format(number), file, scale, offset)


def _time(image: dict[str, str]) -> str | None:
    """Return the time of the scene's centre as ISO 8601, to the microsecond."""
    text = f"{image.get('DATE_ACQUIRED')}T{image.get('SCENE_CENTER_TIME', '').removesuffix('Z')[:15]}"
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _quality(members: ProductMembers, contents: dict[str, str], folder: str) -> QualityBand | None:
    """Return the band of pixel qualities, if it is there."""
    name = f"{folder}/{contents.get('FILE_NAME_QUALITY_L1_PIXEL', '')}".lstrip("/")
    return QualityBand(members.gdal_name(name), bits=MASK_BITS["qa_pixel"]) if members.has(name) else None
