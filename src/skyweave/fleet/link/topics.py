"""The key space: under which keys a fleet's messages travel (docs/fleet.md)."""

import re
import zlib

from skyweave.core.errors import FleetError

ROOT = "skyweave"
WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

FRAME, HEARTBEAT, RESULT, CAMERA = "frame", "alive", "result", "camera"


def frame_topic(fleet: str, platform: str) -> str:
    """Chunks of the platform's frames."""
    return f"{ROOT}/{fleet}/{FRAME}/{platform}"


def heartbeat_topic(fleet: str, platform: str) -> str:
    """The platform's heartbeats."""
    return f"{ROOT}/{fleet}/{HEARTBEAT}/{platform}"


def result_topic(fleet: str, platform: str, form: str) -> str:
    """What the platform sees; ``form`` is ``picture``, ``geojson`` or ``ros``."""
    return f"{ROOT}/{fleet}/{RESULT}/{platform}/{form}"


def camera_topic(fleet: str, platform: str, channel: str) -> str:
    """Small JPEG pictures of a camera."""
    return f"{ROOT}/{fleet}/{CAMERA}/{platform}/{channel}"


def platform_from_topic(key: str) -> str | None:
    """The platform in whose name a key is published; None for a key that is none of ours."""
    words = key.split("/")
    known = len(words) >= 4 and words[0] == ROOT and words[2] in (FRAME, HEARTBEAT, RESULT, CAMERA)
    return words[3] if known and WORD.fullmatch(words[3]) else None


def validate_name(name: str, what: str) -> str:
    """The name, if it can be a word of a key. Raises ``ValueError``."""
    if not WORD.fullmatch(name):
        raise FleetError(f"{what} {name!r} must be 1 to 64 letters, digits, '_', '-' or '.'")
    return name


def platform_id_from_name(name: str) -> int:
    """The number by which the wire format knows a platform that was given none."""
    return zlib.crc32(name.encode())
