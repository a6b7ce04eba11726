from .bins import (
    BINS,
    Bins,
    DepthBins,
    FlatGround,
    GroundRays,
    HeightBins,
    OffsetBins,
    RatioBins,
    build_bins,
    depth_targets,
    ground_rays,
)
from .lift import Lift, depth_loss
from .placement import BEVFeatures, lift_cameras, lift_features, project_to_bev, resample_raster, stack_bev_features
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
    "build_bins",
    "depth_loss",
    "depth_targets",
    "ground_rays",
    "lift_cameras",
    "lift_features",
    "plan_lift",
    "plan_raster",
    "project_to_bev",
    "resample_raster",
    "stack_bev_features",
]
