"""A perceiver for anybody's detector: its boxes are located on the ground, tracked there, and sent."""

from dataclasses import dataclass

import numpy as np

from skyweave.collaboration.observer import ego_grid
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.images.true_color import true_color_image
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.box_messages import BoxMessages
from skyweave.fleet.perceivers.box_scene import EgoScene
from skyweave.fleet.perceivers.detected_capture import DetectedCapture
from skyweave.locating import CameraState, ImageLocator, LocatedDetections, MapTracker, MapTrackerConfig
from skyweave.locating.map_tracker import MapTrack
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.perception.results.scene import DETECTION
from skyweave.recordings.recording import Capture, Frame

MIN_HEADING_SPEED = 1.0  # m/s, from which an object heads where it moves
TENTATIVE_FRAMES = 3  # for which a track that does not count yet lives unseen
CONFIRM_FRAMES = 2
NS_PER_S = 1e9


@dataclass(frozen=True)
class _LastPose:
    """Where a camera was, and when in seconds."""

    position: np.ndarray
    time: float


class BoxPerceiver(BoxMessages):
    """A detector in images, whose boxes are lifted to the ground.

    Args:
        locator: the detector, with the errors of the cameras.
        interval: seconds between frames.
        size: of the map, metres.
        resolution: metres a cell.
    """

    def __init__(
        self,
        locator: ImageLocator,
        interval: float = 0.5,
        size: float = 128.0,
        resolution: float = 0.5,
    ) -> None:
        super().__init__(tuple(locator.categories), interval)
        self.locator, self.size, self.resolution = locator, size, resolution
        self._channels: dict[str, int] = {}
        self._poses: dict[str, _LastPose] = {}
        self._tracker: MapTracker | None = None
        self._number = 0

    def observe(self, frame: Frame, place: WorldFrame) -> EgoScene:
        """Detect in the images of one frame, locate and track.

        Args:
            frame: with the platform's own captures only.
            place: where the fleet works.
        """
        captures = sorted(frame.captures.values(), key=lambda capture: capture.time)
        tracker = self._tracker_of(captures)
        located = [self._locate(capture, place) for capture in captures]
        self._number += 1
        continued = [tracker.update(one) for one in located]
        grid = ego_grid(captures[0].geometry, place.ground, place.crs, self.size, self.resolution)
        detections = self._detections(tracker, located, continued, place.crs, frame.time)
        inside = detections.select(np.flatnonzero(grid.index(detections.boxes.centres) >= 0))
        return EgoScene(frame.time, grid, ScenePrediction({DETECTION: inside}))

    def _tracker_of(self, captures: list[Capture]) -> MapTracker:
        """Return the tracker; a camera that was never there before begins it anew."""
        channels = {capture.channel for capture in captures}
        if self._tracker is None or not channels <= self._channels.keys():
            names = sorted(channels | self._channels.keys())
            self._channels = {name: number for number, name in enumerate(names)}
            gap = TENTATIVE_FRAMES * self.interval
            self._tracker = MapTracker(len(names), MapTrackerConfig(confirm=CONFIRM_FRAMES, max_tentative_gap=gap))
        return self._tracker

    def _locate(self, capture: Capture, place: WorldFrame) -> LocatedDetections:
        time, number = capture.time / NS_PER_S, self._channels[capture.channel]
        state = self._state(capture.geometry, capture.channel, time)
        if isinstance(capture, DetectedCapture):
            boxes = capture.boxes, capture.scores, capture.categories
            return self.locator.place(*boxes, state, place.ground, time, number, self._number)
        detector = self.locator.detector
        image = true_color_image(capture.load()) if detector is not None and detector.needs_images else None
        return self.locator.locate(image, state, place.ground, time, number, self._number)

    def _state(self, geometry: CameraGeometry, channel: str, time: float) -> CameraState:
        """Return the camera with the velocity since its last pose, by which errors of its clock move it."""
        last = self._poses.get(channel)
        self._poses[channel] = _LastPose(geometry.position, time)
        if last is None or time <= last.time:
            return CameraState(geometry, np.zeros(3), np.zeros(3))
        return CameraState(geometry, (geometry.position - last.position) / (time - last.time), np.zeros(3))

    def _detections(
        self,
        tracker: MapTracker,
        located: list[LocatedDetections],
        continued: list[np.ndarray],
        crs: str | None,
        time: int,
    ) -> Detections:
        """Return the tracks that were seen in this frame as boxes that stand on the ground."""
        seen = np.concatenate(continued)
        tracks = [track for track in tracker.active() if track.number in seen]
        if not tracks:
            return Detections.empty(crs, time)
        headings = {one.platform: one.headings for one in located}
        objects = [_object_of(track, headings[track.points[-1].platform]) for track in tracks]
        centres, sizes, yaws, velocities, covariances = map(np.array, zip(*objects, strict=True))
        return Detections(
            Boxes(centres, sizes, yaws),
            velocities,
            tuple(track.category for track in tracks),
            np.array([track.scores[-1] for track in tracks]),
            crs,
            time,
            covariances=covariances,
        )


def _object_of(track: MapTrack, headings: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
    """Return centre, size, yaw, velocity and covariance of a track's last point.

    Args:
        track: that was just seen.
        headings: of the boxes of the image in which it was.
    """
    point, size = track.points[-1], np.exp(np.median(track.log_sizes, axis=0))
    east, north = point.velocity
    moves = np.hypot(east, north) > MIN_HEADING_SPEED
    yaw = np.arctan2(north, east) if moves else headings[point.row]
    centre = np.array([*point.position, point.up + size[2] / 2])
    return centre, size, float(yaw), point.velocity, point.covariance
