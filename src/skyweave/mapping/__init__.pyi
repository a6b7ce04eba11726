from .bins import BINS, Bins, build_bins
from .depth_bins import DepthBins
from .depth_supervision import depth_loss, depth_targets
from .fusion import FUSIONS, Fusion, build_fusion
from .ground_bins import FlatGround, HeightBins, OffsetBins, RatioBins
from .lift import Lift
from .placement import BEVFeatures, lift_cameras, lift_features, project_to_bev, resample_raster, stack_bev_features
from .plan import LiftPlan, plan_lift
from .rasters import RasterPlan, plan_raster, raster_window, sample_nearest
from .rays import GroundRays, ground_rays

__all__ = [
    "BINS",
    "FUSIONS",
    "BEVFeatures",
    "Bins",
    "DepthBins",
    "FlatGround",
    "Fusion",
    "GroundRays",
    "HeightBins",
    "Lift",
    "LiftPlan",
    "OffsetBins",
    "RasterPlan",
    "RatioBins",
    "build_bins",
    "build_fusion",
    "depth_loss",
    "depth_targets",
    "ground_rays",
    "lift_cameras",
    "lift_features",
    "plan_lift",
    "plan_raster",
    "project_to_bev",
    "raster_window",
    "resample_raster",
    "sample_nearest",
    "stack_bev_features",
]
