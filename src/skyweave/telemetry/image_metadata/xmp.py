"""The XMP packet of a picture as flat text values, without their vendors' structure."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from PIL import ExifTags

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"  # start of the segment of a JPEG file that holds the packet
XMP_TAG = 700  # of TIFF; some cameras have it among the fields of the camera
ATTRIBUTE = re.compile(r"""([\w-]+):(\w+)\s*=\s*"([^"<]*)\"""")
ELEMENT = re.compile(r"<([\w-]+):(\w+)>([^<]*)<")
MAX_PACKET_BYTES = 1 << 22
MAX_DEPTH = 32  # of elements in one another
WRAPPERS = {"Seq", "Bag", "Alt", "li", "Description", "RDF", "xmpmeta"}  # rdf's path; they name nothing


def read_xmp(image: Any) -> tuple[dict[str, str], str | None]:
    """Read the values of an image's XMP packet by name, such as ``drone-dji:GimbalYawDegree``.

    The prefix is the last word of the namespace (``drone-dji`` of ``http://www.dji.com/drone-dji/1.0/``, ``camera`` of
    ``http://pix4d.com/camera/1.0``), in lower case; what lies in a structure is named after it
    (``drone-skydio:CameraOrientationNED/Yaw``). Of a packet that is no XML, as some firmware writes, what looks like a
    value is read under the prefix that stands there. One that declares entities (they can expand without bound) is not
    read: an image without XMP is still an image.

    Args:
        image: open Pillow image.

    Returns:
        The values; and what is wrong with the packet, None if nothing is.
    """
    packet = _packet(image)
    if packet is None:
        return {}, None
    if b"<!ENTITY" in packet or b"<!DOCTYPE" in packet:
        return {}, "the XMP declares entities and is not read"
    if len(packet) > MAX_PACKET_BYTES:
        return {}, f"the XMP has {len(packet)} bytes and is not read"
    start, end = packet.find(b"<"), packet.rfind(b">")
    try:
        root = ElementTree.fromstring(packet[start : end + 1])
    except ElementTree.ParseError:
        return _salvage(packet.decode("utf-8", "ignore")), "the XMP is damaged: what looks like values in it is read"
    values: dict[str, str] = {}
    whole = _collect(root, values)
    return values, None if whole else f"the XMP is nested more than {MAX_DEPTH} deep: what lies deeper is not read"


def _packet(image: Any) -> bytes | None:
    exif = image.getexif()
    packet = image.info.get("xmp") or exif.get(XMP_TAG) or exif.get_ifd(ExifTags.IFD.Exif).get(XMP_TAG)
    packet = packet or _segment_packet(image)
    if isinstance(packet, str):
        return packet.encode()
    return bytes(packet) if packet else None


def _salvage(text: str) -> dict[str, str]:
    """Attributes and elements of a text that is no XML."""
    values: dict[str, str] = {}
    for prefix, name, value in [*ATTRIBUTE.findall(text), *ELEMENT.findall(text)]:
        if prefix not in ("xmlns", "rdf"):
            values.setdefault(f"{prefix.lower()}:{name}", value.strip())
    return values


def _segment_packet(image: Any) -> bytes | None:
    """Return the last packet among the segments of a JPEG file, where Pillow before 11 leaves it."""
    segments = [segment for _, segment in getattr(image, "applist", []) if segment.startswith(XMP_SEGMENT)]
    return segments[-1].removeprefix(XMP_SEGMENT) if segments else None


def _collect(root: ElementTree.Element, values: dict[str, str]) -> bool:
    """Collect the values of all elements; return whether none lies too deep."""
    waiting, whole = [(root, "", 1)], True
    while waiting:
        element, parent, depth = waiting.pop()
        path = _collect_element(element, parent, values)
        if depth < MAX_DEPTH:
            waiting += [(child, path, depth + 1) for child in reversed(element)]
        else:
            whole = whole and not len(element)
    return whole


def _collect_element(element: ElementTree.Element, parent: str, values: dict[str, str]) -> str:
    """Collect what an element itself says; return the path of what lies in it."""
    name = _name(element.tag)
    path = parent if name.split(":")[-1] in WRAPPERS else _within(parent, name)
    _collect_attributes(element, path, values)
    text = (element.text or "").strip()
    if text and path:
        # the items of a sequence are one value, separated by commas, as the vendors write lists in attributes
        values[path] = f"{values[path]},{text}" if path in values and name.endswith(":li") else values.get(path, text)
    return path


def _collect_attributes(element: ElementTree.Element, path: str, values: dict[str, str]) -> None:
    """Add the attributes of an element, but for those of RDF itself."""
    for key, value in element.attrib.items():
        if not key.startswith(RDF):
            values.setdefault(_within(path, _name(key)), value.strip())


def _within(path: str, name: str) -> str:
    """The name of what lies in a structure: ``drone-skydio:CameraOrientationNED/Yaw``."""
    return f"{path}/{name.split(':')[-1]}" if path else name


def _name(tag: str) -> str:
    match = re.fullmatch(r"\{(.*)\}(.*)", tag)
    if not match:
        return tag
    return f"{_prefix(match[1])}:{match[2]}"


def _prefix(namespace: str) -> str:
    """Return the last word of a namespace's address that is no version, in lower case."""
    words = [word for word in re.split(r"[/#]", namespace) if word and not re.fullmatch(r"[\d.]+", word)]
    return words[-1].lower() if words else ""
