"""Poses, correlation and adjustment, each against what is known."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricated_flight import EAST, NORTH, ZONE, Drawn, geometry_of, lawnmower, out_of_shape
from skyweave.core.geometry.ground import GroundPlane
from skyweave.orthomosaic.bundle_adjustment import adjust_poses
from skyweave.orthomosaic.correlation import correlate, flatten, match_patches
from skyweave.orthomosaic.map_zone import find_map_zone
from skyweave.orthomosaic.photo import Photo, attitude_from_rotation, world_from_camera
from skyweave.orthomosaic.poses import read_poses
from skyweave.orthomosaic.tie_points import TiePoints
from skyweave.telemetry.image_metadata.attitude import Attitude

GROUND = GroundPlane(100.0)
HERE = np.array([EAST, NORTH, 130.0])


@pytest.mark.parametrize(("yaw", "east", "north"), [(0, 0, 1), (90, 1, 0), (180, 0, -1), (-90, -1, 0)])
def test_the_top_of_a_picture_points_where_the_compass_says(yaw: float, east: float, north: float) -> None:
    for attitude in (Attitude(yaw, -90, 0), Attitude(yaw, 0, 0, "body")):
        pose = world_from_camera(HERE, attitude, 0.0)
        np.testing.assert_allclose(-pose[:3, 1], (east, north, 0), atol=1e-12)  # up in the picture
        np.testing.assert_allclose(pose[:3, 2], (0, 0, -1), atol=1e-12)


def test_both_conventions_of_pitch_look_ahead() -> None:
    level = world_from_camera(HERE, Attitude(90, -30, 0), 0.0)
    np.testing.assert_allclose(level[:3, 2], (np.cos(np.pi / 6), 0, -0.5), atol=1e-12)
    np.testing.assert_allclose(world_from_camera(HERE, Attitude(90, 60, 0, "body"), 0.0), level, atol=1e-12)


def test_convergence_turns_the_compass_to_the_grid() -> None:
    (place,) = ZONE.degrees(HERE[None, :2])
    convergence = ZONE.convergence(*place)
    ahead = ZONE.project([(place[0], place[1] + 0.001)])[0] - HERE[:2]  # true north
    up = -world_from_camera(HERE, Attitude(0, -90, 0), convergence)[:2, 1]
    np.testing.assert_allclose(up, ahead / np.hypot(*ahead), atol=1e-5)


@given(st.floats(0, 359), st.floats(-80, 80), st.floats(-170, 170), st.floats(-3, 3))
def test_attitudes_come_back(yaw: float, pitch: float, roll: float, convergence: float) -> None:
    pose = world_from_camera(HERE, Attitude(yaw, pitch, roll, "body"), convergence)
    found = attitude_from_rotation(pose[:3, :3], convergence)
    np.testing.assert_allclose(world_from_camera(HERE, found, convergence), pose, atol=1e-9)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_camera_on_its_side_is_placed_by_the_picture_as_viewed(orientation: int) -> None:
    """EXIF 6 shows the stored picture turned clockwise: the stored top is the right of what is seen."""
    stored_top = {3: 180, 6: 90, 8: 270}[orientation]
    pose = world_from_camera(HERE, Attitude(0, -90, 0), 0.0, orientation)
    east, north = -pose[:2, 1]
    assert np.degrees(np.arctan2(east, north)) % 360 == pytest.approx(stored_top)
    says = world_from_camera(HERE, Attitude(0, -90, (stored_top + 180) % 360 - 180), 0.0, orientation)
    np.testing.assert_allclose(says, pose, atol=1e-12)  # the roll tells already: no second turn


@given(st.floats(-179, 179), st.floats(-100, 100), st.floats(-100, 100))
def test_pixels_and_ground_points_are_inverse(rotation: float, u: float, v: float) -> None:
    photo = Photo("a", "a", geometry_of(lawnmower()[0])).rotated(rotation)
    pixels = np.array([[160 + u, 120 + v]])
    points = photo.ground_points(pixels, GROUND)
    np.testing.assert_allclose(photo.pixels(points), pixels, atol=1e-6)
    assert photo.ground_sample_distance(GROUND) == pytest.approx(30 / 275)


def test_what_is_behind_or_too_flat_has_no_pixel() -> None:
    photo = Photo("a", "a", geometry_of(lawnmower()[0]))
    points = photo.position + np.array([[0, 0, -30], [0, 0, 30], [500, 0, -30], [np.nan, 0, 0]])
    assert np.isfinite(photo.pixels(points)[:, 0]).tolist() == [True, False, False, False]


def test_zones() -> None:
    assert find_map_zone(np.array([[-91.99, 46.84]])).crs == "EPSG:32615"
    assert find_map_zone(np.array([[18.4, -33.9]])).crs == "EPSG:32734"
    assert find_map_zone(np.array([[180.0, 10.0]])).crs == "EPSG:32660"
    assert find_map_zone(np.array([[179.9, 10.0], [-179.9, 10.0], [-179.8, 10.0]])).crs == "EPSG:32601"
    assert find_map_zone(np.array([[0.0, 85.0]])).crs == "EPSG:5041"


@settings(max_examples=25, deadline=None)
@given(st.integers(-25, 25), st.integers(-25, 25), st.integers(0, 10_000))
def test_correlation_finds_the_shift(row: int, column: int, seed: int) -> None:
    ground = np.random.default_rng(seed).normal(0, 30, (150, 150))
    a = ground[40:110, 40:110]
    b = 0.7 * ground[40 + row : 110 + row, 40 + column : 110 + column] + 20  # b at x shows what a shows at x + shift
    known = np.ones((70, 70), bool)
    peak = correlate(flatten(a, 4), flatten(b, 4), known, known, 0.1, None)
    assert peak is not None
    np.testing.assert_allclose(peak.shift, (row, column), atol=0.3)
    assert peak.score > 0.8 and peak.significance > 8


def test_correlation_of_strangers_is_not_significant() -> None:
    random = np.random.default_rng(0)
    known = np.ones((70, 70), bool)
    found = []
    for _ in range(20):
        a, b = (flatten(random.normal(0, 30, (70, 70)), 4) for _ in range(2))
        peak = correlate(a, b, known, known, 0.12, None)
        assert peak is not None
        found.append(peak.significance)
    assert max(found) < 6.0
    assert correlate(a, b, known, np.zeros((70, 70), bool), 0.12, None) is None


def test_patches_are_found_to_a_fraction_of_a_cell(drawn: Drawn) -> None:
    def look(x: float, y: float, side: int) -> np.ndarray:
        offset = (np.arange(side) - (side - 1) / 2) * 0.2
        return drawn.at(np.stack(np.broadcast_arrays(x + offset[None], y - offset[:, None]), -1))[..., 0]

    random = np.random.default_rng(1)
    places, true = HERE[:2] + random.uniform(-30, 30, (40, 2)), random.uniform(-1.2, 1.2, (40, 2))
    patches = np.stack([look(x, y, 21) for x, y in places])
    windows = np.stack([look(x + dx, y + dy, 41) for (x, y), (dx, dy) in zip(places, true, strict=True)])
    shifts, scores, margins = match_patches(patches, windows)
    good = (scores > 0.7) & (margins > 0.1)
    assert good.sum() > 25
    found = -shifts[good][:, ::-1] * (0.2, -0.2)
    assert np.percentile(np.abs(found - true[good]), 95) < 0.06  # cells are 0.2 m, drawn without antialiasing
    patches[0, 3, 3] = np.nan
    assert np.isnan(match_patches(patches, windows)[1][0])
    assert match_patches(patches[:0], windows[:0])[0].shape == (0, 2)


def test_adjusting_recovers_disturbed_cameras() -> None:
    """Exact ties, a third of them wrong: everything relative comes back."""
    random = np.random.default_rng(2)
    truth = [Photo(str(k), "", geometry_of(shot)) for k, shot in enumerate(lawnmower())]
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6)]
    rows: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    for a, b in pairs:
        points = np.concatenate([HERE[:2] + random.uniform(-30, 30, (60, 2)), np.full((60, 1), 100.0)], 1)
        one, other = truth[a].pixels(points), truth[b].pixels(points)
        seen = np.isfinite(one[:, 0]) & np.isfinite(other[:, 0])
        rows += [(a, b, p, q) for p, q in zip(one[seen], other[seen], strict=True)]
    count = len(rows)
    first, second, pixels_a, pixels_b = (np.array(column) for column in zip(*rows, strict=True))
    wrong = random.random(count) < 0.33
    pixels_b = pixels_b + wrong[:, None] * random.uniform(-40, 40, (count, 2))
    ties = TiePoints(first, second, pixels_a, pixels_b, np.ones(count), np.zeros(count, bool))
    disturbed = []
    for photo in truth:
        angle = np.radians(random.normal(0, 3))
        rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        disturbed.append(photo.moved((*random.normal(0, 1.5, 2), random.normal(0, 0.3)), rotation))
    result = adjust_poses(disturbed, GROUND, ties, 30.0, 0.05)
    right = ties.select(~wrong)
    assert np.nanmedian(right.distances(disturbed, GROUND)) > 0.8
    assert np.nanpercentile(right.distances(result.photos, GROUND), 90) < 0.02
    cameras = [np.array([photo.position[:2] for photo in photos]) for photos in (result.photos, truth, disturbed)]
    assert out_of_shape(cameras[0], cameras[1]) < 0.05 < 0.5 < out_of_shape(cameras[2], cameras[1])
    nothing = adjust_poses(truth, GROUND, right, 30.0, 0.05)
    assert np.abs(nothing.corrections).max() < 1e-6


def test_a_file_of_poses_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "poses.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"poses\.json is no file of poses"):
        read_poses(path)
    path.write_text(json.dumps({"images": [{"file": "A.JPG", "lat": "north"}]}))
    with pytest.raises(ValueError, match=r"the pose of A\.JPG"):
        read_poses(path)
    with pytest.raises(FileNotFoundError, match="no such file of poses"):
        read_poses(tmp_path / "none.json")
