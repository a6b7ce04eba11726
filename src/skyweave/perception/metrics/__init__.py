"""What perception is worth, as the field computes it. Each file says which definition it follows; `docs/metrics.md`.

Objects that no platform sees are left out of the truth (`seen`). Nothing is divided by zero in silence: a figure that
has no meaning is NaN, one that the standard defines is that, and ``notes`` of each result say which.
"""

from skyweave.perception.metrics.detection import (
    NDS,
    NUSCENES_RANGES,
    UAV3D_RANGES,
    DetectionConfig,
    DetectionMetrics,
    evaluate_detection,
)
from skyweave.perception.metrics.instances import InstanceMetrics, panoptic_quality, total, video_panoptic_quality
from skyweave.perception.metrics.overlap import OverlapMetrics, evaluate_overlap
from skyweave.perception.metrics.tables import seen
from skyweave.perception.metrics.tracking import TrackedScene, TrackingConfig, TrackingMetrics, evaluate_tracking
from skyweave.perception.metrics.trajectories import (
    TrajectoryMetrics,
    constant_velocity,
    evaluate_trajectories,
    match_objects,
)

__all__ = [
    "NDS",
    "NUSCENES_RANGES",
    "UAV3D_RANGES",
    "DetectionConfig",
    "DetectionMetrics",
    "InstanceMetrics",
    "OverlapMetrics",
    "TrackedScene",
    "TrackingConfig",
    "TrackingMetrics",
    "TrajectoryMetrics",
    "constant_velocity",
    "evaluate_detection",
    "evaluate_overlap",
    "evaluate_tracking",
    "evaluate_trajectories",
    "match_objects",
    "panoptic_quality",
    "seen",
    "total",
    "video_panoptic_quality",
]
