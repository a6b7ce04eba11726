import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose, look_at
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane

INTRINSICS = np.array([[400.0, 0, 224], [0, 410, 128], [0, 0, 1]])
LENS = (-0.12, 0.03, 0.001, -0.002, 0.004)


def published(camera: PinholeCamera, point: np.ndarray) -> np.ndarray:
    """OpenCV's formula, term by term."""
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = point[0] / point[2], point[1] / point[2]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    yd = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    k = camera.intrinsics
    return np.array([k[0, 0] * xd + k[0, 2], k[1, 1] * yd + k[1, 2]])


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=2), st.floats(10, 100))
def test_projection_is_the_published_formula(place: list[float], depth: float) -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, LENS)
    point = np.array([*place, depth])
    pixels, found = camera.project(point)
    assert pixels == pytest.approx(published(camera, point), abs=1e-9)
    assert found == depth


def test_pixels_to_rays_and_back() -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, LENS)
    pixels = camera.pixel_centres()
    assert pixels[0, 0].tolist() == [0.5, 0.5] and pixels.shape == (256, 448, 2)
    again, depth = camera.project(7.5 * camera.rays(pixels))
    assert again == pytest.approx(pixels, abs=1e-9 * 448)
    assert depth == pytest.approx(7.5)


def test_behind_the_camera_there_is_no_pixel() -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448)
    pixels, depth = camera.project(np.array([[0.0, 0, -5], [0, 0, 5]]))
    assert np.isnan(pixels[0]).all() and depth[0] == -5
    assert camera.inside(pixels).tolist() == [False, True]


def test_a_lens_that_folds_over_gives_no_ray() -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, (-0.5, 0, 0, 0, 0))
    assert np.isnan(camera.rays(np.array([5000.0, 128]))).any()


def test_resized_and_cropped_cameras_see_the_same() -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, LENS)
    point = np.array([1.0, -0.5, 8])
    u, v = camera.project(point)[0]
    assert camera.resized(128, 112).project(point)[0] == pytest.approx([u / 4, v / 2])
    assert camera.cropped(20, 30, 100, 100).project(point)[0] == pytest.approx([u - 30, v - 20])


def test_field_of_view() -> None:
    camera = PinholeCamera.from_field_of_view(np.pi / 2, 100, 200)
    assert camera.intrinsics[0, 0] == pytest.approx(100)
    assert camera.project(np.array([1.0, 0, 1]))[0] == pytest.approx([200, 50])


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(20, 120), st.floats(0.35, np.pi / 2), st.floats(-np.pi, np.pi))
def test_world_to_pixel_to_map_cell_and_back_on_a_plane(
    x: float, y: float, altitude: float, pitch: float, yaw: float
) -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, LENS)
    geometry = CameraGeometry(camera, camera_pose(np.array([x, y, altitude]), yaw, pitch))
    pixels = camera.pixel_centres(7, 9)
    rays = geometry.world_rays(pixels)
    depth = GroundPlane(1.5).depth(geometry.position, rays)
    seen = np.isfinite(depth) & (np.nan_to_num(depth) < 1000)
    points = geometry.position + depth[seen][:, None] * rays[seen]
    assert points[:, 2] == pytest.approx(1.5, abs=1e-9)
    grid = MapGrid.around(x, y, 4000, 0.5)
    again = grid.world_from_cells(grid.cells_from_world(points))
    assert np.abs(again - points[:, :2]).max(initial=0) < 1e-6
    assert geometry.project(np.column_stack([again, points[:, 2]]))[0] == pytest.approx(pixels[seen], abs=1e-6)


def test_world_to_pixel_to_map_cell_and_back_on_terrain() -> None:
    grid = MapGrid.around(0, 0, 400, 2.0)
    centres = grid.cell_centres()
    ground = ElevationModel(4 * np.sin(centres[..., 0] / 25) + 3 * np.cos(centres[..., 1] / 18), grid)
    geometry = CameraGeometry(PinholeCamera(INTRINSICS, 256, 448), look_at(np.array([-60.0, -40, 60]), np.zeros(3)))
    pixels = geometry.camera.pixel_centres(32, 56)
    rays = geometry.world_rays(pixels)
    depth = ground.depth(geometry.position, rays)
    seen = np.isfinite(depth)
    assert seen.mean() > 0.9
    points = geometry.position + depth[seen][:, None] * rays[seen]
    # what lies there, by the map alone, is seen in the same pixel
    flat = grid.world_from_cells(grid.cells_from_world(points))
    lifted = np.column_stack([flat, ground.height(flat)])
    assert np.abs(lifted - points).max() < 0.1 * grid.resolution
    assert np.abs(geometry.project(lifted)[0] - pixels[seen]).max() < 1e-3


def test_the_mirrored_world_is_seen_mirrored() -> None:
    camera = PinholeCamera(INTRINSICS, 256, 448, LENS)
    geometry = CameraGeometry(camera, camera_pose(np.array([3.0, -4, 30]), 0.4, 0.9, 0.1))
    points = np.array([[10.0, 5, 0], [14, -2, 1.5], [20, 9, 3]])
    pixels, depth = geometry.project(points)
    mirrored, same = geometry.flipped().project(points * (1, -1, 1))
    assert same == pytest.approx(depth)
    assert mirrored == pytest.approx(np.stack([camera.columns - pixels[:, 0], pixels[:, 1]], 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((np.eye(2), 10, 10), "3x3"),
        ((np.diag([-1.0, 1, 1]), 10, 10), "focal lengths > 0"),
        ((np.eye(3) * (1, 1, np.nan), 10, 10), "finite"),
        ((np.eye(3), 0, 10), "no pixels"),
        ((np.eye(3), 10, 10, (0.0, 0, 0, 0)), "five finite numbers"),
    ],
)
def test_impossible_cameras_are_named(fields: tuple[np.ndarray, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PinholeCamera(*fields)


def test_a_broken_pose_names_its_camera() -> None:
    with pytest.raises(ValueError, match="world_from_camera of UAV_2 holds NaN"):
        CameraGeometry(PinholeCamera(INTRINSICS, 256, 448), np.full((4, 4), np.nan), name="UAV_2")
