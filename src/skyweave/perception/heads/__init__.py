"""The task heads by name. A head owns its targets, loss, decoding and metrics.

The interface is `skyweave.perception.heads.base.PerceptionHead`. Other packages add heads through the entry points
``skyweave.heads``.
"""

from typing import Any

from skyweave.core.registry import Registry

HEADS: Registry[Any] = Registry(
    "heads",
    "perception head",
    {
        "detection": "skyweave.perception.heads.detection:DetectionHead",
        "instances": "skyweave.perception.heads.instances:InstanceHead",
        "land_cover": "skyweave.perception.heads.land_cover:LandCoverHead",
        "trajectories": "skyweave.perception.heads.trajectories:TrajectoryHead",
    },
)
"""Subclasses of `skyweave.perception.heads.base.PerceptionHead` by their ``name``."""

__all__ = ["HEADS"]
