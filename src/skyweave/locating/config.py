"""Options of locating and tracking what cameras see."""

from dataclasses import dataclass, field

from skyweave.locating.located import BoxErrorConfig
from skyweave.locating.map_tracker import MapTrackerConfig
from skyweave.locating.pose_error_model import PoseErrorConfig


@dataclass(frozen=True)
class LocatingConfig:
    """Options of locating and tracking.

    Attributes:
        errors: of poses, lenses, clocks and elevations, where logs do not state theirs.
        boxes: how boxes miss their objects.
        tracker: gates, scores and ages.
        calibration_rounds: how often errors are estimated from what stands still; 0: never.
        min_static: objects that must stand still for the estimate to be used.
    """

    errors: PoseErrorConfig = field(default_factory=PoseErrorConfig)
    boxes: BoxErrorConfig = field(default_factory=BoxErrorConfig)
    tracker: MapTrackerConfig = field(default_factory=MapTrackerConfig)
    calibration_rounds: int = 3
    min_static: int = 3
