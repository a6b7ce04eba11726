"""The XMP packet of a picture as flat text values, without their vendors' structure."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
WRAPPERS = {"Seq", "Bag", "Alt", "li", "Description", "RDF", "xmpmeta"}  # rdf's path; they name nothing


def read_xmp(image: Any) -> dict[str, str]:
    """Return the values of an image's XMP packet by name, such as ``drone-dji:GimbalYawDegree``.

    The prefix is the last word of the namespace (``drone-dji`` of ``http://www.dji.com/drone-dji/1.0/``, ``camera`` of
    ``http://pix4d.com/camera/1.0``), in lower case; what lies in a structure is named after it
    (``drone-skydio:CameraOrientationNED/Yaw``). A packet that is missing, broken, or that declares entities (they can
    expand without bound) gives nothing: an image without XMP is still an image.

    Args:
        image: open Pillow image.
    """
    packet = _packet(image)
    if packet is None or b"<!ENTITY" in packet or b"<!DOCTYPE" in packet:
        return {}
    start, end = packet.find(b"<"), packet.rfind(b">")
    try:
        root = ElementTree.fromstring(packet[start : end + 1])
    except ElementTree.ParseError:
        return {}
    values: dict[str, str] = {}
    _collect(root, "", values)
    return values


def _packet(image: Any) -> bytes | None:
    packet = image.info.get("xmp")
    if packet is None:
        packet = image.getexif().get(700)  # TIFF
    for _, segment in [] if packet else getattr(image, "applist", []):  # JPEG, Pillow before 11
        if segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            packet = segment.split(b"\0", 1)[1]
    if isinstance(packet, str):
        return packet.encode()
    return bytes(packet) if packet else None


def _collect(element: ElementTree.Element, parent: str, values: dict[str, str]) -> None:
    name = _name(element.tag)
    path = parent if name.split(":")[-1] in WRAPPERS else (f"{parent}/{name.split(':')[-1]}" if parent else name)
    for key, value in element.attrib.items():
        if not key.startswith(RDF):
            label = _name(key)
            values.setdefault(f"{path}/{label.split(':')[-1]}" if path else label, value.strip())
    text = (element.text or "").strip()
    if text and path:
        # the items of a sequence are one value, separated by commas, as the vendors write lists in attributes
        values[path] = f"{values[path]},{text}" if path in values and name.endswith(":li") else values.get(path, text)
    for child in element:
        _collect(child, path, values)


def _name(tag: str) -> str:
    match = re.fullmatch(r"\{(.*)\}(.*)", tag)
    if not match:
        return tag
    words = [word for word in re.split(r"[/#]", match[1]) if word and not re.fullmatch(r"[\d.]+", word)]
    return f"{words[-1].lower() if words else ''}:{match[2]}"
