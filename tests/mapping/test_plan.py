"""Which cell every node falls in, which cells are seen, and when a plan is made anew."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.core.geometry.camera import NEAR_PLANE_M, CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane
from skyweave.mapping import Bins, DepthBins, FlatGround, HeightBins, OffsetBins, RatioBins, ground_rays, plan_lift
from skyweave.mapping.plan import PLANS, PlanCache, cell_index

SHAPE = (7, 12)
PINHOLE = PinholeCamera.from_field_of_view(np.radians(65), 224, 384)
GRID = MapGrid.around(10, -5, 80, 0.5)


def camera(
    x: float = 0, z: float = 50, yaw: float = 0.4, pitch: float = 55, crs: str | None = None, name: str = "camera"
) -> CameraGeometry:
    return CameraGeometry(PINHOLE, camera_pose(np.array([x, 3.0, z]), yaw, np.radians(pitch)), crs, name)


@settings(max_examples=30, deadline=None)
@given(
    x=st.floats(-40, 40),
    altitude=st.floats(5, 120),
    yaw=st.floats(-4, 4),
    pitch=st.floats(-10, 90),
    kind=st.sampled_from([HeightBins(15, 20), RatioBins(0.5, 12), OffsetBins(), DepthBins(2, 90, 3), FlatGround()]),
)
def test_nodes_fall_in_the_cells_of_their_world_points(
    x: float, altitude: float, yaw: float, pitch: float, kind: Bins
) -> None:
    geometry = camera(x, altitude, yaw, pitch)
    rays = ground_rays(geometry, GroundPlane(), SHAPE)
    depths = kind.depths(rays)
    depths = torch.where(depths < NEAR_PLANE_M, torch.nan, depths)  # as close to the camera as that nothing is placed
    points = (rays.position + depths[..., None] * rays.directions[:, None]).numpy()
    found, expected = cell_index(geometry, GRID, GroundPlane(), kind, SHAPE).numpy(), GRID.index(points)
    cells = GRID.cells_from_world(points)
    with np.errstate(invalid="ignore"):
        on_an_edge = (np.abs(cells - np.round(cells)) < 1e-9).any(-1)
    assert (found == expected)[~on_an_edge].all()


def test_cells_are_right_to_a_micrometre_far_from_the_origin() -> None:
    """UTM northings are millions of metres: single precision would be off by cells."""
    crs, here = "EPSG:32733", np.array([500_123.4, 5_812_345.6, 0.0])
    grid = MapGrid.around(here[0], here[1], 100, 0.5, crs)
    far = CameraGeometry(PINHOLE, camera_pose(here + np.array([0, 0, 50]), 0.4, 1.0), crs)
    rays = ground_rays(far, GroundPlane(), (28, 48))
    points = (rays.position + rays.ground_depth[:, None] * rays.directions).numpy()
    inside = grid.index(points) >= 0
    row, column = (grid.cells_from_world(points)[inside] % 1).T
    assert inside.sum() > 500
    found = cell_index(far, grid, GroundPlane(), FlatGround(), (28, 48))[:, 0].numpy()
    edge = 1e-6 / grid.resolution
    clear = (np.minimum(row, 1 - row) > edge) & (np.minimum(column, 1 - column) > edge)
    assert clear.mean() > 0.99
    assert (found[inside] == grid.index(points)[inside])[clear].all()


def test_a_camera_that_sees_only_sky_places_nothing() -> None:
    plan = plan_lift([camera(pitch=-60)], GRID, HeightBins(), SHAPE)
    assert len(plan.pooling.kept) == 0 and not plan.visible().any()


def test_a_camera_below_the_ground_sees_nothing() -> None:
    plan = plan_lift([camera(z=-3)], GRID, HeightBins(), SHAPE)
    assert len(plan.pooling.kept) == 0 and not plan.visible().any()


def test_beyond_the_terrain_nothing_is_placed_or_seen() -> None:
    terrain = ElevationModel(np.zeros((20, 20)), MapGrid.around(20, -5, 40, 2.0))
    plan = plan_lift([camera()], GRID, FlatGround(), (56, 96), terrain)
    reached = torch.zeros(GRID.rows * GRID.columns, dtype=torch.bool)
    reached[plan.pooling.pattern.cell.long()] = True
    known = torch.as_tensor(np.isfinite(terrain.height(GRID.cell_centres())))
    assert reached.any() and not (reached.reshape(GRID.shape) & ~known).sum() > 80  # cells cut by the terrain's edge
    assert plan.visible().any() and not (plan.visible()[0] & ~known).any()


@pytest.mark.parametrize("pitch", [30, 60, 90])
@pytest.mark.parametrize("distorted", [False, True])
def test_every_cell_that_a_ray_reaches_is_visible_and_footprints_have_no_holes(pitch: float, distorted: bool) -> None:
    geometry = camera(pitch=pitch)
    if distorted:
        geometry = replace(geometry, camera=replace(PINHOLE, distortion=(-0.2, 0.05, 1e-3, -1e-3, 0)))
    plan = plan_lift([geometry], GRID, HeightBins(10, 40), (112, 192))
    visible = plan.visible()[0]
    reached = torch.zeros_like(visible).reshape(-1)
    reached[plan.pooling.pattern.cell.long()] = True
    reached = reached.reshape(visible.shape)
    assert 0.02 < visible.float().mean() < 1
    # reached, and not seen: only along the rim, where a ray enters a cell but not the column over its centre
    inner = torch.nn.functional.max_pool2d((~visible)[None].float(), 3, 1, 1)[0] == 0
    outer = torch.nn.functional.max_pool2d(visible[None].float(), 3, 1, 1)[0] > 0
    assert (reached & ~outer).sum() <= 5  # a corner of the picture cuts a column between the heights looked at
    assert (reached & inner).sum() > 0.95 * inner.sum()  # fine features reach nearly every cell in view
    expected = [
        geometry.camera.inside(geometry.project(np.append(centre, height))[0])
        for centre, height in zip(GRID.cell_centres()[::23, ::17].reshape(-1, 2), np.zeros(999), strict=False)
    ]
    ground_only = plan_lift([geometry], GRID, FlatGround(), (112, 192)).visible()[0][::23, ::17].reshape(-1)
    assert (ground_only.numpy() == np.array(expected)).all()


def test_pixels_that_do_not_count_are_not_seen_with() -> None:
    plan = plan_lift([camera(pitch=90)], GRID, FlatGround(), SHAPE)
    valid = torch.zeros(1, *SHAPE, dtype=torch.bool)
    assert not plan.visible(valid).any()
    valid[..., : SHAPE[1] // 2] = True
    half = plan.visible(valid)
    assert 0.3 < half.sum() / plan.visible().sum() < 0.7 and not (half & ~plan.visible()).any()


def test_each_camera_goes_to_its_own_map() -> None:
    cameras = [camera(), camera(x=10), camera(yaw=2.0)]
    grids = [GRID, GRID.subgrid(20, -10, *GRID.shape)]
    plan = plan_lift(cameras, grids, RatioBins(count=8), SHAPE, maps=[1, 0, 1])
    alone = [
        cell_index(c, grids[m], GroundPlane(), RatioBins(count=8), SHAPE)
        for c, m in zip(cameras, (1, 0, 1), strict=True)
    ]
    cells = GRID.rows * GRID.columns
    expected = torch.cat([torch.where(i >= 0, i + m * cells, -1) for i, m in zip(alone, (1, 0, 1), strict=True)])
    got = torch.zeros(2 * cells, dtype=torch.bool)
    got[plan.pooling.pattern.cell.long()] = True
    wanted = torch.zeros_like(got)
    wanted[expected[expected >= 0].long()] = True
    assert torch.equal(got, wanted)
    assert plan.shape == (2, *GRID.shape) and plan.visible().shape == plan.shape


def test_a_plan_is_kept_for_its_geometry_only() -> None:
    PLANS.clear()
    make = lambda *cameras, **more: plan_lift(list(cameras), GRID, HeightBins(5, 4), SHAPE, **more)  # noqa: E731
    first = make(camera())
    assert make(camera(name="another")) is first  # a name is no geometry
    assert make(camera(x=1e-9)) is not first
    assert make(camera(), grounds=GroundPlane(1e-9)) is not first
    assert make(replace(camera(), camera=PINHOLE.resized(112, 192))) is not first
    assert make(camera(), cache=False) is not first
    level = np.zeros((40, 40))
    terrain = ElevationModel(level, MapGrid.around(0, 0, 400, 10.0))
    again = ElevationModel(level, MapGrid.around(0, 0, 400, 10.0))
    assert make(camera(), grounds=terrain) is make(camera(), grounds=terrain)
    assert make(camera(), grounds=terrain) is not make(camera(), grounds=again)


def test_the_least_used_plan_is_forgotten_first() -> None:
    cache = PlanCache(2, 100)
    plan = lambda nbytes: lambda: SimpleNamespace(nbytes=nbytes)  # noqa: E731
    a, b = cache.get("a", plan(1)), cache.get("b", plan(1))
    assert cache.get("a", plan(1)) is a
    cache.get("c", plan(1))
    assert cache.get("a", plan(1)) is a and cache.get("b", plan(1)) is not b
    large = cache.get("d", plan(1000))
    assert list(cache.plans) == ["d"] and cache.get("d", plan(1)) is large


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cameras": []}, "no cameras"),
        ({"grids": [GRID, GRID.subgrid(0, 0, 3, 3)]}, "one shape"),
        ({"maps": [0, 1]}, "1 cameras, 1 grounds and 2 map indices"),
        ({"maps": [1]}, "must be 0 to 0"),
        (
            {"cameras": [camera(crs="EPSG:32633", name="UAV_7")]},
            "camera UAV_7 is in EPSG:32633, the grid in a local frame",
        ),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_lift(**{"cameras": [camera()], "grids": GRID, "bins": FlatGround(), "feature_shape": SHAPE} | arguments)  # type: ignore[arg-type]


def test_one_reference_system_may_be_spelled_in_two_ways() -> None:
    from pyproj import CRS

    grid = replace(GRID, crs=CRS.from_epsg(32633).to_wkt())
    assert plan_lift([camera(crs="EPSG:32633")], grid, FlatGround(), SHAPE).pooling.kept.numel()
