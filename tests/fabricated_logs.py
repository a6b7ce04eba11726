"""Logs of flights as their programs write them, with known contents."""

import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as mavlink
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from skyweave.core.geometry.conventions import FLU_FROM_CAMERA
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.telemetry.formats.klv import klv_checksum
from skyweave.telemetry.formats.misb import UAS_KEY

START_US = 1_700_000_000_000_000
START_NS = START_US * 1000
HALF = np.sqrt(0.5)
OPTICAL = quaternion_from_rotation(FLU_FROM_CAMERA)
MAGIC = b"ULog\x01\x12\x35\x01"
TYPES = {"Q": "uint64_t", "d": "double", "f": "float", "B": "uint8_t", "I": "uint32_t", "i": "int32_t"}
BOOT_US = 5_000_000


def message(kind: str, content: bytes) -> bytes:
    return struct.pack("<HB", len(content), ord(kind)) + content


def ulog(topics: dict[str, tuple[list[tuple[str, str]], list[tuple[float, ...]]]]) -> bytes:
    """A log of topics: fields (code, name) beside the timestamp, and rows that begin with it."""
    content = MAGIC + struct.pack("<Q", BOOT_US) + message("B", bytes(40))
    for name, (fields, _) in topics.items():
        layout = ";".join(f"{TYPES[code]} {field}" for code, field in [("Q", "timestamp"), *fields])
        content += message("F", f"{name}:{layout};".encode())
    for number, name in enumerate(topics):
        content += message("A", struct.pack("<BH", 0, number) + name.encode())
    for number, (fields, rows) in enumerate(topics.values()):
        code = "<HQ" + "".join(code for code, _ in fields)
        for stamp, *values in rows:
            content += message("D", struct.pack(code, number, int(stamp), *values))
    return content


def scaled(value: float, low: float, high: float, size: int) -> bytes:
    """An unsigned integer over a range."""
    return round((value - low) / (high - low) * (2 ** (8 * size) - 1)).to_bytes(size, "big")


def scaled_signed(value: float, limit: float, size: int) -> bytes:
    return round(value / limit * (2 ** (8 * size - 1) - 1)).to_bytes(size, "big", signed=True)


def uas_set(time_us: int = START_US, **changes: bytes | None) -> bytes:
    """A set of ST 0601: 60 m over 48 N, 11 E, flying east, the sensor 45 degrees to the right and 30 down."""
    items = {
        2: time_us.to_bytes(8, "big"),
        5: scaled(90, 0, 360, 2),
        6: scaled_signed(0, 20, 2),
        7: scaled_signed(0, 50, 2),
        10: b"Kestrel",
        13: scaled_signed(48, 90, 4),
        14: scaled_signed(11, 180, 4),
        15: scaled(560, -900, 19_000, 2),
        16: scaled(60, 0, 180, 2),
        17: scaled(40, 0, 180, 2),
        18: scaled(45, 0, 360, 4),
        19: scaled_signed(-30, 180, 4),
        20: scaled(0, 0, 360, 4),
        65: bytes([17]),
    }
    items |= {int(tag[1:]): value for tag, value in changes.items() if value is not None}
    items = {tag: value for tag, value in items.items() if f"t{tag}" not in changes or changes[f"t{tag}"] is not None}
    value = b"".join(bytes([tag, len(item)]) + item for tag, item in items.items()) + b"\x01\x02"
    whole = UAS_KEY + b"\x81" + bytes([len(value) + 2]) + value
    return whole + klv_checksum(whole).to_bytes(2, "big")


class TelemetryLog:
    """Packets of a vehicle with the time they arrived."""

    def __init__(self, system: int = 1, version: int = 2) -> None:
        self.content = b""
        self.link = mavlink.MAVLink(None, srcSystem=system, srcComponent=1)
        self.version = version

    def add(self, microseconds: int, message: Any, component: int = 1) -> None:
        self.link.srcComponent = component
        packet = message.pack(self.link, force_mavlink1=self.version == 1)
        self.content += (START_US + microseconds).to_bytes(8, "big") + packet


DATAFLASH = {
    "GPS": (130, "QBBIHBcLLefffB", "TimeUS,I,Status,GMS,GWk,NSats,HDop,Lat,Lng,Alt,Spd,GCrs,VZ,U"),
    "POS": (131, "QLLfff", "TimeUS,Lat,Lng,Alt,RelHomeAlt,RelOriginAlt"),
    "ATT": (132, "QccccCC", "TimeUS,DesRoll,Roll,DesPitch,Pitch,DesYaw,Yaw"),
    "MNT": (133, "QBffffffff", "TimeUS,I,DesRoll,Roll,DesPitch,Pitch,DesYawB,YawB,DesYawE,YawE"),
}
"""Messages of ArduPilot 4.3: number, format and fields."""
DATAFLASH_CODES = {"Q": "Q", "B": "B", "I": "I", "H": "H", "c": "h", "C": "H", "L": "i", "e": "i", "f": "f"}


def dataflash(rows: list[tuple[Any, ...]]) -> bytes:
    """A log of ArduPilot of rows (kind, then its fields as they are stored), after the descriptions of its messages."""
    content = b""
    for kind, (number, layout, fields) in {
        "FMT": (128, "BBnNZ", "Type,Length,Name,Format,Columns"),
        **DATAFLASH,
    }.items():
        size = 89 if kind == "FMT" else 3 + struct.calcsize("<" + "".join(DATAFLASH_CODES[c] for c in layout))
        words = (kind.encode(), layout.encode(), fields.encode())
        content += b"\xa3\x95\x80" + struct.pack("<BB4s16s64s", number, size, *words)
    for kind, *values in rows:
        number, layout, _ = DATAFLASH[kind]
        code = "<" + "".join(DATAFLASH_CODES[c] for c in layout)
        content += b"\xa3\x95" + bytes([number]) + struct.pack(code, *values)
    return content


@cache
def store(name: Stores) -> Any:
    types = get_typestore(name)
    if "tf2_msgs/msg/TFMessage" not in types.types:  # of a package of its own in ROS 1
        text = "geometry_msgs/TransformStamped[] transforms"
        types.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))
    return types


class RosMessages:
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


def write_bag(path: Path, messages: Any, store: Any, storage: StoragePlugin | None = None) -> Path:
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
