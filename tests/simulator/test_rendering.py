"""What is rendered is where geometry says it is."""

from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fabricated_world import HILLS, small_world, uav
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.recordings.recording import Capture, Frame
from skyweave.simulator.materials import MATERIALS
from skyweave.simulator.rasterise import count_unoccluded_pixels, rasterise_polygons
from skyweave.simulator.shapes import SHAPES
from skyweave.simulator.snapshot import WorldSnapshot
from skyweave.simulator.surface_classes import SURFACES
from skyweave.simulator.terrain import ground_inverse_depth
from skyweave.simulator.world import World


@cache
def world(hills: bool = False) -> World:
    return World(small_world(terrain=HILLS) if hills else small_world(), seed=3)


@cache
def frame(hills: bool = False) -> Frame:
    return world(hills).frame()


def truth(capture: Capture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert capture.load_depth and capture.load_instances and capture.load_classes
    return capture.load_depth(), capture.load_instances(), capture.load_classes()


@pytest.mark.parametrize("hills", [False, True], ids=["level", "hills"])
def test_depth_of_the_ground_is_that_of_rays(hills: bool) -> None:
    ground = world(hills).world_ground()
    for capture in frame(hills).captures.values():
        depth, _, classes = truth(capture)
        geometry = capture.true_geometry
        assert geometry is not None
        rows, columns = np.nonzero(np.isin(classes, [SURFACES.index(name) for name in ("road", "vegetation", "soil")]))
        rays = geometry.world_rays(np.stack([columns + 0.5, rows + 0.5], -1))
        expected = ground.depth(geometry.position, rays)
        known = np.isfinite(expected)
        assert known.mean() > 0.9 and len(rows) > 5000
        assert np.abs(depth[rows, columns] - expected)[known].max() < 1e-3


def test_depth_of_a_roof_is_that_of_its_box() -> None:
    whole = frame()
    assert whole.annotations is not None
    checked = 0
    for capture in whole.captures.values():
        depth, instances, _ = truth(capture)
        geometry = capture.true_geometry
        assert geometry is not None
        for index, category in enumerate(whole.annotations.categories):
            rows, columns = np.nonzero(instances == index)
            if category != "truck" or len(rows) < 30:
                continue
            rays = geometry.world_rays(np.stack([columns + 0.5, rows + 0.5], -1))
            points = geometry.position + depth[rows, columns, None] * rays
            box = whole.annotations.boxes.select(np.array([index]))
            top = box.centres[0, 2] + box.sizes[0, 2] / 2
            assert points[:, 2].max() == pytest.approx(top, abs=2e-3)
            offset = points - box.centres[0]
            c, s = np.cos(box.yaws[0]), np.sin(box.yaws[0])
            inside = np.abs(np.stack([c * offset[:, 0] + s * offset[:, 1], c * offset[:, 1] - s * offset[:, 0]], -1))
            assert (inside <= box.sizes[0, :2] / 2 + 5e-3).all(), "the truck leaves its box"
            checked += 1
    assert checked


def test_hulls_of_boxes_cover_the_pixels_of_their_instances() -> None:
    overlaps = []
    for index in range(2):
        own = World(small_world(platforms=[uav(count=4)]), seed=8, index=index)
        seen = own.frame()
        assert seen.annotations is not None
        corners = seen.annotations.boxes.corners()
        for channel, capture in seen.captures.items():
            _, instances, _ = truth(capture)
            geometry = capture.true_geometry
            assert geometry is not None
            share = seen.annotations.visibility[channel]
            for number, category in enumerate(seen.annotations.categories):
                if share[number] < 0.99 or category not in ("car", "truck", "bus"):
                    continue
                pixels, _ = geometry.project(corners[number])
                if not geometry.camera.inside(pixels).all():
                    continue
                shape = instances.shape
                hull = rasterise_polygons(convex_hull(pixels)[None], *shape)
                mask = np.zeros(shape, bool)
                mask[hull.row, hull.column] = True
                own_pixels = instances == number
                assert own_pixels[~grown(mask)].sum() == 0, "pixels outside the box"
                overlaps.append((mask & own_pixels).sum() / (mask | own_pixels).sum())
    assert len(overlaps) > 20
    assert np.median(overlaps) > 0.7


def test_visibility_is_the_share_of_the_pixels_that_are_seen_alone() -> None:
    low = uav(count=4, altitude=(20, 20), distance=(60, 60))
    own = World(small_world(platforms=[low]), 3)
    snapshot, whole = WorldSnapshot(own), own.frame()
    assert whole.annotations is not None
    partly = 0
    for channel, capture in whole.captures.items():
        _, instances, _ = truth(capture)
        share = whole.annotations.visibility[channel]
        assert ((share >= 0) & (share <= 1)).all()
        counts = np.bincount(instances[instances >= 0], minlength=len(share))
        assert ((counts > 0) == (share > 0)).all()
        partly += int(((share > 0) & (share < 0.9)).sum())
        geometry = capture.true_geometry
        assert geometry is not None
        pixels, depth = geometry.project(whole.annotations.boxes.centres)
        margin = 60
        size = np.array([geometry.camera.columns, geometry.camera.rows])
        away = (depth < 0) | ((pixels < -margin) | (pixels > size + margin)).any(-1)
        assert away.any() and (share[away] == 0).all(), "seen, though out of the picture"
    assert partly, "buildings and trees hide nobody"
    assert snapshot.count == len(whole.annotations.boxes)


def test_a_polygon_covers_the_pixels_whose_centres_it_holds() -> None:
    square = np.array([[[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]]])
    pixels = rasterise_polygons(square, 6, 6)
    found = sorted(zip(pixels.row.tolist(), pixels.column.tolist(), strict=True))
    assert found == [(r, c) for r in (1, 2) for c in (1, 2, 3)]
    assert len(rasterise_polygons(square + 100, 6, 6).row) == 0
    assert len(rasterise_polygons(square * 0, 6, 6).row) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_neighbours_share_no_pixel_and_leave_none_out(seed: int) -> None:
    """A quadrilateral cut into two triangles covers what it covered whole."""
    generator = np.random.default_rng(seed)
    quad = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]) * 20 + generator.uniform(-6, 6, (4, 2)) + 8
    if not convex(quad):
        return
    halves = np.stack([quad[[0, 1, 2, 2]], quad[[0, 2, 3, 3]]])
    whole, parts = rasterise_polygons(quad[None], 40, 40), rasterise_polygons(halves, 40, 40)
    cells = sorted((whole.row * 40 + whole.column).tolist())
    assert sorted((parts.row * 40 + parts.column).tolist()) == cells
    unoccluded = count_unoccluded_pixels(parts, halves, np.array([0, 0]), 1, 40, 40)
    assert unoccluded.tolist() == [len(cells)]


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-300, 300),
    st.floats(-300, 300),
    st.floats(-5, 400),
    st.floats(-np.pi, np.pi),
    st.floats(-np.pi / 2, np.pi / 2),
    st.floats(-np.pi, np.pi),
    st.booleans(),
)
@example(0.0, 0.0, 2.225073858507203e-309, 0.0, 0.0, 1.0, False)  # on the ground, but for rounding
@example(0.0, 0.0, 188.0, 0.0, -0.5707963267948966, 0.91, False)  # a ray meets the ground at infinity
def test_any_pose_can_be_rendered(
    x: float, y: float, z: float, yaw: float, pitch: float, roll: float, hills: bool
) -> None:
    """In the sky, in the ground, inside a building, upside down."""
    own = world(hills)
    geometry = CameraGeometry(
        PinholeCamera.from_field_of_view(1.2, 24, 40), camera_pose(np.array([x, y, z]), yaw, pitch, roll)
    )
    snapshot = WorldSnapshot(own)
    view = snapshot.render(geometry)
    assert np.isfinite(view.inverse_depth).all() and (view.inverse_depth >= 0).all()
    assert (view.visible <= view.unoccluded).all()
    assert snapshot.classes(view, geometry).max() < len(SURFACES)
    mount = own.platforms[0].mounts[0]
    sensor = next(iter(own.sensors.values()))
    small = PinholeCamera.from_field_of_view(1.2, 24, 40)
    pixels, distance = own._render(
        snapshot, view, CameraGeometry(small, geometry.world_from_camera), mount_of(mount, small), sensor, 0
    )
    assert np.isfinite(pixels).all() and distance > 0


