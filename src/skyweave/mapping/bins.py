"""Parametrisations of depth: where along its ray a feature may be, behind one interface.

A pixel's ray meets the ground at depth d_g. What stands there hides the ground, so it is somewhere in front of that
depth. Each parametrisation lays ``count`` nodes along the ray, a network predicts a categorical distribution over them,
and the feature is spread over the map cells below those nodes. Depths are along the optical axis, in metres. Other
packages add parametrisations through the entry points ``skyweave.bins``.
"""

from typing import Any, Protocol

from torch import Tensor

from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.mapping.rays import GroundRays


class Bins(Protocol):
    """A parametrisation of the depth along a ray."""

    @property
    def count(self) -> int:
        """Number of nodes along a ray."""
        ...

    def depths(self, rays: GroundRays) -> Tensor:
        """Return (pixels, count) float64 depths, monotonic along a ray; NaN where a node is not in front of the camera.

        Args:
            rays: of a camera's pixels.
        """
        ...

    def reach(self, clearance: float) -> float:
        """Return the height in metres above the ground up to which objects are placed.

        Args:
            clearance: of the camera above the ground, metres.
        """
        ...


BINS: Registry[Any] = Registry(
    "bins",
    "bins",
    {
        "height": "skyweave.mapping.ground_bins:HeightBins",
        "ratio": "skyweave.mapping.ground_bins:RatioBins",
        "offset": "skyweave.mapping.ground_bins:OffsetBins",
        "depth": "skyweave.mapping.depth_bins:DepthBins",
        "flat": "skyweave.mapping.ground_bins:FlatGround",
    },
)
"""Classes with the interface of `Bins` by their name in configurations."""


def build_bins(name: str, **options: Any) -> Bins:
    """Return bins by their name in configurations: ``build_bins("height", ceiling=10, count=100)``.

    Args:
        name: in `BINS`.
        options: fields of these bins.

    Raises:
        UnknownNameError: there are none of that name.
        ConfigError: an option that these bins do not have, or a value that is not valid.
    """
    bins_class = BINS[name]
    try:
        bins: Bins = bins_class(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"bins {name!r}: {error}") from None
    return bins
