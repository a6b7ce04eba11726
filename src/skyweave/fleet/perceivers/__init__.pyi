from .base import Perceiver, WorldFrame, encode_ego
from .ground_truth import GroundTruthPerceiver
from .intermediate_fusion import IntermediateFusionPerceiver
from .late_fusion import LateFusionPerceiver
from .offline import perceive_ego_and_fused, perceive_together

__all__ = [
    "GroundTruthPerceiver",
    "IntermediateFusionPerceiver",
    "LateFusionPerceiver",
    "Perceiver",
    "WorldFrame",
    "encode_ego",
    "perceive_ego_and_fused",
    "perceive_together",
]
