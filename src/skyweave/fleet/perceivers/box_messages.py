"""What perceivers that send boxes only have in common: messages, late fusion, and boxes that are moved on."""

from collections.abc import Mapping, Sequence

import numpy as np

from skyweave.collaboration.pose_alignment import PoseError
from skyweave.fleet.perceivers.base import extrapolate_with_decay
from skyweave.fleet.perceivers.box_scene import EgoScene, fuse_boxes, message_from_scene, scene_detections
from skyweave.perception.results import Detections, ScenePrediction
from skyweave.wire import EntropyTables, FrameContent

FORECAST_STEPS = 4


class BoxMessages:
    """Base of perceivers that send no features.

    Args:
        categories: names of the classes, in the order of their numbers on the wire.
        interval: seconds between frames.
    """

    fingerprint = 0
    tables: Sequence[EntropyTables] = ()
    sort_window = 1

    def __init__(self, categories: tuple[str, ...], interval: float) -> None:
        self.categories, self.interval = categories, interval

    @property
    def pose_errors(self) -> Mapping[int, PoseError]:
        """Return the errors of peers' poses, by platform number: none, as a detector knows of none."""
        return {}

    def ego_detections(self, ego: EgoScene) -> Detections:
        """Return what the platform detected by itself.

        Args:
            ego: of `observe`.
        """
        return scene_detections(ego)

    def compose(self, ego: EgoScene, budget_bytes: int) -> FrameContent:
        """Compose the message of one frame; the budget cuts the list of boxes where it is encoded.

        Args:
            ego: of `observe`.
            budget_bytes: of the frame on the wire.
        """
        return message_from_scene(ego, self.categories)

    def fuse(self, ego: EgoScene, received: Sequence[FrameContent]) -> ScenePrediction:
        """Merge boxes.

        Args:
            ego: of `observe`.
            received: what came, moved to the ego's time.
        """
        return fuse_boxes(ego, received, self.categories, self.interval * np.arange(1, FORECAST_STEPS + 1))

    def compensate(self, content: FrameContent, time: int) -> FrameContent:
        """Move the boxes of a frame on, with lower scores the farther they are moved.

        Args:
            content: as received.
            time: UTC nanoseconds.
        """
        return extrapolate_with_decay(content, time)
