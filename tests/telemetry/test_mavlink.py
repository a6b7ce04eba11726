"""Telemetry logs of MAVLink, written by pymavlink."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fabricated_logs import TelemetryLog
from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import ReadOptions, read_telemetry


def position(k: int, latitude: float = 48.0, longitude: float = 11.0) -> Any:
    return mavlink.MAVLink_global_position_int_message(
        k * 100, round(latitude * 1e7) + k * 10, round(longitude * 1e7), 560_000, 60_000, 0, 0, 0, 9000
    )


def attitude(k: int, yaw: float = np.pi / 2) -> Any:
    return mavlink.MAVLink_attitude_message(k * 100, 0.0, 0.1, yaw, 0, 0, 0)


def mount(k: int) -> Any:
    return mavlink.MAVLink_mount_orientation_message(k * 100, 0.0, -30.0, 45.0, 135.0)


def mount_relative(k: int) -> Any:
    return mavlink.MAVLink_mount_orientation_message(k * 100, 0.0, -30.0, 45.0, float("nan"))


def mount_old(k: int) -> Any:
    return mavlink.MAVLink_mount_status_message(0, 0, -3000, 0, 4500)


def gimbal(flags: int, yaw: float) -> Callable[[int], Any]:
    half_yaw, half_pitch = np.radians(yaw) / 2, np.radians(-30) / 2
    q = [
        np.cos(half_yaw) * np.cos(half_pitch),
        -np.sin(half_yaw) * np.sin(half_pitch),
        np.cos(half_yaw) * np.sin(half_pitch),
        np.sin(half_yaw) * np.cos(half_pitch),
    ]
    return lambda k: mavlink.MAVLink_gimbal_device_attitude_status_message(0, 0, k * 100, flags, q, 0, 0, 0, 0)


def written(path: Path, *makers: Callable[[int], Any], count: int = 20, version: int = 2) -> Path:
    log = TelemetryLog(version=version)
    for k in range(count):
        for number, make in enumerate(makers):
            log.add(k * 100_000 + number * 1000, make(k))
    path.write_bytes(log.content)
    return path


@pytest.mark.parametrize("version", [1, 2])
def test_a_flight_without_a_gimbal_knows_the_body_and_not_the_camera(tmp_path: Path, version: int) -> None:
    poses = read_telemetry(written(tmp_path / "a.tlog", position, attitude, version=version))
    assert poses.clock == "utc" and poses.platform == "system 1"
    assert poses.places[0] == pytest.approx([48, 11])
    assert poses.heights["takeoff"].values[3] == 60 and poses.heights["sea_level"].values[3] == 560
    body = rotation_from_quaternion(poses.enu_from_body[5])
    assert body[:, 0] == pytest.approx([np.cos(0.1), 0, np.sin(0.1)], abs=1e-6)  # forward is east, nose up
    assert "gimbal" in poses.missing["orientation"] and not poses.knows("orientation")


@pytest.mark.parametrize(
    "camera", [mount, mount_relative, mount_old, gimbal(64, 135.0), gimbal(32, 45.0), gimbal(16, 135.0)]
)
def test_a_gimbal_of_any_protocol_places_the_camera(tmp_path: Path, camera: Callable[[int], Any]) -> None:
    poses = read_telemetry(written(tmp_path / "a.tlog", position, attitude, camera))
    angles = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[8])))
    assert angles == pytest.approx([-45, 30, 0], abs=0.01)
    assert np.isfinite(poses.places[8]).all()  # every sample is whole


def test_what_a_camera_reports_of_its_view_is_its_lens(tmp_path: Path) -> None:
    def view(k: int) -> Any:
        return mavlink.MAVLink_camera_fov_status_message(0, 0, 0, 0, 0, 0, 0, [0, 0, 0, 0], 62.0, 40.0)

    poses = read_telemetry(written(tmp_path / "a.tlog", position, view))
    assert np.degrees(poses.field_of_view[4]) == pytest.approx([62, 40])
    assert not poses.knows("orientation")  # a quaternion of zeros says nothing


def test_the_receiver_is_taken_where_there_is_no_filter(tmp_path: Path) -> None:
    def receiver(k: int) -> Any:
        fix = 3 if k > 4 else 0
        return mavlink.MAVLink_gps_raw_int_message(
            0, fix, 480_000_000, 110_000_000, 560_000, 100, 100, 0, 0, 9, 607_000, 1500, 2500, 0, 0
        )

    poses = read_telemetry(written(tmp_path / "a.tlog", receiver))
    assert len(poses) == 15 and poses.heights["ellipsoid"].values[0] == 607
    assert np.sqrt(np.diag(poses.covariance[0])[[0, 2]]) == pytest.approx([1.5, 2.5])


def test_several_vehicles_are_a_choice(tmp_path: Path) -> None:
    one, two = TelemetryLog(1), TelemetryLog(2)
    for k in range(5):
        one.add(k, position(k))
        two.add(k, position(k, longitude=12.0))
    (tmp_path / "a.tlog").write_bytes(one.content + two.content)
    with pytest.raises(DataError, match="several vehicles, 1, 2; choose with --system"):
        read_telemetry(tmp_path / "a.tlog")
    poses = read_telemetry(tmp_path / "a.tlog", options=ReadOptions(platform="2"))
    assert poses.places[0, 1] == pytest.approx(12)
    with pytest.raises(DataError, match="no vehicle '7'"):
        read_telemetry(tmp_path / "a.tlog", options=ReadOptions(platform="7"))


def test_bytes_that_are_no_packets_cost_only_themselves(tmp_path: Path) -> None:
    content = written(tmp_path / "a.tlog", position, attitude).read_bytes()
    random, path = np.random.default_rng(0), tmp_path / "b.tlog"
    for _ in range(30):
        cut = int(random.integers(len(content)))
        path.write_bytes(content[:cut] + random.bytes(int(random.integers(1, 40))) + content[cut:])
        assert 34 <= len(read_telemetry(path)) <= 40  # at most the packets beside the damage
        path.write_bytes(content[: max(cut, 200)])
        assert np.isfinite(read_telemetry(path).places).any()
    for garbage in (b"", random.bytes(3000)):
        path.write_bytes(garbage)
        with pytest.raises(DataError, match="no MAVLink packets"):
            read_telemetry(path)


def test_a_gimbal_of_older_senders_does_not_look_north_forever(tmp_path: Path) -> None:
    """They know no ``yaw_absolute``, which then is 0 throughout."""

    def old(k: int) -> Any:
        return mavlink.MAVLink_mount_orientation_message(k * 100, 0.0, -30.0, 45.0, 0.0)

    poses = read_telemetry(written(tmp_path / "a.tlog", position, attitude, old))
    angles = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[20])))
    assert angles == pytest.approx([-45, 30, 0], abs=0.1)  # 135 clockwise from north


def test_drift_about_zero_before_the_receiver_has_a_fix(tmp_path: Path) -> None:
    """ArduPilot/ardupilot#2733, mavlink/qgroundcontrol#5397: the filter reports places that nothing has measured."""

    def receiver(k: int) -> Any:
        return mavlink.MAVLink_gps_raw_int_message(
            0, 3 if k >= 10 else 1, 48 * 10**7, 11 * 10**7, 560_000, 0, 0, 0, 0, 9
        )

    def drifting(k: int) -> Any:
        return position(k) if k >= 10 else position(k, 3e-4 * k, -2e-4 * k)

    def dead_reckoned(k: int) -> Any:
        return position(k) if k >= 10 else position(k, 47.5, 11.5)

    for name, place in (("a", drifting), ("b", dead_reckoned)):
        poses = read_telemetry(written(tmp_path / f"{name}.tlog", place, attitude, receiver))
        places = poses.places[np.isfinite(poses.places).all(1)]
        assert len(places) and places[:, 0].min() >= 48
    poses = read_telemetry(written(tmp_path / "c.tlog", drifting, attitude))  # nothing says when there was a fix
    assert np.nanmin(poses.places[:, 0]) >= 48 and any("before there was a fix" in note for note in poses.notes)