def test_a_camera_that_looks_up_sees_sky() -> None:
    own = world()
    geometry = CameraGeometry(
        PinholeCamera.from_field_of_view(1.0, 16, 16), camera_pose(np.array([0.0, 0.0, 60.0]), 0.3, -1.2)
    )
    snapshot = WorldSnapshot(own)
    view = snapshot.render(geometry)
    assert (view.inverse_depth == 0).all()
    assert (snapshot.classes(view, geometry) == SURFACES.index("sky")).all()


def test_hills_hide_what_lies_behind_them() -> None:
    own = world(hills=True)
    geometry = CameraGeometry(
        PinholeCamera.from_field_of_view(1.2, 60, 80), camera_pose(np.array([-80.0, 0.0, 14.0]), 0.0, 0.05)
    )
    inverse = ground_inverse_depth(own.ground, geometry)
    rows, columns = np.nonzero(inverse > 0)
    rays = geometry.world_rays(np.stack([columns + 0.5, rows + 0.5], -1))
    expected = own.ground.depth(geometry.position, rays)
    known = np.isfinite(expected)
    assert known.sum() > 300
    assert np.abs(1 / inverse[rows, columns] - expected)[known].max() < 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_fill_their_box_and_have_materials(name: str) -> None:
    shape = SHAPES[name]
    corners = np.array(shape.corners)
    assert corners[..., 2].min() >= 0 and np.abs(corners[..., :2]).max() <= 0.5 + 1e-9
    assert 0.8 <= corners[..., 2].max() <= 1.13
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    assert (np.linalg.norm(normals, axis=1) > 1e-9).all(), "a face without area"
    assert set(shape.materials) <= {*MATERIALS, "paint", "clothing"}


def mount_of(mount: object, camera: PinholeCamera) -> object:
    from dataclasses import replace

    return replace(mount, camera=camera)  # type: ignore[type-var]


def convex(quad: np.ndarray) -> bool:
    edges = np.roll(quad, -1, 0) - quad
    following = np.roll(edges, -1, 0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    return bool((turns > 1e-6).all())


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Andrew's monotone chain."""
    order = sorted(map(tuple, points.tolist()))
    halves = []
    for run in (order, order[::-1]):
        chain: list[tuple[float, float]] = []
        for p in run:
            while len(chain) > 1 and cross(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        halves += chain[:-1]
    return np.array(halves)


def cross(o: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def grown(mask: np.ndarray) -> np.ndarray:
    """The mask and its neighbours."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    return np.any([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], axis=0)
