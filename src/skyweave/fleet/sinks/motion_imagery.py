"""Fused scenes as motion imagery metadata, as they happen: MISB ST 0601 with VMTI (ST 0903) inside, a set a capture.

A set says where the camera was and which of the fused objects are in its image, with their places and the identities
that they have in the whole fleet.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.fleet.node.node import Node
from skyweave.fleet.sinks.base import SinkConfig
from skyweave.fleet.sinks.cursor_on_target import crs_of
from skyweave.fleet.sinks.event_stream import EventStream, EventStreamConfig
from skyweave.fleet.sinks.scene_content import PublishedScene
from skyweave.locating.writers.vmti_sets import MAX_STD_M, VmtiTarget, camera_set, target_pack, vmti_set
from skyweave.recordings.recording import Capture

MAX_TARGETS = 128  # of a set: what fits a datagram
MAX_TARGET_NUMBER = 1 << 21  # three bytes
UNKNOWN_STD_M = 100.0  # of a place whose uncertainty nobody states
VELOCITY_STD_M_S = 1.0


@dataclass(frozen=True)
class KlvSinkConfig(SinkConfig, EventStreamConfig):
    """Sets of KLV; ``kind: klv``.

    Attributes:
        url, certificate, key, authorities, allow_clear: as of `EventStreamConfig`.
    """

    def build(self, node: Node) -> "KlvSink":
        """Make the sink.

        Args:
            node: whose scenes are sent.

        Raises:
            FleetError: the fleet has no reference system, or the address is none.
        """
        return KlvSink(crs_of(node, "klv"), self.open())


@dataclass
class KlvSink:
    """Sends scenes as sets of KLV.

    Attributes:
        crs: of the scenes.
        stream: to send to.
    """

    crs: str
    stream: EventStream
    _begun: dict[str, tuple[int, int]] = field(default_factory=dict)  # by identity: first time, number of points

    def write(self, published: PublishedScene) -> None:
        """Send a set for each camera that has an image.

        Args:
            published: the scene.
        """
        for capture in published.scene.frame.captures.values():
            self.stream.send(self._set(published, capture))

    def close(self) -> None:
        """Close the stream: no scene will follow."""
        self.stream.close()

    def _set(self, published: PublishedScene, capture: Capture) -> bytes:
        """The set of one capture."""
        geometry, detections = capture.geometry, published.detections
        boxes, seen = _boxes_in_image(published, capture)
        named = [row for row in seen if published.identities[row] is not None][:MAX_TARGETS]
        lon_lat = unproject_lon_lat(detections.boxes.centres[:, :2], self.crs) if named else np.zeros((0, 2))
        self._count([str(published.identities[row]) for row in named], published.scene.time)
        targets = [
            target_pack(self._target(published, row, boxes[row], lon_lat[row]), geometry.camera, self.crs)
            for row in named
        ]
        sequence = published.scene.sequence
        content = vmti_set(capture.channel, sequence, geometry.camera, len(seen), targets)
        return camera_set(published.node.name, published.scene.time, geometry, self.crs, content, None)

    def _count(self, identities: list[str], time: int) -> None:
        """Count the points of tracks; those that are not in the image are forgotten."""
        self._begun = {
            name: (self._begun[name][0], self._begun[name][1] + 1) if name in self._begun else (time, 1)
            for name in identities
        }

    def _target(self, published: PublishedScene, row: int, box: np.ndarray, lon_lat: np.ndarray) -> VmtiTarget:
        detections, identity = published.detections, str(published.identities[row])
        begin, points = self._begun[identity]
        return VmtiTarget(
            number=zlib.crc32(identity.encode()) % MAX_TARGET_NUMBER,
            name=f"{published.node.fleet}.{identity}",
            category=detections.categories[row],
            score=float(np.clip(detections.scores[row], 0, 1)),
            box=box,
            lon_lat=lon_lat,
            height=float(detections.boxes.centres[row, 2]),
            covariance=_covariance(published, row),
            up_std=MAX_STD_M,
            velocity=np.nan_to_num(detections.velocities[row]),
            velocity_covariance=np.eye(2) * VELOCITY_STD_M_S**2,
            begin=begin,
            time=published.scene.time,
            points=points,
        )


def _boxes_in_image(published: PublishedScene, capture: Capture) -> tuple[np.ndarray, list[int]]:
    """Outlines (n, 4) of the objects in an image, pixels, and which of them are in it."""
    boxes, camera = published.detections.boxes, capture.geometry.camera
    if not len(boxes):
        return np.zeros((0, 4)), []
    pixels, depth = capture.geometry.project(boxes.corners())
    outlines = np.concatenate([pixels.min(1), pixels.max(1)], 1)
    inside = (depth.min(1) > 0) & camera.inside((outlines[:, :2] + outlines[:, 2:]) / 2)
    return outlines, np.flatnonzero(inside).tolist()


def _covariance(published: PublishedScene, row: int) -> np.ndarray:
    """(2, 2) of a place; large where nobody knows."""
    covariances = published.detections.covariances
    if covariances is None or not np.isfinite(covariances[row]).all():
        return np.eye(2) * UNKNOWN_STD_M**2
    return np.asarray(covariances[row])
