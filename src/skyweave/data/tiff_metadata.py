"""What GDAL writes into a TIFF of itself and its bands: names, scales, units, colours and tags, as XML in one tag."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

GDAL_METADATA, EXTRA_SAMPLES = 42112, 338
NONE = "<GDALMetadata/>"
ALPHA = (1, 2)  # of extra samples
COLOURS = {"RGB": ("red", "green", "blue"), "PALETTE": ("palette",), "MINISBLACK": ("gray",)}


@dataclass(frozen=True)
class MetadataItem:
    """One entry.

    Attributes:
        number: of the band, from 1; 0: of the file.
        role: ``description``, ``scale``, ``offset``, ``unittype``, ``colorinterp``; empty for a tag.
        domain: of a tag.
        name: of a tag.
        text: its value.
    """

    number: int
    role: str
    domain: str
    name: str
    text: str


@dataclass(frozen=True)
class TiffMetadata:
    """All entries of a file.

    Attributes:
        items: in the file's order.
        count: of bands.
    """

    items: tuple[MetadataItem, ...]
    count: int

    def tags(self, number: int, domain: str) -> dict[str, str]:
        """Return the tags of the file or of a band.

        Args:
            number: of the band; 0: of the file.
            domain: of GDAL's.
        """
        key = number, "", domain
        return {item.name: item.text for item in self.items if (item.number, item.role, item.domain) == key}

    def facts(self, role: str) -> list[str | None]:
        """Return what is said of each band, None where nothing is.

        Args:
            role: see `MetadataItem`.
        """
        stated = {item.number: item.text for item in self.items if item.role == role}
        return list(map(stated.get, range(1, self.count + 1)))

    def numbers(self, role: str, default: float) -> tuple[float, ...]:
        """Return a number of each band.

        Args:
            role: see `MetadataItem`.
            default: where nothing is said.
        """
        return tuple(float(text or default) for text in self.facts(role))


def read_metadata(page: Any) -> TiffMetadata:
    """Return the metadata of a page.

    Args:
        page: of tifffile.
    """
    elements = ElementTree.fromstring(tag_value(page, GDAL_METADATA, NONE))
    return TiffMetadata(tuple(map(_item, elements)), page.samplesperpixel)


def read_colours(page: Any, metadata: TiffMetadata) -> list[str]:
    """Return what each band shows, as GDAL interprets TIFF's words and its own.

    Args:
        page: of tifffile.
        metadata: of it.
    """
    extra = map(_name_extra, _as_tuple(tag_value(page, EXTRA_SAMPLES, ())))
    names = [*COLOURS.get(page.photometric.name, ()), *extra, *["undefined"] * metadata.count]
    stated = metadata.facts("colorinterp")
    return [(text or name).casefold() for text, name in zip(stated, names, strict=False)]


def tag_value(page: Any, code: int, default: Any) -> Any:
    """Return the value of a tag of a page.

    Args:
        page: of tifffile.
        code: of the tag.
        default: where there is none.
    """
    tag = page.tags.get(code)
    return default if tag is None else tag.value


def _item(element: ElementTree.Element) -> MetadataItem:
    name, text = element.get("name", ""), element.text or ""
    number = int(element.get("sample", -1)) + 1
    return MetadataItem(number, element.get("role", ""), element.get("domain", ""), name, text)


def _as_tuple(value: Any) -> Iterable[int]:
    return value if isinstance(value, tuple) else (value,)


def _name_extra(kind: int) -> str:
    return "alpha" if kind in ALPHA else "undefined"