def test_other_components_of_a_vehicle(tmp_path: Path) -> None:
    """A gimbal or a companion computer sends attitudes and places under the vehicle's number, too."""
    log = TelemetryLog()
    for k in range(20):
        log.add(k * 100_000, position(k))
        log.add(k * 100_000, attitude(k))
        log.add(k * 100_000 + 50_000, attitude(k, 3.0), component=154)
        log.add(k * 100_000 + 50_000, position(k, 50.0, 12.0), component=191)
    (tmp_path / "a.tlog").write_bytes(log.content)
    poses = read_telemetry(tmp_path / "a.tlog")
    headings = np.array([rotation_from_quaternion(q)[0, 0] for q in poses.enu_from_body])
    assert headings == pytest.approx(np.cos(0.1), abs=1e-6)  # all east
    assert np.nanmax(poses.places[:, 0]) < 48.01


def test_two_gimbals_are_never_mixed(tmp_path: Path) -> None:
    log = TelemetryLog()
    for k in range(20):
        log.add(k * 100_000, position(k))
        log.add(k * 100_000, attitude(k))
        log.add(k * 100_000, gimbal(16, 0.0)(k), component=154)
        log.add(k * 100_000 + 30_000, gimbal(16, 120.0)(k), component=171)
    (tmp_path / "a.tlog").write_bytes(log.content)
    with pytest.raises(DataError, match="components 154, 171; choose one with --channel"):
        read_telemetry(tmp_path / "a.tlog")
    yaws = {}
    for channel in ("154", "171"):
        poses = read_telemetry(tmp_path / "a.tlog", options=ReadOptions(camera=channel))
        known = poses.enu_from_camera[np.isfinite(poses.enu_from_camera).all(1)]
        yaws[channel] = [np.degrees(camera_angles(rotation_from_quaternion(q))[0]) for q in known[2:-2]]
    assert np.ptp(yaws["154"]) < 1e-6 and np.ptp(yaws["171"]) < 1e-6
    assert abs((yaws["154"][0] - yaws["171"][0] + 180) % 360 - 180) == pytest.approx(120, abs=1e-4)
