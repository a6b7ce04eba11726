"""A perceiver whose poses are corrected against a base map before anything is placed by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame
from skyweave.locating import PoseEstimate, PoseFilter, grey_values
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.recordings.recording import Capture, Frame
from skyweave.wire import FrameContent, Pose

if TYPE_CHECKING:
    from skyweave.collaboration.pose_alignment import PoseError

EgoState = TypeVar("EgoState")


@dataclass(frozen=True)
class LocatedEgo(Generic[EgoState]):
    """What a platform sees, and where it found itself.

    Attributes:
        state: of the perceiver.
        pose: corrected, of the first camera, with its covariance.
    """

    state: EgoState
    pose: Pose


class SelfLocatingPerceiver(Generic[EgoState]):
    """A perceiver that trusts a base map more than its navigation.

    Every camera of the platform is corrected by the error that its first camera's image shows. Where an image says
    nothing the last error is kept, and the covariance that peers receive grows.

    Args:
        perceiver: that maps, detects and fuses.
        pose_filter: of this platform.

    Attributes:
        estimate: of the last frame.
    """

    def __init__(self, perceiver: Perceiver[EgoState], pose_filter: PoseFilter) -> None:
        self.perceiver, self.pose_filter = perceiver, pose_filter
        self.estimate = pose_filter.estimate
        self.categories, self.fingerprint, self.tables = perceiver.categories, perceiver.fingerprint, perceiver.tables
        self.sort_window, self.resolution, self.interval = (
            perceiver.sort_window,
            perceiver.resolution,
            perceiver.interval,
        )

    @property
    def pose_errors(self) -> "Mapping[int, PoseError]":
        """Return the errors of peers' poses, by platform number, as far as they are estimated."""
        return self.perceiver.pose_errors

    def observe(self, frame: Frame, place: WorldFrame) -> LocatedEgo[EgoState]:
        """Correct the poses of a frame, and return what the platform sees.

        Args:
            frame: with its own captures only; frames come in order of their time.
            place: where the fleet works.

        Raises:
            FleetError: the base map is in another reference system.
        """
        crs = self.pose_filter.reference.grid.crs
        if crs != place.crs:
            raise FleetError(
                f"the base map is in {crs or 'a local frame'}, the fleet works in {place.crs or 'a local frame'}; "
                "bring both to one reference system"
            )
        first = next(iter(frame.captures.values()))
        image = first.load()
        self.estimate = self.pose_filter.update(grey_values(image), first.geometry, place.ground, frame.time)
        captures = {name: _corrected(capture, self.estimate) for name, capture in frame.captures.items()}
        captures[first.channel] = replace(captures[first.channel], load=lambda: image)
        state = self.perceiver.observe(replace(frame, captures=captures), place)
        return LocatedEgo(state, _pose(captures[first.channel].geometry, self.estimate.covariance))

    def ego_detections(self, ego: LocatedEgo[EgoState]) -> Detections:
        """Return what the platform detected by itself.

        Args:
            ego: of `observe`.
        """
        return self.perceiver.ego_detections(ego.state)

    def compose(self, ego: LocatedEgo[EgoState], budget_bytes: int) -> FrameContent:
        """Compose the message of one frame, with the corrected pose.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire.
        """
        return replace(self.perceiver.compose(ego.state, budget_bytes), pose=ego.pose)

    def fuse(self, ego: LocatedEgo[EgoState], received: Sequence[FrameContent]) -> ScenePrediction:
        """Fuse and read out one frame.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        return self.perceiver.fuse(ego.state, received)

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Return a frame as it would be at another time.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """
        return self.perceiver.compensate(content, time)


def _corrected(capture: Capture, estimate: PoseEstimate) -> Capture:
    return replace(capture, geometry=estimate.correct(capture.geometry))


def _pose(geometry: CameraGeometry, covariance: np.ndarray) -> Pose:
    return Pose(geometry.position, quaternion_from_rotation(geometry.world_from_camera[:3, :3]), covariance)
