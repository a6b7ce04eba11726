"""Metrics of perception as the field defines them. Each file says which definition it follows; `docs/metrics.md`.

Objects that no platform sees are left out of the truth (`visible_objects`). Nothing is divided by zero in silence: a
figure that has no meaning is NaN, one that the standard defines is that, and ``notes`` of each result say which.
"""

from skyweave.perception.metrics.bev_ap import BEVAPMetrics, evaluate_bev_ap
from skyweave.perception.metrics.detection import (
    NDS_DEFINITIONS,
    NUSCENES_RANGES,
    UAV3D_RANGES,
    DetectionConfig,
    DetectionMetrics,
    evaluate_detection,
)
from skyweave.perception.metrics.instances import (
    InstanceMetrics,
    panoptic_quality,
    sum_instance_metrics,
    video_panoptic_quality,
)
from skyweave.perception.metrics.tables import visible_objects
from skyweave.perception.metrics.tracking import TrackedSequence, TrackingConfig, TrackingMetrics, evaluate_tracking
from skyweave.perception.metrics.trajectories import (
    TrajectoryMetrics,
    constant_velocity_trajectories,
    evaluate_trajectories,
    match_objects,
)

__all__ = [
    "NDS_DEFINITIONS",
    "NUSCENES_RANGES",
    "UAV3D_RANGES",
    "BEVAPMetrics",
    "DetectionConfig",
    "DetectionMetrics",
    "InstanceMetrics",
    "TrackedSequence",
    "TrackingConfig",
    "TrackingMetrics",
    "TrajectoryMetrics",
    "constant_velocity_trajectories",
    "evaluate_bev_ap",
    "evaluate_detection",
    "evaluate_tracking",
    "evaluate_trajectories",
    "match_objects",
    "panoptic_quality",
    "sum_instance_metrics",
    "video_panoptic_quality",
    "visible_objects",
]
