from .bins import (
    BINS,
    Bins,
    DepthBins,
    FlatGround,
    GroundRays,
    HeightBins,
    OffsetBins,
    RatioBins,
    depth_targets,
    ground_rays,
    make_bins,
)
from .lift import Lift, depth_loss
from .placement import BEVFeatures, lift_features, place, place_cameras, place_raster, stack
from .plan import LiftPlan, plan_lift
from .rasters import RasterPlan, plan_raster

__all__ = [
    "BINS",
    "BEVFeatures",
    "Bins",
    "DepthBins",
    "FlatGround",
    "GroundRays",
    "HeightBins",
    "Lift",
    "LiftPlan",
    "OffsetBins",
    "RasterPlan",
    "RatioBins",
    "depth_loss",
    "depth_targets",
    "ground_rays",
    "lift_features",
    "make_bins",
    "place",
    "place_cameras",
    "place_raster",
    "plan_lift",
    "plan_raster",
    "stack",
]
