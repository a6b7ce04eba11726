"""Bags of ROS 1 and 2 and MCAP, written by rosbags."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from fabricated_logs import HALF, OPTICAL, START_NS, RosMessages, write_bag
from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import PosesOverTime, ReadOptions, read_telemetry


def flight_of(m: RosMessages) -> Iterator[tuple[str, int, Any]]:
    """Topic, time and message of two seconds; the camera hangs on a gimbal."""
    down = np.array([np.cos(np.radians(15)), 0, np.sin(np.radians(15)), 0])  # 30 degrees about the left axis
    yield "/tf_static", START_NS, m.transform(START_NS, "gimbal", "camera_optical", OPTICAL)
    for k in range(20):
        time = START_NS + k * 10**8
        yield "/tf", time, m.transform(time, "base_link", "gimbal", down)
        yield "/fix", time, m.fix(time, -1 if k < 2 else 0)
        yield "/odom", time + 10**7, m.odometry(time + 10**7)
        yield "/camera/camera_info", time, m.info(time)


def check(poses: PosesOverTime) -> None:
    assert poses.clock == "utc" and not poses.missing
    assert poses.places[10] == pytest.approx([48, 11]) and poses.heights["ellipsoid"].values[10] == 607
    assert poses.times[0] >= START_NS
    angles = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[10])))
    assert angles == pytest.approx([90, 30, 0], abs=0.01)  # as the body: north
    assert rotation_from_quaternion(poses.enu_from_body[10])[:, 2] == pytest.approx([0, 0, -1], abs=1e-6)
    assert poses.camera is not None and poses.camera.intrinsics[0].tolist() == [50, 0, 32]


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_bag_of_ros_2(tmp_path: Path, storage: StoragePlugin) -> None:
    messages = RosMessages()
    folder = write_bag(tmp_path / "flight", flight_of(messages), messages.store, storage)
    check(read_telemetry(folder))
    if storage is StoragePlugin.MCAP:
        (file,) = folder.glob("*.mcap")
        check(read_telemetry(file))


def test_a_bag_of_ros_1(tmp_path: Path) -> None:
    messages = RosMessages(ros1=True)
    check(read_telemetry(write_bag(tmp_path / "flight.bag", flight_of(messages), messages.store)))


def bag(folder: Path, *rows: tuple[str, int, Any]) -> Path:
    return write_bag(folder, rows, RosMessages().store, StoragePlugin.MCAP)


def test_odometry_alone_needs_to_know_where_it_began(tmp_path: Path) -> None:
    m = RosMessages()
    covariance = np.diag([0.1, 0.1, 0.2, 0.01, 0.01, 0.02])
    rows = [("/odom", START_NS + k * 10**8, m.odometry(START_NS + k * 10**8, covariance)) for k in range(5)]
    path = bag(tmp_path / "flight", *rows)
    poses = read_telemetry(path)
    assert "--origin" in poses.missing["position"] and "tf" in poses.missing["orientation"]
    np.testing.assert_allclose(poses.covariance[2, 3:, 3:], covariance[3:, 3:])
    poses = read_telemetry(path, options=ReadOptions(origin=(48.0, 11.0, 500.0)))
    np.testing.assert_allclose(poses.covariance[2], covariance)
    east = (poses.places[0, 1] - 11) * 111_320 * np.cos(np.radians(48))
    assert east == pytest.approx(100, rel=0.01) and poses.heights["ellipsoid"].values[0] == pytest.approx(560, abs=0.01)


def test_transforms_alone_place_a_camera_in_its_world(tmp_path: Path) -> None:
    m = RosMessages()
    rows: list[tuple[str, int, Any]] = [
        ("/tf_static", START_NS, m.transform(START_NS, "base_link", "camera_optical", OPTICAL)),
        ("/info", START_NS, m.info(START_NS)),
    ]
    for k in range(5):
        time = START_NS + k * 10**8
        rows.append(("/tf", time, m.transform(time, "map", "base_link", np.array([HALF, 0, 0, HALF]))))
    poses = read_telemetry(bag(tmp_path / "flight", *rows), options=ReadOptions(origin=(48.0, 11.0, 500.0)))
    angles = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[2])))
    assert angles == pytest.approx([90, 0, 0], abs=0.01) and poses.knows("position")


def test_several_cameras_are_a_choice(tmp_path: Path) -> None:
    m = RosMessages()
    rows = [("/a", START_NS, m.info(START_NS, "left")), ("/b", START_NS, m.info(START_NS, "right"))]
    path = bag(tmp_path / "flight", *rows, ("/odom", START_NS, m.odometry(START_NS)))
    with pytest.raises(DataError, match="cameras left, right; choose one with --channel"):
        read_telemetry(path)
    assert read_telemetry(path, options=ReadOptions(camera="left")).camera is not None
    with pytest.raises(DataError, match="no one camera 'top'"):
        read_telemetry(path, options=ReadOptions(camera="top"))


def test_a_circle_of_transforms_is_refused(tmp_path: Path) -> None:
    m = RosMessages()
    one = m.transform(START_NS, "a", "camera_optical", OPTICAL)
    other = m.transform(START_NS, "camera_optical", "a", OPTICAL)
    path = bag(tmp_path / "x", ("/tf", START_NS, one), ("/tf", START_NS, other), ("/i", START_NS, m.info(START_NS)))
    with pytest.raises(DataError, match="circle"):
        read_telemetry(path)


def test_damaged_bags_are_errors(tmp_path: Path) -> None:
    messages = RosMessages()
    folder = write_bag(tmp_path / "flight", flight_of(messages), messages.store, StoragePlugin.MCAP)
    (file,) = folder.glob("*.mcap")
    content = file.read_bytes()
    random = np.random.default_rng(0)
    for name, garbage in (
        ("a.bag", b"#ROSBAG V2.0\n"),
        ("b.mcap", content[:300]),
        ("c.mcap", b""),
        ("d.db3", b"x" * 99),
    ):
        (tmp_path / name).write_bytes(garbage)
        with pytest.raises(DataError, match=name):
            read_telemetry(tmp_path / name)
    for _ in range(5):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 8):
            damaged[place] = random.integers(256)
        (tmp_path / "e.mcap").write_bytes(damaged)
        try:
            read_telemetry(tmp_path / "e.mcap")
        except DataError:
            continue
    other = [("/odom", START_NS, messages.new("std_msgs/msg/String", data="hello"))]
    with pytest.raises(DataError, match="no log of a platform"):
        read_telemetry(write_bag(tmp_path / "text", other, messages.store, StoragePlugin.MCAP))


def test_a_bag_with_other_definitions_or_no_times_is_an_error_of_data(tmp_path: Path) -> None:
    m = RosMessages()
    other = get_typestore(Stores.EMPTY)
    other.register(get_types_from_msg("float64 altitude", "sensor_msgs/msg/NavSatFix"))
    fix = other.types["sensor_msgs/msg/NavSatFix"](altitude=1.0)
    path = write_bag(tmp_path / "other", [("/fix", START_NS, fix)], other, StoragePlugin.MCAP)
    with pytest.raises(DataError, match=r"other is damaged: .*status"):
        read_telemetry(path)
    for name, logged in (("late", 2**63), ("later", 2**64 - 1)):
        with pytest.raises(DataError, match="is no time"):
            read_telemetry(bag(tmp_path / name, ("/fix", logged, m.fix(0))))


def moved(message: Any, east: float, north: float) -> Any:
    """A fix, or the position of odometry, metres away."""
    if hasattr(message, "latitude"):
        message.longitude += east / (111_320 * np.cos(np.radians(48)))
        message.latitude += north / 111_195
    else:
        message.pose.pose.position.x, message.pose.pose.position.y = east, north
    return message


def way(m: RosMessages, odometry: Any, topic: str = "/odom") -> list[tuple[str, int, Any]]:
    """Ten seconds of fixes that go east, then north, and odometry of the same way."""
    rows = []
    for k in range(20):
        time, east, north = START_NS + k * 5 * 10**8, 5.0 * min(k, 10), 5.0 * max(k - 10, 0)
        rows += [("/fix", time, moved(m.fix(time), east, north))]
        rows += [(topic, time, odometry(m.odometry(time), east, north))]
    return rows


def test_fixes_of_two_vehicles_are_never_mixed(tmp_path: Path) -> None:
    m = RosMessages()
    times = [START_NS + k * 10**8 for k in range(6)]
    rows = [(f"/uav{k}/fix", time, moved(m.fix(time), 300.0 * k, 0)) for time in times for k in (0, 1)]
    path = bag(tmp_path / "two", *rows)
    with pytest.raises(DataError, match=r"several vehicles, 301 m apart \(/uav0/fix, /uav1/fix\).*--system"):
        read_telemetry(path)
    assert read_telemetry(path, options=ReadOptions(platform="uav0")).places[:, 1] == pytest.approx(11.0)
    rows = [("/left", time, m.fix(time)) for time in times] + [("/right", times[0], moved(m.fix(times[0]), 1.0, 0))]
    poses = read_telemetry(bag(tmp_path / "antennas", *rows))
    assert any("/left is used" in note for note in poses.notes) and len(poses) == 6


def test_odometry_that_begins_anywhere_is_turned_to_north_by_the_fixes(tmp_path: Path) -> None:
    m = RosMessages()

    def from_start(message: Any, east: float, north: float) -> Any:
        """Odometry that begins with a heading of 0 while the vehicle looks north."""
        message.pose.pose.orientation = m.quaternion(1, 0, 0, 1e-9)
        return moved(message, north, -east)

    poses = read_telemetry(bag(tmp_path / "a", *way(m, from_start)))
    forward = rotation_from_quaternion(poses.enu_from_body[5])[:, 0]
    assert forward == pytest.approx([0, 1, 0], abs=0.02)
    assert any("turned by 90 degrees" in note for note in poses.notes)
    poses = read_telemetry(bag(tmp_path / "b", *way(m, moved)))  # as REP 103 asks
    assert rotation_from_quaternion(poses.enu_from_body[5])[:, 0] == pytest.approx([0, 1, 0], abs=0.02)
    assert not any("turned" in note for note in poses.notes)
    with pytest.raises(DataError, match="counts north and east"):
        read_telemetry(bag(tmp_path / "c", *way(m, lambda message, east, north: moved(message, north, east))))
    poses = read_telemetry(
        bag(tmp_path / "d", *[(t, time, m.fix(time) if t == "/fix" else x) for t, time, x in way(m, moved)])
    )
    assert any("taken to point east" in note for note in poses.notes)


def test_poses_that_are_wanted_or_hold_no_orientation_are_not_the_vehicles(tmp_path: Path) -> None:
    m = RosMessages()

    def without(time: int, *quaternion: float) -> Any:
        message = m.odometry(time)
        message.pose.pose.orientation = m.quaternion(*quaternion)
        return message

    rows = []
    for k in range(4):
        time = START_NS + k * 10**8
        rows += [
            ("/odometry/gps", time, without(time, 1, 0, 0, 0)),
            ("/setpoint/odom", time, without(time, 0, 0, 0, 1)),
        ]
        rows += [("/a/odom", time, m.odometry(time)), ("/zero", time, without(time, 0, 0, 0, 0))]
        rows += [("/vio", time, without(time, HALF, 0, 0, HALF))]
    poses = read_telemetry(bag(tmp_path / "x", *rows))
    assert rotation_from_quaternion(poses.enu_from_body[2])[:, 0] == pytest.approx([0, 1, 0], abs=1e-6)
    assert any("/a/odom is taken" in note and "/vio" in note and "setpoint" not in note for note in poses.notes)


def imu(m: RosMessages, time: int, quaternion: Any) -> Any:
    vector, covariance = m.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0), np.zeros(9)
    return m.new(
        "sensor_msgs/msg/Imu", header=m.header(time, "imu"), orientation=quaternion, orientation_covariance=covariance,
        angular_velocity=vector, angular_velocity_covariance=covariance, linear_acceleration=vector,
        linear_acceleration_covariance=covariance,
    )  # fmt: skip


def test_an_imu_that_is_mounted_upside_down_does_not_turn_the_vehicle(tmp_path: Path) -> None:
    m = RosMessages()
    upside_down = np.array([0.0, 1.0, 0.0, 0.0])  # about the x axis
    rows = [("/tf_static", START_NS, m.transform(START_NS, "base_link", "imu", upside_down))]
    times = [START_NS + k * 10**8 for k in range(4)]
    north = m.quaternion(0, HALF, HALF, 0)  # of the IMU while its body looks north, upright
    rows += [("/imu", time, imu(m, time, north)) for time in times]
    poses = read_telemetry(bag(tmp_path / "x", *rows, ("/fix", START_NS, m.fix(START_NS))))
    body = rotation_from_quaternion(poses.enu_from_body[2])
    assert body[:, 0] == pytest.approx([0, 1, 0], abs=1e-6) and body[:, 2] == pytest.approx([0, 0, -1], abs=1e-6)
    unset = [("/imu", time, imu(m, time, m.quaternion(1, 0, 0, 0))) for time in times]
    assert not read_telemetry(bag(tmp_path / "y", *unset, ("/fix", START_NS, m.fix(START_NS)))).knows("heading")


def test_a_frame_of_two_parents_keeps_the_first_and_a_zoom_is_noted(tmp_path: Path) -> None:
    m = RosMessages()
    rows: list[tuple[str, int, Any]] = [
        ("/tf_static", START_NS, m.transform(START_NS, "base_link", "camera_optical", OPTICAL))
    ]
    for k in range(5):
        time = START_NS + k * 10**8
        rows.append(("/tf", time, m.transform(time, "map", "base_link", np.array([HALF, 0, 0, HALF]))))
        rows.append(("/tf", time + 5 * 10**7, m.transform(time, "odom", "base_link", np.array([1.0, 0, 0, 0]))))
        info = m.info(time)
        info.k = info.k * (1 + k)
        rows.append(("/info", time, info))
    poses = read_telemetry(bag(tmp_path / "x", *rows), options=ReadOptions(origin=(48.0, 11.0, 500.0)))
    angles = [camera_angles(rotation_from_quaternion(q))[0] for q in poses.enu_from_camera]
    assert np.degrees(angles) == pytest.approx(90, abs=0.01)
    assert any("CameraInfo of camera_optical changes" in note for note in poses.notes)


@pytest.mark.parametrize("late", [-111_700_000_000, 4_000_000_000, 5_000_000_000 - START_NS])
@pytest.mark.parametrize("topic", ["/fix", "/odom"])
def test_a_topic_that_is_stamped_by_another_clock(tmp_path: Path, topic: str, late: int) -> None:
    """m4nh/skimap_ros#9, cartographer-project/cartographer#1062: headers by the sensor's clock, or of a simulation."""
    m = RosMessages()
    rows = []
    for name, time, message in flight_of(m):
        if name == topic:
            message.header = m.header(time + late, message.header.frame_id)
        rows.append((name, time, message))
    poses = read_telemetry(bag(tmp_path / "x", *rows))
    check(poses)
    (note,) = [note for note in poses.notes if "stamps of" in note]
    assert topic in note and f"{abs(late) / 1e9:.1f} s {'before' if late < 0 else 'after'}" in note


def test_a_recording_that_was_played_and_recorded_again_keeps_its_stamps(tmp_path: Path) -> None:
    m = RosMessages()
    poses = read_telemetry(bag(tmp_path / "x", *((name, time + 10**15, row) for name, time, row in flight_of(m))))
    check(poses)
    assert poses.times[0] < START_NS + 10**10 and not any("stamps of" in note for note in poses.notes)
