"""Parametrisations of depth: their formulas, their guards, and what a network is taught."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane
from skyweave.mapping import (
    BINS,
    Bins,
    DepthBins,
    FlatGround,
    HeightBins,
    OffsetBins,
    RatioBins,
    build_bins,
    depth_targets,
    ground_rays,
)

SHAPE = (6, 9)


def camera(altitude: float = 50.0, pitch: float = 45.0, field: float = 60.0) -> CameraGeometry:
    pinhole = PinholeCamera.from_field_of_view(np.radians(field), 120, 180)
    return CameraGeometry(pinhole, camera_pose(np.array([3.0, -7.0, altitude]), 0.3, np.radians(pitch)))


def heights(rays: object, depths: torch.Tensor) -> torch.Tensor:
    return rays.position[2] + depths * rays.directions[:, 2:]  # type: ignore[attr-defined]


@pytest.mark.parametrize("altitude", [20, 50, 120])
@pytest.mark.parametrize("pitch", [35, 60, 90])
def test_height_bins_are_metres_above_the_ground_whatever_the_camera(altitude: float, pitch: float) -> None:
    bins = HeightBins(15, 31)
    rays = ground_rays(camera(altitude, pitch), GroundPlane(2.0), SHAPE)
    found = heights(rays, bins.depths(rays)) - 2.0
    torch.testing.assert_close(found, torch.as_tensor(bins.heights()).expand_as(found), rtol=0, atol=1e-9)


def test_ratio_bins_are_those_of_the_released_code() -> None:
    rays = ground_rays(camera(50), GroundPlane(), SHAPE)
    h = torch.arange(0, 10, 0.1, dtype=torch.float64)
    published = rays.ground_depth[:, None] * (1 - h / 50)
    torch.testing.assert_close(RatioBins(0.198, 100).depths(rays), published, rtol=0, atol=1e-9)
    assert RatioBins(0.198, 100).reach(50) == pytest.approx(9.9)


def test_offset_bins_are_the_last_eleven_metres_before_the_ground() -> None:
    rays = ground_rays(camera(), GroundPlane(), SHAPE)
    offsets = rays.ground_depth[:, None] - OffsetBins().depths(rays)
    torch.testing.assert_close(offsets, torch.arange(11.0, dtype=torch.float64).expand_as(offsets))


def test_depth_bins_are_those_of_lift_splat() -> None:
    bins = DepthBins(4, 45, 1)
    assert bins.count == 41
    rays = ground_rays(camera(), GroundPlane(), SHAPE)
    torch.testing.assert_close(bins.depths(rays)[5], torch.arange(4, 45, 1, dtype=torch.float64))
    assert DepthBins(0.1, 1.0, 0.3).count == len(np.arange(0.1, 1.0, 0.3))


def test_an_exponent_makes_bins_denser_near_the_ground() -> None:
    spacing = np.diff(HeightBins(8, 9, exponent=3).heights())
    assert (np.diff(spacing) > 0).all()
    assert HeightBins(8, 9, exponent=3).heights()[[0, 4, 8]] == pytest.approx([0, 1, 8])


@pytest.mark.parametrize("bins", [HeightBins(10, 5), RatioBins(), OffsetBins(), FlatGround()], ids=str)
def test_above_the_horizon_there_are_no_nodes(bins: Bins) -> None:
    rays = ground_rays(camera(pitch=0.0), GroundPlane(), SHAPE)
    above = rays.directions[:, 2] >= 0
    assert above.any() and not above.all()
    depths = bins.depths(rays)
    assert torch.isnan(depths[above]).all()
    assert torch.isfinite(depths[~above][:, 0]).all()
    assert not torch.isnan(DepthBins().depths(rays)).any()  # needs no ground


@pytest.mark.parametrize("bins", [HeightBins(30, 4), OffsetBins(40, 5)], ids=str)
def test_nodes_behind_a_low_camera_are_none(bins: Bins) -> None:
    depths = bins.depths(ground_rays(camera(12, 90), GroundPlane(), SHAPE))
    assert torch.isfinite(depths[:, 0]).all() and torch.isnan(depths[:, -1]).all()
    assert (depths[torch.isfinite(depths)] > 0).all()


def hills(amplitude: float = 4.0) -> ElevationModel:
    grid = MapGrid.around(0, 0, 600, 2.0)
    x, y = np.moveaxis(grid.cell_centres(), -1, 0)
    return ElevationModel(amplitude * np.sin(x / 40) * np.cos(y / 55) + 0.02 * x, grid)


def test_over_relief_heights_are_those_over_the_terrain_below_within_a_tenth_of_a_cell() -> None:
    terrain, bins = hills(), HeightBins(15, 31)
    rays = ground_rays(camera(60, 40), terrain, SHAPE)
    depths = bins.depths(rays)
    ok = torch.isfinite(rays.ground_depth)
    assert ok.all()
    points = rays.position + depths[..., None] * rays.directions[:, None]
    over = points[..., 2] - torch.as_tensor(terrain.height(points.numpy()))
    error = (over - torch.as_tensor(bins.heights())).abs()
    sideways = error * (rays.directions[:, :2].norm(dim=1) / -rays.directions[:, 2])[:, None]
    assert sideways.max() < 0.05  # a tenth of a cell of half a metre
    level = HeightBins(15, 31, follow_terrain=False).depths(rays)
    torch.testing.assert_close(level[:, 0], depths[:, 0], atol=1e-6, rtol=0)
    assert (level - depths).abs().max() > 0.5  # what following the terrain is for


def test_on_a_level_elevation_model_the_bins_are_those_of_the_plane() -> None:
    level = ElevationModel(np.full((300, 300), 1.5), MapGrid.around(0, 0, 600, 2.0))
    over, plane = (HeightBins(10, 21).depths(ground_rays(camera(), g, SHAPE)) for g in (level, GroundPlane(1.5)))
    torch.testing.assert_close(over, plane, atol=1e-5, rtol=0)


def test_off_the_terrain_there_are_no_nodes() -> None:
    small = ElevationModel(np.zeros((20, 20)), MapGrid.around(40, 0, 40, 2.0))
    rays = ground_rays(camera(), small, (30, 45))
    missing = torch.isnan(rays.ground_depth)
    assert missing.any() and not missing.all()
    assert torch.isnan(HeightBins(10, 11).depths(rays)[missing]).all()


def test_terrain_of_another_kind_is_named() -> None:
    class Sea:
        def height(self, points: np.ndarray) -> np.ndarray:
            return GroundPlane().height(points)

        def depth(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
            return GroundPlane().depth(position, rays)

    with pytest.raises(TypeError, match=r"Sea.*follow_terrain=False"):
        HeightBins().depths(ground_rays(camera(), Sea(), SHAPE))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("height", {"ceiling": 0}, "ceiling > 0, got 0"),
        ("height", {"count": 1}, "at least 2 bins, got 1"),
        ("height", {"exponent": float("nan")}, "exponent > 0"),
        ("ratio", {"span": 1.0}, "below 1"),
        ("offset", {"span": -1}, "span > 0"),
        ("depth", {"start": 0}, "0 < start < stop"),
        ("cubes", {}, "no bins 'cubes'; there are height, ratio, offset, depth, flat"),
        ("ratio", {"ceiling": 3}, "ceiling"),
    ],
)
def test_options_that_make_no_sense_are_named(kind: str, options: dict[str, float], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        build_bins(kind, **options)


def test_bins_have_names() -> None:
    assert {name: build_bins(name) for name in BINS} == {name: BINS[name]() for name in BINS}


@pytest.mark.parametrize(
    "bins", [HeightBins(12, 25, 1.5), RatioBins(0.4, 30), OffsetBins(), DepthBins(20, 200)], ids=str
)
@given(place=st.floats(0, 1))
def test_soft_targets_have_exactly_the_true_depth_in_the_mean(bins: Bins, place: float) -> None:
    depths = bins.depths(ground_rays(camera(60, 50), GroundPlane(), SHAPE))
    truth = depths[:, 0] + place * (depths[:, -1] - depths[:, 0])
    soft, mask = depth_targets(depths, truth)
    assert mask.all()
    torch.testing.assert_close((soft * depths).sum(1), truth, rtol=1e-12, atol=1e-9)
    assert ((soft > 0).sum(1) <= 2).all() and soft.sum(1) == pytest.approx(1)
    hard, _ = depth_targets(depths, truth, soft=False)
    nearest = (depths - truth[:, None]).abs().amin(1)
    torch.testing.assert_close((hard * depths).sum(1).sub(truth).abs(), nearest, rtol=0, atol=1e-9)


def test_targets_are_masked_where_nothing_is_known() -> None:
    rays = ground_rays(camera(12, 90), GroundPlane(), (1, 6))
    depths = HeightBins(15, 16).depths(rays)  # the camera is 12 m up: nodes from 12 m on are none
    fall = -rays.directions[:, 2]
    truth = rays.ground_depth - torch.tensor([5.0, -0.4, -0.6, 11.4, 11.9, 0.0]) / fall
    truth[5] = torch.inf
    targets, mask = depth_targets(depths.reshape(2, 3, 16), truth.reshape(2, 3))
    assert mask.reshape(-1).tolist() == [True, True, False, True, False, False]
    assert targets.reshape(6, 16).argmax(1)[[0, 1, 3]].tolist() == [5, 0, 11]
    assert targets.reshape(6, 16)[~mask.reshape(-1)].sum() == 0
    nan = depth_targets(depths, torch.full((6,), torch.nan))
    assert not nan[1].any() and not nan[0].any()


def test_the_ground_alone_is_its_own_target() -> None:
    rays = ground_rays(camera(pitch=0), GroundPlane(), SHAPE)
    targets, mask = depth_targets(FlatGround().depths(rays), torch.full((54,), 20.0))
    assert (mask == torch.isfinite(rays.ground_depth)).all() and (targets[:, 0] == mask).all()
