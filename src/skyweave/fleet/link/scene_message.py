"""A fused scene as it travels (docs/fleet.md): JSON, whose types hold the bounds of everything in it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from skyweave.fleet.link.heartbeat import MAX_CATEGORY_LENGTH, MAX_RECEIVED_BYTES, WireNumber
from skyweave.fleet.link.heartbeat import MAX_IDENTITY_LENGTH as FLEET_IDENTITY_LENGTH
from skyweave.fleet.link.topics import NAME_PATTERN

MAX_COORDINATE_M = 1e8
MAX_SIZE_M = 1000.0
MAX_SPEED_M_S = 1000.0
MAX_VARIANCE = 1e8  # square metres
MAX_ANGLE = 1e4  # radians or degrees
MAX_SECONDS = 1e10
MAX_PIXELS_A_SIDE = 100_000
MAX_BOXES, MAX_VIEWS, MAX_PEERS = 1024, 64, 64
MAX_PATH_POINTS, MAX_FOOTPRINT_POINTS = 64, 256
MAX_IDENTITY_LENGTH = 64

PlatformName = Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}\Z")]
Metres = Annotated[float, Meta(ge=-MAX_COORDINATE_M, le=MAX_COORDINATE_M)]
Extent = Annotated[float, Meta(ge=0, le=MAX_SIZE_M)]
Speed = Annotated[float, Meta(ge=-MAX_SPEED_M_S, le=MAX_SPEED_M_S)]
Angle = Annotated[float, Meta(ge=-MAX_ANGLE, le=MAX_ANGLE)]
Variance = Annotated[float, Meta(ge=0, le=MAX_VARIANCE)]
Covariance = Annotated[float, Meta(ge=-MAX_VARIANCE, le=MAX_VARIANCE)]
Seconds = Annotated[float, Meta(ge=-MAX_SECONDS, le=MAX_SECONDS)]
Count = Annotated[int, Meta(ge=0, le=MAX_RECEIVED_BYTES)]
Category = Annotated[str, Meta(max_length=MAX_CATEGORY_LENGTH)]
TrackIdentity = Annotated[str, Meta(max_length=MAX_IDENTITY_LENGTH)]
Component = Annotated[float, Meta(ge=-1.01, le=1.01)]
Pixels = Annotated[int, Meta(ge=1, le=MAX_PIXELS_A_SIDE)]
Intrinsic = Annotated[float, Meta(ge=-1e7, le=1e7)]


class SceneBox(msgspec.Struct, frozen=True):
    """One object.

    Attributes:
        id: of its track; None: it has none yet.
        category: name of its class.
        score: 0 to 1.
        centre: east, north and up, metres.
        size: length, width and height, metres.
        yaw: radians counter-clockwise from east.
        velocity: east and north, metres a second.
        covariance: of the centre: east, east and north, north, square metres; None: not known.
        observers: platforms that detect it by themselves in the frames that were fused.
        identity: of the object in the whole fleet, which the nodes agree on; None: it has none yet.
    """

    id: TrackIdentity | None
    category: Category
    score: Annotated[float, Meta(ge=0, le=1)]
    centre: tuple[Metres, Metres, Metres]
    size: tuple[Extent, Extent, Extent]
    yaw: Angle
    velocity: tuple[Speed, Speed]
    covariance: tuple[Variance, Covariance, Variance] | None = None
    observers: Annotated[tuple[PlatformName, ...], Meta(max_length=MAX_PEERS + 1)] = ()
    identity: Annotated[str, Meta(max_length=FLEET_IDENTITY_LENGTH)] | None = None


class SceneForecast(msgspec.Struct, frozen=True):
    """Where one object will be.

    Attributes:
        id: of its track; None: it has none yet.
        category: name of its class.
        path: east and north at each step, metres.
    """

    id: TrackIdentity | None
    category: Category
    path: Annotated[tuple[tuple[Metres, Metres], ...], Meta(max_length=MAX_PATH_POINTS)]


class SceneView(msgspec.Struct, frozen=True):
    """What one camera of the platform sees of the ground.

    Attributes:
        channel: name of the camera.
        position: of the camera, metres.
        orientation: quaternion w x y z.
        heading: radians counter-clockwise from east.
        footprint: corners of what it sees, metres.
        rows: of its image.
        columns: of its image.
        intrinsics: nine numbers, row by row, pixels.
    """

    channel: PlatformName
    position: tuple[Metres, Metres, Metres]
    orientation: tuple[Component, Component, Component, Component]
    heading: Angle
    footprint: Annotated[tuple[tuple[Metres, Metres], ...], Meta(max_length=MAX_FOOTPRINT_POINTS)]
    rows: Pixels
    columns: Pixels
    intrinsics: Annotated[tuple[Intrinsic, ...], Meta(min_length=9, max_length=9)]


class PeerFrameContent(msgspec.Struct, frozen=True):
    """A peer's frame that is fused into the scene.

    Attributes:
        time_offset: seconds from the platform's capture to the peer's.
        complete: whether nothing of it is missing.
    """

    time_offset: Seconds
    complete: bool


class LinkPose(msgspec.Struct, frozen=True):
    """By how much a peer's poses are wrong.

    Attributes:
        metres: of the position.
        degrees: of the attitude.
        trusted: whether they are used.
    """

    metres: Metres
    degrees: Angle
    trusted: bool


class LinkContent(msgspec.Struct, frozen=True):
    """How the platform receives a peer.

    Attributes:
        bytes: taken.
        messages: taken.
        rejected: messages.
        age: seconds since the capture of its newest frame; None: none has come.
        clock_offset: seconds by which its clock is ahead.
        alive: whether its heartbeats are recent.
        pose: by how much its poses are wrong; None: not known.
    """

    bytes: Count
    messages: Count
    rejected: Count
    age: Seconds | None
    clock_offset: Seconds
    alive: bool
    pose: LinkPose | None = None


class SceneMessage(msgspec.Struct, frozen=True):
    """Everything that a map of the fleet shows of one platform's fused scene; metres in ``crs``.

    Attributes:
        fleet: name of the fleet.
        platform: that fused it; as its topic says.
        sequence: number of the frame.
        time: capture, UTC seconds.
        latency: seconds from capture to fused scene.
        novelty: of the platform's images; None: not known.
        crs: reference system; None: local metres.
        boxes: objects.
        forecasts: of objects.
        views: of the platform's cameras.
        peer_frames: that were fused, by peer.
        links: how each peer is received.
        budget: bytes a frame.
    """

    fleet: PlatformName
    platform: PlatformName
    sequence: WireNumber
    time: Annotated[float, Meta(ge=0, le=MAX_SECONDS)]
    latency: Seconds
    crs: Annotated[str, Meta(pattern=r"^EPSG:[0-9]{1,8}\Z")] | None
    boxes: Annotated[tuple[SceneBox, ...], Meta(max_length=MAX_BOXES)]
    forecasts: Annotated[tuple[SceneForecast, ...], Meta(max_length=MAX_BOXES)]
    views: Annotated[tuple[SceneView, ...], Meta(max_length=MAX_VIEWS)]
    peer_frames: Annotated[dict[PlatformName, PeerFrameContent], Meta(max_length=MAX_PEERS)]
    links: Annotated[dict[PlatformName, LinkContent], Meta(max_length=MAX_PEERS)]
    budget: Count
    novelty: Annotated[float, Meta(ge=0, le=1e9)] | None = None


_DECODER = msgspec.json.Decoder(SceneMessage)


def decode_scene(message: bytes) -> SceneMessage | None:
    """Return a fused scene; None for bytes that are no valid one.

    Args:
        message: JSON.
    """
    try:
        return _DECODER.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        return None
