"""Bags of ROS 1 and 2 and MCAP, written by rosbags."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from skyweave.core.errors import DataError
from skyweave.core.geometry.conventions import FLU_FROM_CAMERA
from skyweave.core.geometry.frames import camera_angles, quaternion_from_rotation, rotation_from_quaternion
from skyweave.telemetry import PosesOverTime, ReadOptions, read_telemetry

START_NS = 1_700_000_000 * 10**9
HALF = np.sqrt(0.5)


@cache
def store(name: Stores) -> Any:
    types = get_typestore(name)
    if "tf2_msgs/msg/TFMessage" not in types.types:  # of a package of its own in ROS 1
        text = "geometry_msgs/TransformStamped[] transforms"
        types.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))
    return types


class Messages:
    """Messages of one distribution of ROS: a body that looks north at 48 N, 11 E, its camera 30 degrees down."""

    def __init__(self, ros1: bool = False) -> None:
        self.store = store(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
        self.ros1 = ros1

    def new(self, name: str, **fields: Any) -> Any:
        return self.store.types[name](**fields)

    def header(self, time: int, frame: str) -> Any:
        stamp = self.new("builtin_interfaces/msg/Time", sec=time // 10**9, nanosec=time % 10**9)
        extra = {"seq": 0} if self.ros1 else {}
        return self.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame, **extra)

    def fix(self, time: int, status: int = 0) -> Any:
        return self.new(
            "sensor_msgs/msg/NavSatFix",
            header=self.header(time, "gps"),
            status=self.new("sensor_msgs/msg/NavSatStatus", status=status, service=1),
            latitude=48.0,
            longitude=11.0,
            altitude=607.0,
            position_covariance=np.diag([0.25, 0.25, 1.0]).ravel(),
            position_covariance_type=2,
        )

    def quaternion(self, w: float, x: float, y: float, z: float) -> Any:
        return self.new("geometry_msgs/msg/Quaternion", x=float(x), y=float(y), z=float(z), w=float(w))

    def odometry(self, time: int, covariance: np.ndarray | None = None) -> Any:
        vector = self.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        return self.new(
            "nav_msgs/msg/Odometry",
            header=self.header(time, "odom"),
            child_frame_id="base_link",
            pose=self.new(
                "geometry_msgs/msg/PoseWithCovariance",
                pose=self.new(
                    "geometry_msgs/msg/Pose",
                    position=self.new("geometry_msgs/msg/Point", x=100.0, y=50.0, z=60.0),
                    orientation=self.quaternion(HALF, 0, 0, HALF),
                ),
                covariance=np.zeros(36) if covariance is None else covariance.ravel(),
            ),
            twist=self.new(
                "geometry_msgs/msg/TwistWithCovariance",
                twist=self.new("geometry_msgs/msg/Twist", linear=vector, angular=vector),
                covariance=np.zeros(36),
            ),
        )

    def transform(self, time: int, parent: str, child: str, quaternion: np.ndarray) -> Any:
        return self.new(
            "tf2_msgs/msg/TFMessage",
            transforms=[
                self.new(
                    "geometry_msgs/msg/TransformStamped",
                    header=self.header(time, parent),
                    child_frame_id=child,
                    transform=self.new(
                        "geometry_msgs/msg/Transform",
                        translation=self.new("geometry_msgs/msg/Vector3", x=0.1, y=0.0, z=0.0),
                        rotation=self.quaternion(*quaternion),
                    ),
                )
            ],
        )

    def info(self, time: int, frame: str = "camera_optical") -> Any:
        letters = {name: name.upper() if self.ros1 else name for name in "dkrp"}
        matrix = np.array([50, 0, 31.5, 0, 50, 23.5, 0, 0, 1.0])
        return self.new(
            "sensor_msgs/msg/CameraInfo",
            header=self.header(time, frame),
            height=48,
            width=64,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=self.new(
                "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
            **{letters["d"]: np.zeros(5), letters["k"]: matrix, letters["r"]: np.eye(3).ravel()},
            **{letters["p"]: np.zeros(12)},
        )

    def flight(self) -> Iterator[tuple[str, int, Any]]:
        """Topic, time and message of two seconds; the camera hangs on a gimbal."""
        down = np.array([np.cos(np.radians(15)), 0, np.sin(np.radians(15)), 0])  # 30 degrees about the left axis
        yield "/tf_static", START_NS, self.transform(START_NS, "gimbal", "camera_optical", OPTICAL)
        for k in range(20):
            time = START_NS + k * 10**8
            yield "/tf", time, self.transform(time, "base_link", "gimbal", down)
            yield "/fix", time, self.fix(time, -1 if k < 2 else 0)
            yield "/odom", time + 10**7, self.odometry(time + 10**7)
            yield "/camera/camera_info", time, self.info(time)


OPTICAL = quaternion_from_rotation(FLU_FROM_CAMERA)


def write(path: Path, messages: Any, store: Any, storage: StoragePlugin | None = None) -> Path:
    writer: Any = Writer1(path) if storage is None else Writer2(path, version=9, storage_plugin=storage)
    connections: dict[str, Any] = {}
    with writer:
        for topic, time, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            serialise = store.serialize_ros1 if storage is None else store.serialize_cdr
            writer.write(connections[topic], time, serialise(message, kind))
    return path


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
    messages = Messages()
    folder = write(tmp_path / "flight", messages.flight(), messages.store, storage)
    check(read_telemetry(folder))
    if storage is StoragePlugin.MCAP:
        (file,) = folder.glob("*.mcap")
        check(read_telemetry(file))


def test_a_bag_of_ros_1(tmp_path: Path) -> None:
    messages = Messages(ros1=True)
    check(read_telemetry(write(tmp_path / "flight.bag", messages.flight(), messages.store)))


def bag(folder: Path, *rows: tuple[str, int, Any]) -> Path:
    return write(folder, rows, Messages().store, StoragePlugin.MCAP)


def test_odometry_alone_needs_to_know_where_it_began(tmp_path: Path) -> None:
    m = Messages()
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
    m = Messages()
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
    m = Messages()
    rows = [("/a", START_NS, m.info(START_NS, "left")), ("/b", START_NS, m.info(START_NS, "right"))]
    path = bag(tmp_path / "flight", *rows, ("/odom", START_NS, m.odometry(START_NS)))
    with pytest.raises(DataError, match="cameras left, right; choose one with --channel"):
        read_telemetry(path)
    assert read_telemetry(path, options=ReadOptions(camera="left")).camera is not None
    with pytest.raises(DataError, match="no one camera 'top'"):
        read_telemetry(path, options=ReadOptions(camera="top"))


def test_a_circle_of_transforms_is_refused(tmp_path: Path) -> None:
    m = Messages()
    one = m.transform(START_NS, "a", "camera_optical", OPTICAL)
    other = m.transform(START_NS, "camera_optical", "a", OPTICAL)
    path = bag(tmp_path / "x", ("/tf", START_NS, one), ("/tf", START_NS, other), ("/i", START_NS, m.info(START_NS)))
    with pytest.raises(DataError, match="circle"):
        read_telemetry(path)


def test_damaged_bags_are_errors(tmp_path: Path) -> None:
    messages = Messages()
    folder = write(tmp_path / "flight", messages.flight(), messages.store, StoragePlugin.MCAP)
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
        read_telemetry(write(tmp_path / "text", other, messages.store, StoragePlugin.MCAP))


def test_a_bag_with_other_definitions_or_no_times_is_an_error_of_data(tmp_path: Path) -> None:
    m = Messages()
    other = get_typestore(Stores.EMPTY)
    other.register(get_types_from_msg("float64 altitude", "sensor_msgs/msg/NavSatFix"))
    fix = other.types["sensor_msgs/msg/NavSatFix"](altitude=1.0)
    path = write(tmp_path / "other", [("/fix", START_NS, fix)], other, StoragePlugin.MCAP)
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


def way(m: Messages, odometry: Any, topic: str = "/odom") -> list[tuple[str, int, Any]]:
    """Ten seconds of fixes that go east, then north, and odometry of the same way."""
    rows = []
    for k in range(20):
        time, east, north = START_NS + k * 5 * 10**8, 5.0 * min(k, 10), 5.0 * max(k - 10, 0)
        rows += [("/fix", time, moved(m.fix(time), east, north))]
        rows += [(topic, time, odometry(m.odometry(time), east, north))]
    return rows


def test_fixes_of_two_vehicles_are_never_mixed(tmp_path: Path) -> None:
    m = Messages()
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
    m = Messages()

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
    m = Messages()

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


def imu(m: Messages, time: int, quaternion: Any) -> Any:
    vector, covariance = m.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0), np.zeros(9)
    return m.new(
        "sensor_msgs/msg/Imu", header=m.header(time, "imu"), orientation=quaternion, orientation_covariance=covariance,
        angular_velocity=vector, angular_velocity_covariance=covariance, linear_acceleration=vector,
        linear_acceleration_covariance=covariance,
    )  # fmt: skip


def test_an_imu_that_is_mounted_upside_down_does_not_turn_the_vehicle(tmp_path: Path) -> None:
    m = Messages()
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
    m = Messages()
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
