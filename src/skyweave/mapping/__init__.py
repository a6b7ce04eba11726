"""Placing features on the map: the relative-depth lift, its baselines, resampling; one sparse kernel for all."""

from typing import Any

from skyweave.mapping.bins import (
    Bins,
    DepthBins,
    FlatGround,
    GroundRays,
    HeightBins,
    OffsetBins,
    RatioBins,
    depth_targets,
    ground_rays,
)
from skyweave.mapping.lift import Lift, depth_loss
from skyweave.mapping.place import Placed, lift, place, place_cameras, place_raster, stack
from skyweave.mapping.plan import LiftPlan, plan_lift
from skyweave.mapping.rasters import RasterPlan, plan_raster

__all__ = [
    "BINS",
    "Bins",
    "DepthBins",
    "FlatGround",
    "GroundRays",
    "HeightBins",
    "Lift",
    "LiftPlan",
    "OffsetBins",
    "Placed",
    "RasterPlan",
    "RatioBins",
    "depth_loss",
    "depth_targets",
    "ground_rays",
    "lift",
    "make_bins",
    "place",
    "place_cameras",
    "place_raster",
    "plan_lift",
    "plan_raster",
    "stack",
]

BINS: dict[str, Any] = {
    "height": HeightBins,
    "ratio": RatioBins,
    "offset": OffsetBins,
    "depth": DepthBins,
    "flat": FlatGround,
}


def make_bins(kind: str, **options: Any) -> Bins:
    """Bins by the name they have in configurations: ``make_bins("height", ceiling=10, count=100)``.

    Raises:
        ValueError: no such kind, or an option it does not have.
    """
    if kind not in BINS:
        raise ValueError(f"no bins {kind!r}; there are {', '.join(BINS)}")
    try:
        bins: Bins = BINS[kind](**options)
    except TypeError as error:
        raise ValueError(f"bins {kind!r}: {error}") from None
    return bins
