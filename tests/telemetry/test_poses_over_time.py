"""Poses over time: what they refuse, how they are interpolated, and where they lie on a map."""

from dataclasses import replace

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import (
    camera_angles,
    camera_pose,
    quaternion_from_rotation,
    rotation_from_quaternion,
    rotation_from_vector,
)
from skyweave.telemetry import Heights, PosesOverTime, flight_crs, interpolate_poses, pose_rates, project_poses

SECOND_NS = 1_000_000_000
STD = np.array([1.0, 1.0, 0.5, 0.02, 0.02, 0.05])


def orientation(yaw: float, pitch: float) -> np.ndarray:
    return quaternion_from_rotation(camera_pose(np.zeros(3), yaw, pitch)[:3, :3])


def flight(n: int = 5, latitude: float = 48.0, longitude: float = 11.0) -> PosesOverTime:
    """One pose a second, 10 m/s to the east, turning 0.1 rad/s, 60 m high."""
    east = 10.0 * np.arange(n) / (111_320.0 * np.cos(np.radians(latitude)))
    return PosesOverTime(
        source="flight.srt",
        times=np.arange(n) * SECOND_NS,
        clock="video",
        places=np.column_stack([np.full(n, latitude), longitude + east]),
        heights={"takeoff": Heights(np.full(n, 60.0), 1.0)},
        enu_from_camera=np.stack([orientation(0.1 * k, 0.8) for k in range(n)]),
        enu_from_body=np.full((n, 4), np.nan),
        covariance=np.tile(np.diag(STD**2), (n, 1, 1)),
    )


