"""The task heads: one file each, with its targets, its loss and how its outputs become results."""

from torch import nn

from skyweave.perception.heads.detection import DetectionHead
from skyweave.perception.heads.instances import InstanceHead
from skyweave.perception.heads.trajectories import TrajectoryHead

HEADS: dict[str, type[nn.Module]] = {
    "detection": DetectionHead,
    "instances": InstanceHead,
    "trajectories": TrajectoryHead,
}
