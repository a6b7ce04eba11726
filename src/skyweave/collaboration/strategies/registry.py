"""Fusion strategies by name: built in, registered, or of another package."""

from skyweave.collaboration.strategies.base import Strategy
from skyweave.core.registry import Registry

_HOME = "skyweave.collaboration.strategies"

STRATEGIES: Registry[type[Strategy]] = Registry(
    "strategies",
    "fusion strategy",
    {
        "no_fusion": f"{_HOME}.no_fusion:NoFusion",
        "late_fusion": f"{_HOME}.late_fusion:LateFusion",
        "full_features": f"{_HOME}.full_features:FullFeatures",
        "mean": f"{_HOME}.mean_fusion:MeanStrategy",
        "max": f"{_HOME}.max_fusion:FCooper",
        "attention": f"{_HOME}.attention:AttentiveFusion",
        "v2vnet": f"{_HOME}.v2vnet:V2VNet",
        "when2com": f"{_HOME}.when2com:When2com",
        "who2com": f"{_HOME}.who2com:Who2com",
        "where2comm": f"{_HOME}.where2comm:Where2comm",
        "disconet": f"{_HOME}.disconet:DiscoNet",
        "v2x-vit": f"{_HOME}.v2x_vit:V2XViT",
        "dhd": f"{_HOME}.dhd:DHD",
        "cerf": f"{_HOME}.cerf:CERF",
        "dual_branch": f"{_HOME}.dual_branch:DualBranch",
    },
)


def untrained_strategies() -> list[str]:
    """Return the names of the strategies that any perception model can be scored with, without training."""
    return [name for name in STRATEGIES if not STRATEGIES[name].needs_training]
