"""Images with poses under a topic of the network as a source."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.fleet.link.clocks import Clock, to_clock
from skyweave.fleet.link.heartbeat import MAX_TIME_NS
from skyweave.fleet.link.topics import MAX_NAME_LENGTH, NAME_PATTERN
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.sources.base import SourceConfig, SourceContext, check_interval, frame_from_capture
from skyweave.fleet.sources.image_decoding import image_size, observation_from_image
from skyweave.fleet.sources.topic_session import MAX_IMAGE_BYTES, TopicSession, open_topic_session
from skyweave.recordings.recording import Capture, Frame

MAX_WAITING_MESSAGES = 4
POLL_S = 0.1
MAX_NUMBER = 1e9  # of metres and pixels


@dataclass(frozen=True)
class TopicSourceConfig(SourceConfig):
    """Images under any topic, each an `ImageMessage`; ``kind: topic``.

    Attributes:
        topic: such as ``drone/front``.
        connect: Zenoh endpoints of a session of its own, such as ``tcp/127.0.0.1:7447``; none: the fleet's session.
        crs: reference system of the poses; None: a local frame.
        platform: name of the platform; None: that of the node.
        interval: seconds between frames, as peers should expect them.
    """

    topic: str
    connect: list[str] = field(default_factory=list)
    crs: str | None = None
    platform: str | None = None
    interval: float = 0.5

    def __post_init__(self) -> None:
        check_interval(self.interval)

    def build(self, context: SourceContext) -> "TopicSource":
        """Subscribe to the topic.

        Args:
            context: names the platform and subscribes.

        Raises:
            FleetError: a session that cannot be opened.
        """
        with open_topic_session(self.connect, context).closed_on_error() as session:
            return TopicSource(self.topic, self.platform or context.platform, self.crs, session)


Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]


class ImageMessage(msgspec.Struct, frozen=True):
    """One image on a topic, a MessagePack map. The types hold the bounds of everything in it.

    Attributes:
        time: capture, UTC nanoseconds.
        image: JPEG or PNG.
        intrinsics: nine numbers, pixels, row by row.
        world_from_camera: sixteen numbers, row by row, metres.
        channel: name of the camera.
        distortion: k1 k2 p1 p2 k3.
        sensor: name of the camera's sensor.
    """

    time: Annotated[int, Meta(ge=0, le=MAX_TIME_NS)]
    image: Annotated[bytes, Meta(max_length=MAX_IMAGE_BYTES)]
    intrinsics: Annotated[list[Number], Meta(min_length=9, max_length=9)]
    world_from_camera: Annotated[list[Number], Meta(min_length=16, max_length=16)]
    channel: Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}\Z")] = "CAMERA"
    distortion: tuple[Number, Number, Number, Number, Number] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sensor: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = "rgb"


class TopicSource:
    """Images that come under a topic, the newest first; messages that are none are left out and counted.

    Args:
        topic: to subscribe to.
        platform: name of the platform.
        crs: reference system of the poses; None: a local frame.
        session: to subscribe on.

    Attributes:
        rejected: messages that were no images.
    """

    def __init__(self, topic: str, platform: str, crs: str | None, session: TopicSession) -> None:
        self.platform, self.crs, self.rejected = platform, crs, 0
        self.world_frame = WorldFrame(crs)
        self._messages: queue.Queue[bytes] = queue.Queue(MAX_WAITING_MESSAGES)
        self._session = session
        self._unsubscribe = session.subscribe(topic, self._on_message)

    def frames(self, clock: Clock, stop: threading.Event) -> Iterator[Frame]:
        """Yield the images as they come.

        Args:
            clock: by which captures are timed; their own times are by the system's.
            stop: ends the frames.
        """
        try:
            while not stop.is_set():
                try:
                    message = self._messages.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                try:
                    capture = self._decode(message)
                except Exception:  # any bytes may come, and must not end the source
                    self.rejected += 1
                    continue
                yield frame_from_capture(capture, to_clock(capture.time, clock) - capture.time)
        finally:
            self._unsubscribe()
            self._session.close()

    def _on_message(self, topic: str, message: bytes) -> None:
        """Queue a message; drop the oldest where the queue is full."""
        while True:
            try:
                self._messages.put_nowait(message)
                return
            except queue.Full:
                try:
                    self._messages.get_nowait()
                except queue.Empty:
                    continue

    def _decode(self, content: bytes) -> Capture:
        message = msgspec.msgpack.decode(content, type=ImageMessage)
        rows, columns = image_size(message.image)
        camera = PinholeCamera(np.array(message.intrinsics).reshape(3, 3), rows, columns, message.distortion)
        pose = np.array(message.world_from_camera).reshape(4, 4)
        geometry = CameraGeometry(camera, pose, self.crs, self.platform)
        observation = observation_from_image(message.image, geometry, message.sensor, message.channel)
        return Capture(message.channel, self.platform, message.time, geometry, lambda: observation)