def test_between_samples_a_pose_is_on_the_line_and_on_the_arc() -> None:
    poses = interpolate_poses(flight(), np.array([0, SECOND_NS // 2, 4 * SECOND_NS]))
    east = (poses.places[:, 1] - 11.0) * 111_320.0 * np.cos(np.radians(48.0))
    np.testing.assert_allclose(east, [0, 5, 40], atol=1e-6)
    yaw, pitch, _ = camera_angles(rotation_from_quaternion(poses.enu_from_camera[1]))
    assert (yaw, pitch) == pytest.approx((0.05, 0.8), abs=1e-3)


def test_the_sign_of_a_quaternion_does_not_send_the_camera_the_long_way_round() -> None:
    poses = flight()
    flipped = replace(poses, enu_from_camera=poses.enu_from_camera * np.array([1, -1, 1, -1, 1])[:, None])
    when = np.array([SECOND_NS // 3])
    one, other = (interpolate_poses(p, when).enu_from_camera[0] for p in (poses, flipped))
    assert abs(one @ other) == pytest.approx(1.0)


def test_covariance_is_the_samples_own_at_a_sample_and_greater_between() -> None:
    at, between = interpolate_poses(flight(), np.array([SECOND_NS, 3 * SECOND_NS // 2])).covariance
    np.testing.assert_allclose(np.sqrt(np.diag(at)), STD)
    assert (np.diag(between) > np.diag(at)).all()
    # a T^2 / 8 for an acceleration of 1.5 m/s^2 over one second
    assert np.sqrt(between[0, 0]) == pytest.approx(np.hypot(1.0, 1.5 / 8))


def test_long_gaps_and_times_beyond_the_log_are_unknown() -> None:
    gap = flight().select(np.array([0, 4]))
    poses = interpolate_poses(gap, np.array([-2, 0, 2, 4, 7]) * SECOND_NS, max_gap=3.0)
    known = np.isfinite(poses.places).all(1)
    assert known.tolist() == [False, True, False, True, False]
    assert np.isnan(poses.covariance[2, 0, 0])


def test_what_is_missing_in_one_sample_is_taken_from_its_neighbours() -> None:
    poses = flight()
    places = poses.places.copy()
    places[1] = np.nan
    poses = interpolate_poses(replace(poses, places=places), np.array([SECOND_NS]))
    assert np.isfinite(poses.places).all()
    assert np.sqrt(poses.covariance[0, 0, 0]) > 1.0


def test_the_antimeridian_is_crossed_the_short_way() -> None:
    places = np.array([[10.0, 179.9999], [10.0, -179.9999]])
    poses = replace(flight(2), places=places)
    middle = interpolate_poses(poses, np.array([SECOND_NS // 2]))
    assert abs(middle.places[0, 1]) == pytest.approx(180.0, abs=1e-6)
    assert np.abs(pose_rates(poses, np.array([SECOND_NS // 2]))[0][0, 0]) == pytest.approx(21.9, abs=0.1)
    on_map = project_poses(poses, flight_crs(poses), "takeoff")
    assert np.ptp(on_map.world_from_camera[:, 0, 3]) == pytest.approx(21.9, abs=0.1)


def test_rates_are_those_of_the_flight() -> None:
    velocity, turning = pose_rates(flight(), np.array([0, 2 * SECOND_NS, 4 * SECOND_NS]))
    np.testing.assert_allclose(velocity, [[10, 0, 0]] * 3, atol=1e-6)
    np.testing.assert_allclose(turning, [[0, 0, 0.1]] * 3, atol=1e-6)


@pytest.mark.parametrize(("latitude", "longitude"), [(37.4, 126.7), (-34.6, -179.9999), (70.0, 25.0)])
def test_a_flight_to_the_north_has_no_velocity_to_the_east(latitude: float, longitude: float) -> None:
    east = flight(latitude=latitude, longitude=longitude)
    north = np.column_stack([latitude + 10.0 * np.arange(5) / 111_320.0, np.full(5, longitude)])
    velocity, _ = pose_rates(replace(east, places=north), np.array([0, 2 * SECOND_NS, 4 * SECOND_NS]))
    np.testing.assert_allclose(velocity, [[0, 10, 0]] * 3, atol=1e-6)
    np.testing.assert_allclose(pose_rates(east, np.array([SECOND_NS]))[0], [[10, 0, 0]], atol=1e-4)


def test_on_a_map_directions_turn_by_the_convergence() -> None:
    poses = flight(latitude=48.0, longitude=8.0)  # a degree west of its zone's meridian
    on_map = project_poses(poses, flight_crs(poses), "takeoff")
    assert on_map.crs == "EPSG:32632"
    yaw, pitch, _ = camera_angles(on_map.world_from_camera[0])
    assert np.degrees(yaw) == pytest.approx(-0.743, abs=0.001)
    assert pitch == pytest.approx(0.8)
    assert on_map.world_from_camera[0, 2, 3] == 60.0
    assert np.sqrt(on_map.covariance[0, 2, 2]) == pytest.approx(np.hypot(0.5, 1.0))  # the barometer's drift


def test_the_covariance_is_that_of_rotations_about_the_maps_axes() -> None:
    poses = flight(1)
    heading_only = np.zeros((1, 6, 6))
    heading_only[0, 5, 5] = 0.04
    on_map = project_poses(replace(poses, covariance=heading_only), "EPSG:32632", "takeoff")
    np.testing.assert_allclose(on_map.covariance[0, 5, 5], 0.04)
    turned = rotation_from_vector(np.array([0, 0, 0.2])) @ on_map.world_from_camera[0, :3, :3]
    assert camera_angles(turned)[1] == pytest.approx(0.8)  # the pitch does not know of it


def test_what_is_missing_is_named_with_what_supplies_it() -> None:
    poses = replace(flight(), enu_from_camera=np.full((5, 4), np.nan), missing={"orientation": "no gimbal angles"})
    with pytest.raises(DataError, match=r"flight\.srt: no gimbal angles; give the camera's pitch with --pitch"):
        project_poses(poses, "EPSG:32632", "takeoff")
    with pytest.raises(DataError, match="--start"):
        _ = poses.utc
    assert not poses.knows("lens") and poses.knows("position")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0, 1, 1, 2, 3])}, "must grow"),
        ({"places": np.full((5, 2), 91.0)}, "no place on the Earth"),
        ({"places": np.zeros((4, 2))}, "shape"),
        ({"enu_from_camera": np.ones((5, 4))}, "length 1"),
        ({"covariance": -np.tile(np.eye(6), (5, 1, 1))}, "negative"),
        ({"heights": {"takeoff": Heights(np.zeros(4))}}, "4 heights"),
    ],
)
def test_what_is_no_pose_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(flight(), **change)  # type: ignore[arg-type]
