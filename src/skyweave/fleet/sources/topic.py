"""Images with poses, or boxes of them, under a topic of the network as a source."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import Observation
from skyweave.fleet.link.clocks import Clock, to_clock
from skyweave.fleet.link.heartbeat import MAX_CATEGORY_LENGTH, MAX_TIME_NS
from skyweave.fleet.link.topics import MAX_NAME_LENGTH, NAME_PATTERN
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.detected_capture import boxes_around, detected_capture, no_image
from skyweave.fleet.sources.base import SourceConfig, SourceContext, check_interval, frame_from_capture
from skyweave.fleet.sources.image_decoding import image_size, observation_from_image
from skyweave.fleet.sources.topic_session import MAX_IMAGE_BYTES, TopicSession, open_topic_session
from skyweave.recordings.recording import Capture, Frame

MAX_WAITING_MESSAGES = 4
POLL_S = 0.1
MAX_NUMBER = 1e9  # of metres and pixels
MAX_PIXELS_A_SIDE = 100_000
MAX_OBJECTS, MAX_POINTS = 4096, 4096  # of an image, of an outline


@dataclass(frozen=True)
class TopicSourceConfig(SourceConfig):
    """Images or boxes of images under any topic, each an `ImageMessage`; ``kind: topic``.

    Attributes:
        topic: such as ``drone/front``.
        connect: Zenoh endpoints of a session of its own, such as ``tcp/127.0.0.1:7447``; none: the fleet's session.
        crs: reference system of the poses; None: a local frame.
        ground: height of the ground in the reference system, metres.
        platform: name of the platform; None: that of the node.
        interval: seconds between frames, as peers should expect them.
    """

    topic: str
    connect: list[str] = field(default_factory=list)
    crs: str | None = None
    ground: float = 0.0
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
            frame = WorldFrame(self.crs, GroundPlane(self.ground))
            return TopicSource(self.topic, self.platform or context.platform, frame, session)


Side = Annotated[int, Meta(ge=1, le=MAX_PIXELS_A_SIDE)]
Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]


Point = Annotated[tuple[Number, ...], Meta(min_length=2, max_length=3)]
Outline = Annotated[list[Point], Meta(min_length=1, max_length=MAX_POINTS)]
Score = Annotated[float, Meta(ge=0, le=1)]
ClassName = Annotated[str, Meta(max_length=MAX_CATEGORY_LENGTH)]


class ImageMessage(msgspec.Struct, frozen=True):
    """One image on a topic, or what somebody else's detector found in it; a MessagePack map.

    The types hold the bounds of everything in it.

    Attributes:
        time: capture, UTC nanoseconds.
        intrinsics: nine numbers, pixels, row by row.
        world_from_camera: sixteen numbers, row by row, metres.
        image: JPEG or PNG; None: boxes alone.
        channel: name of the camera.
        distortion: k1 k2 p1 p2 k3.
        sensor: name of the camera's sensor.
        size: rows and columns of the image; needed where it does not come.
        boxes: left, top, right, bottom of each object in pixels; None: nothing has detected in this image.
        outlines: masks (u, v) or keypoints (u, v, confidence) of each object instead of boxes: those around them count.
        scores: of each object; none: 1.
        categories: class of each object; none: ``object``.
    """

    time: Annotated[int, Meta(ge=0, le=MAX_TIME_NS)]
    intrinsics: Annotated[list[Number], Meta(min_length=9, max_length=9)]
    world_from_camera: Annotated[list[Number], Meta(min_length=16, max_length=16)]
    image: Annotated[bytes, Meta(max_length=MAX_IMAGE_BYTES)] | None = None
    channel: Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}\Z")] = "CAMERA"
    distortion: tuple[Number, Number, Number, Number, Number] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sensor: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = "rgb"
    size: tuple[Side, Side] | None = None
    boxes: Annotated[list[tuple[Number, Number, Number, Number]], Meta(max_length=MAX_OBJECTS)] | None = None
    outlines: Annotated[list[Outline], Meta(max_length=MAX_OBJECTS)] | None = None
    scores: Annotated[list[Score], Meta(max_length=MAX_OBJECTS)] = []
    categories: Annotated[list[ClassName], Meta(max_length=MAX_OBJECTS)] = []


class TopicSource:
    """Images that come under a topic, the newest first; messages that are none are left out and counted.

    Args:
        topic: to subscribe to.
        platform: name of the platform.
        world_frame: reference system of the poses, and the ground.
        session: to subscribe on.

    Attributes:
        rejected: messages that were no images.
    """

    def __init__(self, topic: str, platform: str, world_frame: WorldFrame, session: TopicSession) -> None:
        self.platform, self.world_frame, self.rejected = platform, world_frame, 0
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
        rows, columns = _size_of(message)
        camera = PinholeCamera(np.array(message.intrinsics).reshape(3, 3), rows, columns, message.distortion)
        pose = np.array(message.world_from_camera).reshape(4, 4)
        geometry = CameraGeometry(camera, pose, self.world_frame.crs, self.platform)
        load = no_image
        if message.image is not None:
            observation = observation_from_image(message.image, geometry, message.sensor, message.channel)
            load = partial(_loaded, observation)
        capture = Capture(message.channel, self.platform, message.time, geometry, load)
        return _with_boxes(capture, message)


def _loaded(observation: Observation) -> Observation:
    return observation


def _size_of(message: ImageMessage) -> tuple[int, int]:
    """Return the rows and columns of an image, by itself or as stated."""
    if message.image is not None:
        return image_size(message.image)
    if message.size is None or (message.boxes is None and message.outlines is None):
        raise FleetError("a message needs an image, or boxes (or outlines) and the size of their image")
    return message.size


def _with_boxes(capture: Capture, message: ImageMessage) -> Capture:
    """Return the capture with the boxes of its message, if there are any."""
    if message.outlines is not None:
        boxes = boxes_around(message.outlines)
    elif message.boxes is not None:
        boxes = np.array(message.boxes, np.float64).reshape(-1, 4)
    else:
        return capture
    scores = np.array(message.scores or [1.0] * len(boxes))
    return detected_capture(capture, boxes, scores, tuple(message.categories or ["object"] * len(boxes)))
