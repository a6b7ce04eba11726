"""Features of an observation of any geometry on the map, with a mask of what was visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import GeoTransform
from skyweave.mapping.bins import Bins
from skyweave.mapping.ground_bins import FlatGround
from skyweave.mapping.plan import LiftPlan, plan_lift
from skyweave.mapping.pooling import pool_features, weighted_sum
from skyweave.mapping.rasters import MIN_VALID_SHARE, RasterPlan, Resampling, plan_raster

Normalisation = Literal["sum", "mean"]
MEAN_EPSILON = 1e-3  # added to a cell's weight for the mean, so that a tiny weight does not become a full feature


@dataclass(frozen=True, eq=False)
class BEVFeatures:
    """Features on the map.

    Attributes:
        features: (channels, rows, columns), or (maps, channels, rows, columns) from a batch, in channels-last memory;
            0 where nothing fell.
        visible: (rows, columns) or (maps, rows, columns) bool. Camera: some point over the cell's centre, from the
            ground up to the bins' reach, is on a valid pixel of the image. Raster: at least half of the cell's
            weight is valid pixels.
        weight: like ``visible``, float: the depth weight that fell in a cell; raster: its valid share.
        grid: the map; of a batch one for each map.
    """

    features: Tensor
    visible: Tensor
    weight: Tensor
    grid: MapGrid | tuple[MapGrid, ...]


def project_to_bev(
    features: Tensor,
    geometry: GeoTransform | CameraGeometry,
    grid: MapGrid,
    *,
    weights: Tensor | None = None,
    bins: Bins | None = None,
    ground: Ground | None = None,
    valid: Tensor | None = None,
    normalisation: Normalisation = "sum",
    resampling: Resampling | None = None,
    image_shape: tuple[int, int] | None = None,
) -> BEVFeatures:
    """Project the features of one observation onto the map.

    Args:
        features: (channels, rows, columns), over the whole image.
        geometry: of the image: orthorectified, or a camera and its pose.
        grid: the map.
        weights: camera: (bins, rows, columns) depth weights, a softmax over bins.
        bins: camera: what ``weights`` are over; default: the ground alone, which needs no weights.
        ground: camera: default a plane at height 0 of the world.
        valid: (rows, columns) bool: feature pixels that count; default: all.
        normalisation: camera: ``sum`` of weighted features as published, or their weighted ``mean``.
        resampling: raster: see `skyweave.mapping.rasters.plan_raster`.
        image_shape: raster: (rows, columns) the geotransform is for, where features are coarser than the image.

    Raises:
        ValueError: shapes that do not fit, bins without weights, or reference systems that cannot be reconciled.
    """
    _check_image(features)
    shape = (features.shape[1], features.shape[2])
    if isinstance(geometry, GeoTransform):
        if weights is not None or bins is not None:
            raise ValueError("an orthorectified raster has no depth; leave weights and bins out")
        geometry = scale_geotransform(geometry, image_shape or shape, shape)
        return resample_raster(features, plan_raster(geometry, shape, grid, resampling, features.device), valid)
    plan = plan_lift([geometry], grid, bins or FlatGround(), shape, ground, device=features.device)
    batch = lift_cameras(
        features[None],
        plan,
        weights=None if weights is None else weights[None],
        valid=None if valid is None else valid[None],
        normalisation=normalisation,
    )
    return BEVFeatures(batch.features[0], batch.visible[0], batch.weight[0], grid)


def _check_image(features: Tensor) -> None:
    """Check that features are those of one image."""
    if features.ndim != 3:
        raise ValueError(f"features have shape {tuple(features.shape)}; give (channels, rows, columns)")


def lift_cameras(
    features: Tensor,
    plan: LiftPlan,
    *,
    weights: Tensor | None = None,
    valid: Tensor | None = None,
    normalisation: Normalisation = "sum",
) -> BEVFeatures:
    """Lift the features of a batch of cameras to the map, differentiable in features and weights.

    Args:
        features: (cameras, channels, rows, columns).
        plan: of these cameras.
        weights: (cameras, bins, rows, columns) depth weights; may be left out where the plan has one bin.
        valid: (cameras, rows, columns) bool: feature pixels that count; default: all.
        normalisation: ``sum`` of weighted features as published, or their weighted ``mean``.

    Raises:
        ValueError: shapes that are not the plan's, or bins without weights.
    """
    lifted, weight = lift_features(features, plan, weights=weights, valid=valid, normalisation=normalisation)
    return BEVFeatures(lifted, plan.visible(valid), weight, plan.grids)


def lift_features(
    features: Tensor,
    plan: LiftPlan,
    *,
    weights: Tensor | None = None,
    valid: Tensor | None = None,
    normalisation: Normalisation = "sum",
) -> tuple[Tensor, Tensor]:
    """Lift features as `lift_cameras` does, without the mask of what is visible.

    Args:
        features: (cameras, channels, rows, columns).
        plan: of these cameras.
        weights: (cameras, bins, rows, columns) depth weights; may be left out where the plan has one bin.
        valid: (cameras, rows, columns) bool: feature pixels that count; default: all.
        normalisation: ``sum`` of weighted features as published, or their weighted ``mean``.

    Returns:
        (maps, channels, rows, columns) features and (maps, rows, columns) weight.

    Raises:
        ValueError: shapes that are not the plan's, or bins without weights.
    """
    cameras, channels = len(plan.cameras), features.shape[1] if features.ndim == 4 else -1
    _check_features(features, cameras, channels, plan)
    weights = _check_weights(weights, features, plan)
    weights, features = _mask_invalid(valid, cameras, plan, weights, features)
    pooled, weight = pool_features(_by_pixel(weights), _by_pixel(features), plan.pooling)
    lifted, weight = pooled.reshape(*plan.shape, channels).permute(0, 3, 1, 2), weight.reshape(plan.shape)
    if normalisation == "mean":
        return lifted / (weight[:, None] + MEAN_EPSILON), weight
    if normalisation != "sum":
        raise ValueError(f"normalisation {normalisation!r} must be 'sum' or 'mean'")
    return lifted, weight.detach()


def _mask_invalid(
    valid: Tensor | None, cameras: int, plan: LiftPlan, weights: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Let pixels that are not valid weigh nothing."""
    if valid is not None:
        _check_valid(valid, (cameras, *plan.feature_shape))
        keep = valid[:, None].to(weights.device, torch.bool)
        weights = torch.where(keep, weights, 0)
        features = torch.where(keep, features, 0)  # 0 times NaN is NaN
    return weights, features


