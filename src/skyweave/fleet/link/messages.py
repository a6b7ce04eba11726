"""The content of every kind of message, read once: what is not as it should be is refused by a reason.

Listeners (client, dashboard, recorders) and replay take nothing else. A node reads heartbeats and frames likewise, and
joins the latter with `skyweave.wire.Receiver`.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from skyweave.core.errors import DataError
from skyweave.core.images.decoding import open_image
from skyweave.core.json_text import check_nesting
from skyweave.fleet.link.heartbeat import Heartbeat, decode_heartbeat, heartbeat_rejection
from skyweave.fleet.link.scene_message import SceneMessage, decode_scene
from skyweave.fleet.link.topics import CAMERA, FRAME, HEARTBEAT, RESULT, Topic
from skyweave.wire import RejectedError
from skyweave.wire.header import Header, read_header

SCENE = "scene"  # the form of results that has a type of its own
MAX_MESSAGE_BYTES = 1 << 20
MAX_JPEG_BYTES = 1 << 18
MAX_THUMBNAIL_PIXELS = 1 << 20
SEQUENCE_COMMENT = re.compile(rb"skyweave scene ([0-9]{1,10})")  # in a thumbnail's JPEG
MAX_RESULT_DEPTH = 16
MAX_RESULT_VALUES = 200_000


@dataclass(frozen=True)
class CameraImage:
    """A thumbnail of a camera.

    Attributes:
        platform: whose camera.
        channel: name of the camera.
        jpeg: the image, whose format and size are checked, but not its pixels.
        rows: of the image.
        columns: of the image.
        sequence: number of the scene that it belongs to, as the comment in the JPEG says; None: it says none.
    """

    platform: str
    channel: str
    jpeg: bytes
    rows: int
    columns: int
    sequence: int | None = None


MessageContent = Heartbeat | Header | SceneMessage | CameraImage | dict[str, Any]


def read_content(topic: Topic, message: bytes) -> MessageContent | str:
    """Return what a message says, or why it is refused. Never raises.

    Args:
        topic: that it came under.
        message: without its envelope.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        return "size"
    try:
        return _READERS[topic.kind](topic, message)
    except Exception:  # a fault of this program, and no reason to stop: it is counted under its name
        return "internal"


def _read_heartbeat(topic: Topic, message: bytes) -> Heartbeat | str:
    return decode_heartbeat(message) or heartbeat_rejection(message)


def _read_frame(topic: Topic, message: bytes) -> Header | str:
    try:
        return read_header(message)[0]
    except RejectedError as error:
        return error.reason.name.lower()


def _read_result(topic: Topic, message: bytes) -> SceneMessage | dict[str, Any] | str:
    if topic.name != SCENE:
        return _read_other_form(topic, message)
    scene = decode_scene(message)
    if scene is None:
        return "scene"
    return scene if (scene.fleet, scene.platform) == (topic.fleet, topic.platform) else "id_mismatch"


def _read_other_form(topic: Topic, message: bytes) -> dict[str, Any] | str:
    """Read a result of any other form: JSON of bounded size, to which the name of the platform is added."""
    try:
        content = msgspec.json.decode(message)
        check_nesting(content, MAX_RESULT_DEPTH, MAX_RESULT_VALUES)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return "result"
    return {**content, "platform": topic.platform} if isinstance(content, dict) else "result"


def _read_camera(topic: Topic, message: bytes) -> CameraImage | str:
    if len(message) > MAX_JPEG_BYTES:
        return "size"
    try:
        with open_image(io.BytesIO(message), "a thumbnail", ("JPEG",), MAX_THUMBNAIL_PIXELS) as image:
            sequence = SEQUENCE_COMMENT.fullmatch(image.info.get("comment", b""))
            number = None if sequence is None else int(sequence[1])
            return CameraImage(topic.platform, topic.name, message, image.height, image.width, number)
    except (DataError, OSError, SyntaxError, ValueError):
        return "camera"


_READERS: dict[str, Callable[[Topic, bytes], MessageContent | str]] = {
    HEARTBEAT: _read_heartbeat,
    FRAME: _read_frame,
    RESULT: _read_result,
    CAMERA: _read_camera,
}
