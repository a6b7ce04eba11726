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
