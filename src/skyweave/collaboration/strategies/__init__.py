"""Ways to collaborate by name: one file each, each with its source."""

from skyweave.collaboration.strategies.attention import AttentiveFusion
from skyweave.collaboration.strategies.base import Strategy
from skyweave.collaboration.strategies.cerf import CERF
from skyweave.collaboration.strategies.dhd import DHD
from skyweave.collaboration.strategies.disconet import DiscoNet
from skyweave.collaboration.strategies.dual_branch import DualBranch
from skyweave.collaboration.strategies.full_features import FullFeatures
from skyweave.collaboration.strategies.late_fusion import LateFusion
from skyweave.collaboration.strategies.max_fusion import FCooper
from skyweave.collaboration.strategies.mean_fusion import MeanStrategy
from skyweave.collaboration.strategies.no_fusion import NoFusion
from skyweave.collaboration.strategies.v2vnet import V2VNet
from skyweave.collaboration.strategies.v2x_vit import V2XViT
from skyweave.collaboration.strategies.when2com import When2com
from skyweave.collaboration.strategies.where2comm import Where2comm
from skyweave.collaboration.strategies.who2com import Who2com

STRATEGIES: dict[str, type[Strategy]] = {
    "no_fusion": NoFusion,
    "late_fusion": LateFusion,
    "full_features": FullFeatures,
    "mean": MeanStrategy,
    "max": FCooper,
    "attention": AttentiveFusion,
    "v2vnet": V2VNet,
    "when2com": When2com,
    "who2com": Who2com,
    "where2comm": Where2comm,
    "disconet": DiscoNet,
    "v2x-vit": V2XViT,
    "dhd": DHD,
    "cerf": CERF,
    "dual_branch": DualBranch,
}

__all__ = ["STRATEGIES", "Strategy"]
