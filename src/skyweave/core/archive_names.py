"""GDAL's names of files in archives and on servers, where only files are read."""

import re
import shlex

ARCHIVE = re.compile(r"/vsi(zip|tar)/(\{.+?\}|.+?\.(?:zip|kmz|tar\.gz|tgz|tar))(?:/|$)", re.IGNORECASE)
REMOTE = re.compile(r"(?:/vsicurl/)?(https?://.+)", re.IGNORECASE)
COMMANDS = {"zip": "unzip {}", "tar": "tar -xf {}"}


def advise_local_copy(name: str) -> str | None:
    """Return the command that makes a file of a name that GDAL alone knows; None of a plain path.

    Args:
        name: as given, such as ``/vsizip/a.zip/b.tif``.
    """
    if match := ARCHIVE.match(name):
        kind, archive = match[1].lower(), match[2].strip("{}")
        return "unpack the archive: " + COMMANDS[kind].format(shlex.quote(archive))
    if match := REMOTE.fullmatch(name):
        return f"download it: curl -O {shlex.quote(match[1])}"
    return "copy it to a file" if name.startswith("/vsi") else None
