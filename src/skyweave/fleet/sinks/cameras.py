"""Thumbnails of a node's cameras as messages."""

import io
from dataclasses import dataclass

from skyweave.core.images.true_color import true_color_image
from skyweave.fleet.link.topics import camera_topic
from skyweave.fleet.link.transport import Priority
from skyweave.fleet.node.node import Node
from skyweave.fleet.perceivers.detected_capture import DetectedCapture
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.scene_content import NS_PER_S, PublishedScene
from skyweave.recordings.recording import Capture

THUMBNAIL_WIDTH = 320  # pixels
JPEG_QUALITY = 70


@dataclass(frozen=True)
class CameraSinkConfig(SinkConfig):
    """JPEG thumbnails of each camera; ``kind: cameras``.

    Attributes:
        interval: seconds between two thumbnails of a camera.
    """

    interval: float = 1.0

    def build(self, node: Node) -> "CameraSink":
        """Make the sink.

        Args:
            node: that publishes.
        """
        return CameraSink(node, self.interval)


class CameraSink:
    """Publishes thumbnails.

    Args:
        node: that publishes.
        interval: seconds between two thumbnails of a camera.
    """

    def __init__(self, node: Node, interval: float) -> None:
        self.node, self.interval = node, interval
        self._last_time = 0

    def write(self, published: PublishedScene) -> None:
        """Publish the thumbnails of a scene, if it is time.

        Args:
            published: the scene.
        """
        scene, node = published.scene, self.node
        if 0 <= scene.time - self._last_time < self.interval * NS_PER_S:  # less than 0: the clock was set back
            return
        self._last_time = scene.time
        for capture in scene.frame.captures.values():
            if isinstance(capture, DetectedCapture) and not capture.has_image:
                continue
            topic = camera_topic(node.fleet, node.name, capture.channel)
            node.publish(topic, thumbnail_jpeg(capture, scene.sequence), Priority.IMAGES)

    def close(self) -> None:
        """Do nothing: messages are out."""


def thumbnail_jpeg(capture: Capture, sequence: int) -> bytes:
    """Return a capture as JPEG, at most ``THUMBNAIL_WIDTH`` pixels wide; its comment says which scene it belongs to.

    Args:
        capture: of one camera.
        sequence: number of the scene.
    """
    from PIL import Image

    image = Image.fromarray(true_color_image(capture.load()))
    if image.width > THUMBNAIL_WIDTH:
        image = image.resize((THUMBNAIL_WIDTH, round(image.height * THUMBNAIL_WIDTH / image.width)))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY, comment=f"skyweave scene {sequence}")
    return stream.getvalue()
