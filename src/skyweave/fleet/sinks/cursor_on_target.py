"""Fused scenes as Cursor on Target events, for TAK clients and servers, as they happen.

An event a tracked object and scene. Its identity is that of the object in the fleet: whichever nodes send it, one
symbol moves. Events become stale by themselves when the object, or the node, is gone.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.event_stream import EventStream, EventStreamConfig
from skyweave.fleet.sinks.scene_content import PublishedScene
from skyweave.locating.track_table import compass_degrees, true_north_offset
from skyweave.locating.writers.cursor_on_target import MapEvent, circular_std

MIN_HEADING_SPEED_M_S = 0.5  # below which an object heads where its box points


@dataclass(frozen=True)
class CursorOnTargetSinkConfig(SinkConfig, EventStreamConfig):
    """Events for TAK; ``kind: cot``.

    Attributes:
        url, certificate, key, authorities, allow_clear: as of `EventStreamConfig`, such as ``udp://239.2.3.1:6969``,
            ``tcp://HOST:8087`` or ``tls://HOST:8089``.
        stale: seconds after which nobody should believe an event.
    """

    stale: float = 5.0

    def build(self, node: Node) -> "CursorOnTargetSink":
        """Make the sink.

        Args:
            node: whose scenes are sent.

        Raises:
            FleetError: the fleet has no reference system, or the address is none.
        """
        return CursorOnTargetSink(crs_of(node, "cot"), self.open(), self.stale)


def crs_of(node: Node, sink: str) -> str:
    """Return the reference system of a node's fleet.

    Args:
        node: of the fleet.
        sink: that needs it, for the message.

    Raises:
        FleetError: it has none.
    """
    if node.world_frame.crs is None:
        raise FleetError(f"{sink} needs a place on Earth; give the fleet a crs, or leave out the sink {sink}")
    return node.world_frame.crs


@dataclass(frozen=True)
class CursorOnTargetSink:
    """Sends scenes as events.

    Attributes:
        crs: of the scenes.
        stream: to send to.
        stale: seconds after which nobody should believe an event.
    """

    crs: str
    stream: EventStream
    stale: float

    def write(self, published: PublishedScene) -> None:
        """Send an event for each object that has an identity.

        Args:
            published: the scene.
        """
        for event in scene_events(published, self.crs):
            self.stream.send(ElementTree.tostring(event.to_xml(self.stale), "utf-8", xml_declaration=True) + b"\n")

    def close(self) -> None:
        """Close the stream: no scene will follow."""
        self.stream.close()


def scene_events(published: PublishedScene, crs: str) -> list[MapEvent]:
    """Return the objects of a scene that have an identity, as events.

    Args:
        published: the scene.
        crs: of it.
    """
    detections = published.detections
    if not len(detections):
        return []
    lon_lat = unproject_lon_lat(detections.boxes.centres[:, :2], crs)
    north = true_north_offset(crs, lon_lat[0])
    velocities = np.nan_to_num(detections.velocities)
    speeds = np.hypot(*velocities.T)
    moving = speeds >= MIN_HEADING_SPEED_M_S
    headings = np.where(moving, np.arctan2(velocities[:, 1], velocities[:, 0]), detections.boxes.yaws)
    courses = compass_degrees(headings, north)
    return [
        MapEvent(
            identity=f"{published.node.fleet}.{identity}",
            name=f"{detections.categories[row]} {identity}",
            category=detections.categories[row],
            time=published.scene.time,
            lon_lat=lon_lat[row],
            height=float(detections.boxes.centres[row, 2]),
            circular=_circular(published, row),
            course=float(courses[row]),
            speed=float(speeds[row]),
            remarks=f"score {detections.scores[row]:.2f}, by {published.node.name}",
        )
        for row, identity in enumerate(published.identities)
        if identity is not None
    ]


def _circular(published: PublishedScene, row: int) -> float | None:
    covariances = published.detections.covariances
    known = covariances is not None and bool(np.isfinite(covariances[row]).all())
    return circular_std(covariances[row]) if covariances is not None and known else None
