"""The topics under which a fleet's messages travel (docs/fleet.md), and patterns of topics."""

import re
import zlib
from functools import lru_cache
from typing import NamedTuple

from skyweave.core.errors import FleetError
from skyweave.fleet.link.tiles import MAX_LEVELS, is_tile_path

ROOT = "skyweave"
MAX_NAME_LENGTH = 64
NAME_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_LENGTH - 1}}}")  # neither "..", nor hidden

FRAME, HEARTBEAT, RESULT, CAMERA = "frame", "alive", "result", "camera"
MAX_WORDS = 4 + MAX_LEVELS  # of a topic
MESSAGE_KINDS = (FRAME, HEARTBEAT, RESULT, CAMERA)


def frame_topic(fleet: str, platform: str, tiles: str = "") -> str:
    """Return the topic of the chunks of a platform's frames.

    Args:
        fleet: name of the fleet.
        platform: name of the platform.
        tiles: that it speaks under; empty: none.
    """
    return "/".join(filter(None, (ROOT, fleet, FRAME, tiles, platform)))


def heartbeat_topic(fleet: str, platform: str, tiles: str = "") -> str:
    """Return the topic of a platform's heartbeats, which is also its liveliness token.

    Args:
        fleet: name of the fleet.
        platform: name of the platform.
        tiles: that it speaks under; empty: none.
    """
    return "/".join(filter(None, (ROOT, fleet, HEARTBEAT, tiles, platform)))


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
    return f"{ROOT}/{fleet}/{CAMERA}/{platform}/{channel if channel == '*' else topic_word(channel)}"


class Topic(NamedTuple):
    """What a topic says of the messages under it.

    Attributes:
        fleet: name of the fleet.
        kind: one of `MESSAGE_KINDS`.
        platform: in whose name is published.
        name: form of a result, channel of a camera; empty for other kinds.
        tiles: that the platform speaks under (`skyweave.fleet.link.tiles`); empty: none.
    """

    fleet: str
    kind: str
    platform: str
    name: str
    tiles: str = ""


def parse_topic(topic: str) -> Topic | None:
    """Return what a topic says; None for what is no topic of a fleet.

    Args:
        topic: of a message.
    """
    root, *names = topic.split("/", MAX_WORDS)
    if root != ROOT or not all(map(NAME_PATTERN.fullmatch, names)):
        return None
    if len(names) >= 3 and names[1] in (FRAME, HEARTBEAT):
        fleet, kind, *tiles, platform = names
        return Topic(fleet, kind, platform, "", "/".join(tiles)) if is_tile_path(tiles) else None
    return Topic(*names) if len(names) == 4 and names[1] in (RESULT, CAMERA) else None


def topic_word(text: str) -> str:
    """Return a text as a word of a topic: what cannot be in one becomes an underscore.

    Args:
        text: such as the name of a camera.
    """
    word = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:MAX_NAME_LENGTH]
    return word if NAME_PATTERN.fullmatch(word) else f"x{word}"[:MAX_NAME_LENGTH]


def validate_name(name: str, noun: str) -> str:
    """Return the name, if it can be a word of a topic.

    Args:
        name: of a fleet, platform or member.
        noun: what it names, for the message.

    Raises:
        FleetError: it cannot.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise FleetError(
            f"{noun} {name!r} must be 1 to {MAX_NAME_LENGTH} letters, digits, '_', '-' or '.', the first of them a "
            "letter or digit"
        )
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