def _check_features(features: Tensor, cameras: int, channels: int, plan: LiftPlan) -> None:
    """Check that features are those that the plan is for."""
    if features.shape != (cameras, channels, *plan.feature_shape):
        raise ValueError(
            f"features have shape {tuple(features.shape)}; the plan is for ({cameras}, channels, "
            f"{plan.feature_shape[0]}, {plan.feature_shape[1]})"
        )


def _check_weights(weights: Tensor | None, features: Tensor, plan: LiftPlan) -> Tensor:
    """The depth weights, ones for a single bin, with the shape that the plan needs."""
    if weights is None:
        if plan.bins.count > 1:
            raise ValueError(f"{plan.bins} need depth weights (cameras, {plan.bins.count}, rows, columns)")
        return features.new_ones(len(features), 1, *plan.feature_shape)
    if weights.shape != (len(features), plan.bins.count, *plan.feature_shape):
        raise ValueError(
            f"weights have shape {tuple(weights.shape)}; the plan is for ({len(features)}, {plan.bins.count}, "
            f"{plan.feature_shape[0]}, {plan.feature_shape[1]})"
        )
    return weights


def resample_raster(features: Tensor, plan: RasterPlan, valid: Tensor | None = None) -> BEVFeatures:
    """Resample the features of an orthorectified raster onto the map; pixels that are not valid take no part.

    Args:
        features: (channels, rows, columns).
        plan: of this raster.
        valid: (rows, columns) bool: pixels that count; default: all.

    Raises:
        ValueError: shapes that are not the plan's.
    """
    if features.ndim != 3 or features.shape[1:] != plan.shape:
        raise ValueError(
            f"features have shape {tuple(features.shape)}; the plan is for (channels, {plan.shape[0]}, {plan.shape[1]})"
        )
    if valid is not None:
        _check_valid(valid, plan.shape)
    mask = torch.ones_like(features[:1]) if valid is None else valid[None].to(features.device, features.dtype)
    flat = torch.cat([torch.where(mask > 0, features, 0), mask]).flatten(1).t()
    summed = weighted_sum(plan.values, flat, plan.pattern)
    weight = summed[:, -1].detach()
    resampled = torch.where(weight[:, None] > 0, summed[:, :-1] / weight.clamp(min=1e-6)[:, None], 0)
    rows, columns = plan.grid.shape
    weight = weight.reshape(rows, columns).clamp(max=1)
    visible = weight >= MIN_VALID_SHARE - 1e-6
    return BEVFeatures(resampled.reshape(rows, columns, -1).permute(2, 0, 1), visible, weight, plan.grid)


def stack_bev_features(maps: Sequence[BEVFeatures]) -> BEVFeatures:
    """Return the maps of several platforms as a batch (maps, channels, rows, columns).

    Args:
        maps: single maps of one shape, as `project_to_bev` returns.

    Raises:
        ValueError: batches, or maps of several shapes.
    """
    grids = tuple(features.grid for features in maps if isinstance(features.grid, MapGrid))
    _check_single_maps(grids, maps)
    features, visible, weight = (
        torch.stack([getattr(single, name) for single in maps]) for name in ("features", "visible", "weight")
    )
    return BEVFeatures(features, visible, weight, grids)


def _check_single_maps(grids: tuple[MapGrid, ...], maps: Sequence[BEVFeatures]) -> None:
    """Check that maps are single ones of one shape."""
    if len(grids) != len(maps) or len({grid.shape for grid in grids}) != 1:
        raise ValueError("stack_bev_features takes single maps of one shape, such as `project_to_bev` gives")


def scale_geotransform(geometry: GeoTransform, image_shape: tuple[int, int], shape: tuple[int, int]) -> GeoTransform:
    """Return the geotransform of a feature map over an image.

    Args:
        geometry: of the image.
        image_shape: rows and columns of the image.
        shape: rows and columns of the feature map.
    """
    a, b, c, d, e, f = geometry.affine
    x, y = image_shape[1] / shape[1], image_shape[0] / shape[0]
    return GeoTransform(geometry.crs, (a * x, b * y, c, d * x, e * y, f))


def _check_valid(valid: Tensor, shape: tuple[int, ...]) -> None:
    if valid.shape != shape:
        raise ValueError(f"valid has shape {tuple(valid.shape)}, the feature pixels have {shape}")


def _by_pixel(batch: Tensor) -> Tensor:
    """(n, c, rows, columns) to (n x rows x columns, c)."""
    return batch.permute(0, 2, 3, 1).reshape(-1, batch.shape[1])
