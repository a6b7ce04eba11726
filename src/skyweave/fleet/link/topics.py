"""The topics under which a fleet's messages travel (docs/fleet.md), and patterns of topics."""

import re
import zlib
from functools import lru_cache

from skyweave.core.errors import FleetError

ROOT = "skyweave"
NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")

FRAME, HEARTBEAT, RESULT, CAMERA = "frame", "alive", "result", "camera"
MESSAGE_KINDS = (FRAME, HEARTBEAT, RESULT, CAMERA)


def frame_topic(fleet: str, platform: str) -> str:
    """Return the topic of the chunks of a platform's frames.

    Args:
        fleet: name of the fleet.
        platform: name of the platform.
    """
    return f"{ROOT}/{fleet}/{FRAME}/{platform}"


def heartbeat_topic(fleet: str, platform: str) -> str:
    """Return the topic of a platform's heartbeats, which is also its liveliness token.

    Args:
        fleet: name of the fleet.
        platform: name of the platform.
    """
    return f"{ROOT}/{fleet}/{HEARTBEAT}/{platform}"


def result_topic(fleet: str, platform: str, form: str) -> str:
    """Return the topic of a platform's fused scenes.

    Args:
        fleet: name of the fleet.
        platform: name of the platform; ``*``: every one.
        form: ``scene``, ``geojson``, ``ros`` or that of an installed sink.
    """
    return f"{ROOT}/{fleet}/{RESULT}/{platform}/{form}"


def camera_topic(fleet: str, platform: str, channel: str) -> str:
    """Return the topic of the JPEG thumbnails of a camera.

    Args:
        fleet: name of the fleet.
        platform: name of the platform; ``*``: every one.
        channel: name of the camera; ``*``: every one.
    """
    return f"{ROOT}/{fleet}/{CAMERA}/{platform}/{channel}"


def platform_from_topic(topic: str) -> str | None:
    """Return the platform in whose name a topic is published to; None for what is no topic of a fleet.

    Args:
        topic: of a message.
    """
    words = topic.split("/")
    known = len(words) >= 4 and words[0] == ROOT and words[2] in MESSAGE_KINDS
    return words[3] if known and NAME_PATTERN.fullmatch(words[3]) else None


def validate_name(name: str, noun: str) -> str:
    """Return the name, if it can be a word of a topic.

    Args:
        name: of a fleet, platform or member.
        noun: what it names, for the message.

    Raises:
        FleetError: it cannot.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise FleetError(f"{noun} {name!r} must be 1 to 64 letters, digits, '_', '-' or '.'")
    return name


def platform_id_from_name(name: str) -> int:
    """Return the number by which the wire format knows a platform that was given none: the CRC-32 of its name.

    Args:
        name: of the platform.
    """
    return zlib.crc32(name.encode())


@lru_cache(maxsize=4096)
def matches_pattern(pattern: str, topic: str) -> bool:
    """Return whether a topic is among those that a pattern stands for.

    Args:
        pattern: a topic in which ``*`` stands for one word and ``**`` for any number of them, as in Zenoh.
        topic: without wildcards.
    """
    return _match_words(pattern.split("/"), topic.split("/"))


def _match_words(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "**":
        return any(_match_words(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match_words(pattern[1:], words[1:])
