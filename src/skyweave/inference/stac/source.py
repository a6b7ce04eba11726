"""Addresses of what was read."""

from pathlib import Path
from urllib.parse import quote, urlsplit

VIRTUAL_PREFIX = "/vsi"
"""Of GDAL's names for what is no plain file."""


def to_uri(source: str) -> str:
    """Return a file's name, or a name that GDAL knows, as an address.

    Args:
        source: file, address or GDAL's name of a subdataset.
    """
    if source.startswith(VIRTUAL_PREFIX):
        inner = source.split("/", 2)[2] if source.count("/") > 1 else source
        return inner if _is_address(inner) else f"urn:gdal:{quote(source, safe='/:')}"
    if _is_address(source):
        return source
    path = Path(source)
    if ":" in source and not path.exists():
        return f"urn:gdal:{quote(source, safe='/:')}"
    return path.absolute().as_uri()


def _is_address(text: str) -> bool:
    return bool(urlsplit(text).netloc) and "://" in text
