"""Ways to collaborate by name: one file each, each with its source."""

from skyweave.collaboration.strategies.attention import Attention
from skyweave.collaboration.strategies.base import Strategy
from skyweave.collaboration.strategies.cerf import Cerf
from skyweave.collaboration.strategies.dhd import SlidingWindow
from skyweave.collaboration.strategies.disconet import DiscoNet
from skyweave.collaboration.strategies.dual_branch import Ours
from skyweave.collaboration.strategies.full_features import Everything
from skyweave.collaboration.strategies.late_fusion import Late
from skyweave.collaboration.strategies.max_fusion import Maximum
from skyweave.collaboration.strategies.mean_fusion import Mean
from skyweave.collaboration.strategies.no_fusion import Own
from skyweave.collaboration.strategies.v2vnet import V2VNet
from skyweave.collaboration.strategies.v2x_vit import V2XViT
from skyweave.collaboration.strategies.when2com import When2com
from skyweave.collaboration.strategies.where2comm import Where2comm
from skyweave.collaboration.strategies.who2com import Who2com

STRATEGIES: dict[str, type[Strategy]] = {
    "own": Own,
    "late": Late,
    "all": Everything,
    "mean": Mean,
    "max": Maximum,
    "attention": Attention,
    "v2vnet": V2VNet,
    "when2com": When2com,
    "who2com": Who2com,
    "where2comm": Where2comm,
    "disconet": DiscoNet,
    "v2x-vit": V2XViT,
    "dhd": SlidingWindow,
    "cerf": Cerf,
    "ours": Ours,
}

__all__ = ["STRATEGIES", "Strategy"]
