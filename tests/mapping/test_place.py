"""Cameras and rasters through one door; batches; the learned lift."""

import numpy as np
import pytest
import torch

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import GroundPlane
from skyweave.core.observation import GeoTransform
from skyweave.mapping import (
    Bins,
    FlatGround,
    HeightBins,
    Lift,
    RatioBins,
    depth_loss,
    depth_targets,
    ground_rays,
    lift_cameras,
    lift_features,
    plan_lift,
    plan_raster,
    project_to_bev,
    resample_raster,
    stack_bev_features,
)

SHAPE, BINS = (10, 16), HeightBins(8, 17)
PINHOLE = PinholeCamera.from_field_of_view(np.radians(70), 160, 256)
GRID = MapGrid.around(0, 0, 60, 1.0)


def camera(yaw: float = 0.0, pitch: float = 50, x: float = -20) -> CameraGeometry:
    return CameraGeometry(
        PINHOLE, camera_pose(np.array([x * np.cos(yaw), x * np.sin(yaw), 30.0]), yaw, np.radians(pitch))
    )


def inputs(cameras: int, channels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(cameras, BINS.count, *SHAPE, generator=generator).softmax(1)
    return weights, torch.randn(cameras, channels, *SHAPE, generator=generator)


def test_the_order_of_cameras_does_not_matter() -> None:
    cameras = [camera(yaw) for yaw in (0, 1.5, 3.0)]
    weights, features = inputs(3)
    order = [2, 0, 1]
    one = lift_cameras(features, plan_lift(cameras, GRID, BINS, SHAPE), weights=weights)
    plan = plan_lift([cameras[i] for i in order], GRID, BINS, SHAPE)
    two = lift_cameras(features[order], plan, weights=weights[order])
    torch.testing.assert_close(one.features, two.features)
    torch.testing.assert_close(one.weight, two.weight)
    assert torch.equal(one.visible, two.visible)


def test_several_cameras_are_the_sum_of_each() -> None:
    cameras = [camera(yaw) for yaw in (0, 1.5, 3.0)]
    weights, features = inputs(3)
    together = lift_cameras(features, plan_lift(cameras, GRID, BINS, SHAPE), weights=weights)
    each = [
        project_to_bev(f, c, GRID, weights=w, bins=BINS) for f, w, c in zip(features, weights, cameras, strict=True)
    ]
    torch.testing.assert_close(together.features[0], sum(p.features for p in each))
    assert torch.equal(together.visible[0], each[0].visible | each[1].visible | each[2].visible)
    batch = lift_cameras(features, plan_lift(cameras, [GRID] * 3, BINS, SHAPE, maps=[0, 1, 2]), weights=weights)
    for alone, of_batch in (("features", batch.features), ("visible", batch.visible), ("weight", batch.weight)):
        torch.testing.assert_close(of_batch, getattr(stack_bev_features(each), alone))


def test_the_mean_of_one_feature_is_that_feature() -> None:
    weights, _ = inputs(1)
    plan = plan_lift([camera()], GRID, BINS, SHAPE)
    features, weight = lift_features(torch.full((1, 2, *SHAPE), 3.0), plan, weights=weights, normalisation="mean")
    heavy = weight > 0.1
    assert heavy.any() and ((features.amin(1) > 2.95) & (features.amax(1) <= 3.0))[heavy].all()
    assert not features.permute(0, 2, 3, 1)[weight == 0].any()


@pytest.mark.parametrize("normalisation", ["sum", "mean"])
def test_gradients_through_placing(normalisation: str) -> None:
    plan = plan_lift([camera(), camera(2.0)], MapGrid.around(0, 0, 12, 2.0), RatioBins(0.2, 3), (3, 4))
    weights = torch.rand(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    features = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)

    def placed(w: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return lift_features(f, plan, weights=w, normalisation=normalisation)[0]  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(placed, (weights, features))


def test_invalid_pixels_place_nothing_not_even_nan() -> None:
    weights, features = inputs(1)
    valid = torch.ones(1, *SHAPE, dtype=torch.bool)
    valid[:, :, 8:] = False
    broken = torch.where(valid[:, None], features, torch.nan)
    plan = plan_lift([camera()], GRID, BINS, SHAPE)
    placed = lift_cameras(broken, plan, weights=weights, valid=valid)
    expected = lift_cameras(torch.where(valid[:, None], features, 0), plan, weights=weights)
    torch.testing.assert_close(placed.features, expected.features)
    assert placed.visible.sum() < expected.visible.sum() and placed.weight.sum() < expected.weight.sum()


def test_a_flat_scene_seen_by_an_aircraft_and_a_uav_is_one_map() -> None:
    """A checkerboard on the ground: the orthophoto and the oblique picture agree where both see."""
    squares = MapGrid.around(0, 0, 60, 0.25)
    x, y = np.moveaxis(squares.cell_centres(), -1, 0)
    photo = torch.as_tensor((np.floor(x / 10) + np.floor(y / 10)) % 2)[None]
    geometry = camera(0.3, 60)
    rays = ground_rays(geometry, GroundPlane(), (320, 512))
    points = (rays.position + rays.ground_depth[:, None] * rays.directions).numpy()
    picture = torch.as_tensor((np.floor(points[:, 0] / 10) + np.floor(points[:, 1] / 10)) % 2).reshape(1, 320, 512)
    above = project_to_bev(photo, GeoTransform(None, squares.affine), GRID)
    oblique = project_to_bev(picture, geometry, GRID, normalisation="mean")
    both = above.visible & oblique.visible & (oblique.weight > 3)
    assert both.double().mean() > 0.3
    assert ((above.features - oblique.features).abs()[0][both] < 0.02).double().mean() > 0.9


@pytest.mark.parametrize("bins", [BINS, RatioBins(0.25, 12), FlatGround()], ids=str)
def test_a_lift_learns_where_things_stand(bins: Bins) -> None:
    torch.manual_seed(0)
    model = Lift(6, 4, bins)
    plan = plan_lift([camera()], GRID, bins, SHAPE)
    placed, logits = model(torch.randn(1, 6, *SHAPE), plan)
    assert placed.features.shape == (1, 4, *GRID.shape) and logits.shape == (1, bins.count, *SHAPE)
    placed.features.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_depth_supervision_finds_the_height() -> None:
    rays = ground_rays(camera(), GroundPlane(), SHAPE)
    truth = (rays.ground_depth + 3.2 / rays.directions[:, 2]).reshape(1, *SHAPE)
    targets, mask = depth_targets(BINS.depths(rays).reshape(1, *SHAPE, -1), truth)
    logits = torch.zeros(1, BINS.count, *SHAPE, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.5)
    for _ in range(80):
        optimiser.zero_grad()
        loss = depth_loss(logits, targets, mask)
        loss.backward()
        optimiser.step()
    expected = (logits.softmax(1) * torch.as_tensor(BINS.heights()).reshape(1, -1, 1, 1)).sum(1)
    assert (expected - 3.2).abs().max() < 0.05
    assert depth_loss(logits, targets, torch.zeros_like(mask)) == 0


def test_half_precision_training() -> None:
    model, plan = Lift(6, 4, BINS), plan_lift([camera()], GRID, BINS, SHAPE)
    with torch.autocast("cpu", torch.bfloat16):
        placed, _ = model(torch.randn(1, 6, *SHAPE), plan)
    assert placed.features.dtype == torch.float32
    placed.features.sum().backward()


def test_what_does_not_fit_is_named() -> None:
    plan = plan_lift([camera()], GRID, BINS, SHAPE)
    weights, features = inputs(1)
    for message, call in {
        r"shape \(2, 5, 10, 16\); the plan is for \(1,": lambda: lift_features(inputs(2)[1], plan, weights=weights),
        r"features have shape \(5, 10, 16\)": lambda: lift_features(features[0], plan, weights=weights),
        r"need depth weights \(cameras, 17": lambda: lift_features(features, plan),
        r"weights have shape \(1, 16,": lambda: lift_features(features, plan, weights=weights[:, 1:]),
        "normalisation 'max'": lambda: lift_features(features, plan, weights=weights, normalisation="max"),  # type: ignore[arg-type]
        r"valid has shape \(10, 16\)": lambda: lift_features(features, plan, weights=weights, valid=torch.ones(SHAPE)),
        r"give \(channels, rows, columns\)": lambda: project_to_bev(features, camera(), GRID),
        "no depth": lambda: project_to_bev(features[0], GeoTransform(None, GRID.affine), GRID, bins=BINS),
        r"the plan is for \(channels, 4, 4\)": lambda: resample_raster(
            features[0], plan_raster(GeoTransform(None, GRID.affine), (4, 4), GRID)
        ),
        "this lift predicts": lambda: Lift(5, 2, RatioBins())(features, plan),
        "maps of one shape": lambda: stack_bev_features(
            [project_to_bev(features[0], camera(), g) for g in (GRID, GRID.subgrid(0, 0, 5, 5))]
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
