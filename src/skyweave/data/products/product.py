"""A product of one file a band: which files are which bands, and what their stored values mean, as its metadata say."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.data.products.gains import GainGrid
from skyweave.data.products.members import ProductMembers, list_members


@dataclass(frozen=True)
class ProductBand:
    """A band of a product; ``value = scale * stored + offset``.

    Attributes:
        name: as the product calls it (``B8A``, ``SR_B4``, ``VV``).
        file: GDAL's name of its raster.
        scale: see above.
        offset: see above, in the unit of the values.
        nodata: stored value that means no data.
        unit: of the values, where the product names it (``power``).
        gain: of calibration: the value is ``stored ** 2`` times this, and is not stored as it is; None: it is.
        metres: pixel side on a map, of files that control points place.
    """

    name: str
    file: str
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = 0.0
    unit: str | None = None
    gain: GainGrid | None = None
    metres: float | None = None


@dataclass(frozen=True)
class QualityBand:
    """What says where the ground is not seen clearly.

    Attributes:
        file: GDAL's name of its raster.
        values: that mean cloud, shadow or a damaged pixel.
        bits: that do, from 0.
    """

    file: str
    values: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()


@dataclass(frozen=True)
class Product:
    """What is read of a product.

    Attributes:
        bands: in the product's order.
        sensor: name in the catalogue of sensors of what took it; None: it is not in there.
        time: when it was taken, ISO 8601 in UTC; None: unknown.
        quality: where the ground is not seen clearly; None: the product does not say.
    """

    bands: tuple[ProductBand, ...]
    sensor: str | None
    time: str | None = None
    quality: QualityBand | None = None

    @property
    def files(self) -> list[str]:
        """Return GDAL's names of all rasters."""
        return [band.file for band in self.bands] + ([self.quality.file] if self.quality else [])


@dataclass(frozen=True)
class ProductLayout:
    """How the products of one kind are laid out.

    Attributes:
        marker: regular expression of the name of the file of metadata that makes a folder or archive one of these.
        describe: from the files and the name of that one to the product; raises `DataError`.
    """

    marker: str
    describe: Callable[[ProductMembers, str], Product]


METADATA_SUFFIXES = (".xml", ".txt", ".safe")
LAYOUTS: Registry[ProductLayout] = Registry(
    "product_layouts",
    "layout of products",
    {
        "sentinel2": "skyweave.data.products.sentinel2:LAYOUT",
        "sentinel1": "skyweave.data.products.sentinel1:LAYOUT",
        "landsat": "skyweave.data.products.landsat:LAYOUT",
    },
)
"""Layouts by name. Another package adds one through an entry point in the group ``skyweave.product_layouts``."""


def find_product(path: str | Path) -> Product | None:
    """Return the product that a path is: its folder, its archive (zip or tar), or its file of metadata.

    Args:
        path: of anything.

    Returns:
        None where the path is no product of a known layout.

    Raises:
        DataError: its metadata are damaged or incomplete, or it is several products.
    """
    place = Path(str(path))
    by_metadata = _is_metadata(place)
    members = list_members(place.parent if by_metadata else place)
    if members is None:
        return None
    if by_metadata:
        members = ProductMembers(members.path, (place.name,))
    for name in LAYOUTS:
        layout = LAYOUTS[name]
        marker = _find_marker(layout, members)
        if marker is not None:
            return _describe(layout, members, marker, _time_of_change(members.path, marker))
    return None


def _is_metadata(path: Path) -> bool:
    """Return whether a path may be of a product's metadata."""
    return path.suffix.casefold() in METADATA_SUFFIXES and path.is_file()


def _find_marker(layout: ProductLayout, members: ProductMembers) -> str | None:
    """Return the file that makes a folder or archive a product of a layout; None where it is none."""
    markers = members.find(re.compile(layout.marker))
    if len(markers) > 1:
        raise DataError(
            f"{members.path} holds {len(markers)} products, {markers[0]} and {markers[1]}; give one of them"
        )
    return markers[0] if markers else None


def _time_of_change(path: Path, marker: str) -> int:
    """Return when the metadata were changed, nanoseconds since 1970."""
    return (path / marker if path.is_dir() else path).stat().st_mtime_ns


@lru_cache(maxsize=256)
def _describe(layout: ProductLayout, members: ProductMembers, marker: str, modified: int) -> Product:
    """Return what the metadata say; read once, as every window of a scene opens it anew."""
    product = layout.describe(members, marker)
    if not product.bands:
        raise DataError(f"{members.path}: none of the files that {marker} names is there; download it again")
    return product
