"""A ROS 2 camera over Zenoh: messages in CDR, as rosbags writes them, through a real session."""

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rosbags.typesys import Stores, get_typestore

from skyweave.core.config import config_from_dict
from skyweave.fleet.config import NodeConfig
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.link.zenoh import ZenohConfig, ZenohTransport
from skyweave.fleet.perceivers.detected_capture import DetectedCapture
from skyweave.fleet.sources.base import SourceConfig, SourceContext
from skyweave.fleet.sources.ros import RosSource, RosSourceConfig
from skyweave.fleet.sources.ros_messages import camera_mount
from skyweave.fleet.supervisor.runtime import build_node
from skyweave.locating.vision_messages import DETECTIONS_2D, vision_types
from skyweave.recordings.recording import Frame
from waiting import until

TYPES = get_typestore(Stores.ROS2_HUMBLE)
START = 1_750_000_000_000_000_000
ROWS, COLUMNS = 48, 64
CONFIG = RosSourceConfig(
    "drone/camera_info", "drone/odom", "drone/image/compressed", pose_type="nav_msgs/msg/Odometry", crs="EPSG:32632",
    interval=0.1,
)  # fmt: skip


def made(name: str, **values: Any) -> Any:
    return TYPES.types[name](**values)


def header(after: float) -> Any:
    stamp = START + round(after * 1e9)
    time = made("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return made("std_msgs/msg/Header", stamp=time, frame_id="map")


def cdr(message: Any) -> bytes:
    return bytes(TYPES.serialize_cdr(message, message.__msgtype__))


def info(model: str = "plumb_bob", distortion: tuple[float, ...] = (0.1, 0, 0, 0, 0)) -> bytes:
    region = made("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    k = np.array([50, 0, 31.5, 0, 50, 23.5, 0, 0, 1], np.float64)
    return cdr(made(
        "sensor_msgs/msg/CameraInfo", header=header(0), height=ROWS, width=COLUMNS, distortion_model=model,
        d=np.array(distortion, np.float64), k=k, r=np.eye(3).ravel(), p=np.zeros(12), binning_x=0, binning_y=0,
        roi=region,
    ))  # fmt: skip


def pose(position: tuple[float, ...], yaw: float) -> Any:
    point = made("geometry_msgs/msg/Point", x=position[0], y=position[1], z=position[2])
    turned = made("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=np.sin(yaw / 2), w=np.cos(yaw / 2))
    return made("geometry_msgs/msg/Pose", position=point, orientation=turned)


def odometry(after: float, position: tuple[float, ...], yaw: float = 0.0) -> bytes:
    none = made("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = made("geometry_msgs/msg/Twist", linear=none, angular=none)
    return cdr(made(
        "nav_msgs/msg/Odometry", header=header(after), child_frame_id="base_link",
        pose=made("geometry_msgs/msg/PoseWithCovariance", pose=pose(position, yaw), covariance=np.zeros(36)),
        twist=made("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
    ))  # fmt: skip


def compressed(after: float, content: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((ROWS, COLUMNS, 3), 90, np.uint8)).save(stream, "PNG")
    data = np.frombuffer(stream.getvalue() if content is None else content, np.uint8)
    return cdr(made("sensor_msgs/msg/CompressedImage", header=header(after), format="png", data=data))


def raw(after: float, encoding: str, data: np.ndarray, step: int) -> bytes:
    return cdr(made(
        "sensor_msgs/msg/Image", header=header(after), height=ROWS, width=COLUMNS, encoding=encoding, is_bigendian=0,
        step=step, data=data.ravel(),
    ))  # fmt: skip


class Bench:
    """A source on a loopback, and its publisher."""

    def __init__(self, config: RosSourceConfig = CONFIG) -> None:
        hub = LoopbackNetwork()
        here, self.there = hub.join(), hub.join()
        self.config, self.stop = config, threading.Event()
        self.source = config.build(SourceContext("UAV_1", here.subscribe))
        self.frames: Iterator[Frame] = self.source.frames(wall_clock, self.stop)

    def say(self, image: bytes | None = None, info: bytes | None = None, pose: bytes | None = None) -> None:
        for key, message in ((self.config.info, info), (self.config.pose, pose), (self.config.image, image)):
            if message is not None:
                self.there.publish(key, message)


def test_poses_are_those_of_the_picture_between_two_that_came() -> None:
    mount = (0.2, 0.0, -0.1, 0.0, 90.0, 0.0)  # straight down, a hand before the middle
    bench = Bench(RosSourceConfig(**{**CONFIG.__dict__, "mount": mount, "origin": (690_000.0, 5_330_000.0, 500.0)}))
    quarter = np.pi / 2
    bench.say(info=info(), pose=odometry(0.0, (0, 0, 20)))
    bench.say(pose=odometry(0.1, (1, 2, 22), quarter))
    bench.say(image=compressed(0.05))
    capture = next(bench.frames).captures["CAMERA"]
    assert capture.time == START + 50_000_000 and capture.platform == "UAV_1"
    forward = np.array([np.cos(np.pi / 4), np.sin(np.pi / 4), 0])  # half way between the two
    expected = np.array([690_000.5, 5_330_001, 521 - 0.1]) + 0.2 * forward
    assert capture.geometry.position == pytest.approx(expected, abs=1e-6)
    assert capture.geometry.world_from_camera[:3, 2] == pytest.approx([0, 0, -1], abs=1e-9)
    assert -capture.geometry.world_from_camera[:3, 1] == pytest.approx(forward, abs=1e-9)  # the picture's top
    assert capture.geometry.camera.intrinsics[0, 2] == 32 and capture.geometry.camera.distortion[0] == 0.1
    assert (capture.load().pixels == 90).all() and capture.geometry.crs == "EPSG:32632"


@pytest.mark.parametrize(("encoding", "bands"), [("bgr8", (3, 2, 1)), ("rgba8", (1, 2, 3)), ("mono8", (1, 1, 1))])
def test_raw_pictures(encoding: str, bands: tuple[int, ...]) -> None:
    channels = {"bgr8": 3, "rgba8": 4, "mono8": 1}[encoding]
    bench = Bench(RosSourceConfig(**{**CONFIG.__dict__, "image_type": "sensor_msgs/msg/Image"}))
    step = COLUMNS * channels + 8  # rows may be padded
    data = np.zeros((ROWS, step), np.uint8)
    data[:, : COLUMNS * channels] = np.tile(np.arange(1, channels + 1, dtype=np.uint8), COLUMNS)
    bench.say(raw(0.1, encoding, data, step), info(), odometry(0.1, (0, 0, 20)))
    pixels = next(bench.frames).captures["CAMERA"].load().pixels
    assert pixels.shape == (len(bands), ROWS, COLUMNS) and pixels[:, 5, 5].tolist() == list(bands)


def test_boxes_of_a_detector_there_come_instead_of_pictures() -> None:
    config = RosSourceConfig("drone/camera_info", "drone/odom", detections="drone/boxes", pose_type=CONFIG.pose_type)
    bench = Bench(config)
    bench.say(info=info(), pose=odometry(0.0, (0, 0, 20)))
    bench.there.publish("drone/boxes", b"nonsense")
    bench.there.publish(
        "drone/boxes", detections_2d([(30, 20, 0.0, 8, 4, "car", 0.75), (10, 10, np.pi / 2, 8, 4, "2", 2.0)])
    )
    capture = next(bench.frames).captures["CAMERA"]
    assert isinstance(capture, DetectedCapture) and not capture.has_image and bench.source.rejected["image"] <= 1
    assert capture.boxes == pytest.approx(np.array([[26, 18, 34, 22], [8, 6, 12, 14]]))
    assert capture.categories == ("car", "2") and capture.scores.tolist() == [0.75, 1.0]
    with pytest.raises(ValueError, match="boxes without images"):
        capture.load()


def detections_2d(boxes: list[tuple[float, float, float, float, float, str, float]]) -> bytes:
    """Boxes as (u, v, turn, width, height, class, score) in a message of vision_msgs."""
    types = vision_types()

    def made(name: str, **values: Any) -> Any:
        return types.types[name](**values)

    def detection(u: float, v: float, turn: float, width: float, height: float, name: str, score: float) -> Any:
        hypothesis = made("vision_msgs/msg/ObjectHypothesis", class_id=name, score=score)
        spot = made("geometry_msgs/msg/PoseWithCovariance", pose=pose((0, 0, 0), 0), covariance=np.zeros(36))
        centre = made("vision_msgs/msg/Pose2D", position=made("vision_msgs/msg/Point2D", x=u, y=v), theta=turn)
        box = made("vision_msgs/msg/BoundingBox2D", center=centre, size_x=width, size_y=height)
        result = made("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=spot)
        return made("vision_msgs/msg/Detection2D", header=header(0), results=[result], bbox=box, id="")

    message = made(DETECTIONS_2D, header=header(0), detections=[detection(*box) for box in boxes])
    return bytes(types.serialize_cdr(message, DETECTIONS_2D))


def test_what_is_no_picture_is_left_out_and_counted() -> None:
    bench = Bench()
    bench.say(info=info(), pose=odometry(0.0, (0, 0, 20)))
    good = compressed(0.0)
    bad = [b"", b"nonsense", good[:40], good[:-60], compressed(0.0, b"GIF"), compressed(60.0), odometry(0.0, (0, 0, 1))]
    found: list[Frame] = []
    thread = threading.Thread(target=lambda: found.extend(bench.frames))
    thread.start()
    for message in bad:
        seen = bench.source.rejected["image"]
        bench.say(message)
        until(lambda seen=seen: bench.source.rejected["image"] > seen)
    bench.say(good)
    until(lambda: bool(found))
    bench.stop.set()
    thread.join(5)
    assert bench.source.rejected["image"] == len(bad) and len(found) == 1


def test_what_is_missing_is_said() -> None:
    bench = Bench()
    assert "nothing has come under drone/camera_info" in bench.source._describe_missing()
    bench.say(info=info("rational_polynomial", (0.1,) * 8), pose=odometry(0.0, (np.nan, 0, 1)))
    assert (
        "rectify the images first" in bench.source._describe_missing()
        and "not finite" in bench.source._describe_missing()
    )
    bench.say(info=info("rational_polynomial", (0.0,) * 8), pose=odometry(0.0, (0, 0, 1)))
    bench.source.rejected.clear()
    assert bench.source._describe_missing() == "nothing comes under drone/image/compressed"


def test_pictures_come_at_most_once_an_interval() -> None:
    bench = Bench()
    bench.say(info=info(), pose=odometry(0.2, (0, 0, 20)))
    times = []
    for after in (0.10, 0.13, 0.20):
        bench.say(compressed(after))
        if after != 0.13:
            times.append(next(bench.frames).time - START)
        else:
            time.sleep(0.01)
    assert times == [100_000_000, 200_000_000]


def test_a_clock_that_was_wrong_once_is_forgiven() -> None:
    bench = Bench()
    bench.say(info=info(), pose=odometry(1000.0, (0, 0, 20)), image=compressed(1000.0))
    assert next(bench.frames).time == START + 1000 * 10**9
    bench.say(pose=odometry(0.1, (0, 0, 20)), image=compressed(0.1))
    assert next(bench.frames).time == START + 100_000_000


def test_mounts_follow_rep_103() -> None:
    level = camera_mount((1.0, 2.0, 3.0, 0.0, 0.0, 0.0))
    assert level[:3, 3].tolist() == [1, 2, 3]
    assert level[:3, 2] == pytest.approx([1, 0, 0]) and level[:3, 0] == pytest.approx([0, -1, 0])  # right is -y
    assert camera_mount((0, 0, 0, 90.0, 0, 0))[:3, 2] == pytest.approx([0, 1, 0], abs=1e-12)  # to the left


def test_a_node_hears_a_bridge_on_a_session_of_its_own() -> None:
    bridge = ZenohTransport(ZenohConfig(listen=["tcp/127.0.0.1:18655"]))
    ros = {"image": CONFIG.image, "info": CONFIG.info, "pose": CONFIG.pose, "pose_type": CONFIG.pose_type}
    content = {
        "name": "UAV_1",
        "source": {"kind": "ros2", **ros, "connect": ["tcp/127.0.0.1:18655"], "interval": 0.1},
        "perceiver": {"kind": "ground_truth"},
    }
    node, source = build_node(config_from_dict(content, NodeConfig))
    stop, found = threading.Event(), []
    thread = threading.Thread(target=lambda: found.extend(source.frames(wall_clock, stop)))
    thread.start()
    try:
        for number in range(100):
            bridge.publish(CONFIG.info, info())
            bridge.publish(CONFIG.pose, odometry(0.1 * number, (0, 0, 20)))
            bridge.publish(CONFIG.image, compressed(0.1 * number))
            time.sleep(0.05)
            if found:
                break
    finally:
        stop.set()
        thread.join(5)
        node.close()
        bridge.close()
    assert found and found[0].captures["CAMERA"].load().pixels.shape == (3, ROWS, COLUMNS)


def test_a_source_that_cannot_be_opened_leaves_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[ZenohTransport] = []
    close = ZenohTransport.close
    monkeypatch.setattr(ZenohTransport, "close", lambda self: (closed.append(self), close(self)))
    monkeypatch.setattr(RosSource, "__init__", lambda *_: (_ for _ in ()).throw(ValueError("no such camera")))
    ros = {"image": CONFIG.image, "info": CONFIG.info, "pose": CONFIG.pose, "pose_type": CONFIG.pose_type}
    content = {
        "name": "UAV_1",
        "source": {"kind": "ros2", **ros, "connect": ["tcp/127.0.0.1:18656"], "interval": 0.1},
        "perceiver": {"kind": "ground_truth"},
    }
    bridge = ZenohTransport(ZenohConfig(listen=["tcp/127.0.0.1:18656"]))
    try:
        with pytest.raises(ValueError, match="no such camera"):
            build_node(config_from_dict(content, NodeConfig))
        assert len(closed) == 2, "the fleet's session and the source's own"
    finally:
        bridge.close()


def test_configurations_are_checked() -> None:
    with pytest.raises(ValueError, match="needs the topic of its image, or that of detections"):
        SourceConfig.from_content({"kind": "ros2", "info": "a", "pose": "b"})
    with pytest.raises(ValueError, match="missing required field `info`"):
        SourceConfig.from_content({"kind": "ros2", "image": "a", "pose": "b"})
    with pytest.raises(ValueError, match="pose_type 'tf' is not read"):
        RosSourceConfig("a", "b", "c", pose_type="tf")
    member = LoopbackNetwork().join()
    assert isinstance(CONFIG.build(SourceContext("UAV_1", member.subscribe)), RosSource)
    with pytest.raises(ValueError, match="say where the images come from"):
        CONFIG.build(SourceContext("UAV_1"))
