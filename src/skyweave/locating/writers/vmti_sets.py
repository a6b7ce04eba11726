"""The sets of MISB ST 0601 and ST 0903 (VMTI) that say of an image where its camera was and what is in it."""

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_angles, rotation_about_z
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.locating.track_table import true_north_offset
from skyweave.telemetry.formats.klv_encoding import (
    encode_imapb,
    encode_integer,
    encode_local_set,
    encode_series,
    encode_signed,
    encode_tag,
    encode_universal_set,
    encode_unsigned,
)
from skyweave.telemetry.formats.misb import UAS_KEY

UAS_VERSION, VMTI_VERSION = 17, 5
TRACK_SPACE = uuid.UUID("8f3c0e3c-6f0b-4a53-9f1d-1d0f6a3f5b52")  # in which tracks have names
MAX_STD_M = 650.0  # that a location can state; for a height above what nobody knows, it says just that
VERTICAL_SPEED_STD_M_S = 1.0  # of what moves along a ground whose slope is not known
MOVING, STOPPED = 1, 3  # states of a track that is detected
STOPPED_SPEED_M_S = 0.7
MAX_COUNT = 65_535
MAX_TEXT_BYTES = 127


@dataclass(frozen=True)
class VmtiTarget:
    """An object in an image.

    Attributes:
        number: of the target, small.
        name: of its track, from which its identity is made.
        category: of its class.
        score: 0 to 1.
        box: (4,) left, top, right, bottom in pixels.
        lon_lat: (2,) degrees, WGS84.
        height: metres.
        covariance: (2, 2) of the place on the map's grid, square metres.
        up_std: standard deviation of the height, metres.
        velocity: (2,) on the map's grid, metres a second.
        velocity_covariance: (2, 2) of that.
        begin: of the track, UTC nanoseconds.
        time: of the image, UTC nanoseconds.
        points: of the track so far.
    """

    number: int
    name: str
    category: str
    score: float
    box: np.ndarray
    lon_lat: np.ndarray
    height: float
    covariance: np.ndarray
    up_std: float
    velocity: np.ndarray
    velocity_covariance: np.ndarray
    begin: int
    time: int
    points: int


def camera_set(
    name: str, time: int, geometry: CameraGeometry, crs: str, detections: bytes, altitude_tag: int | None
) -> bytes:
    """Return the set of ST 0601 of one image: the camera, and what is in the image.

    Args:
        name: of the platform.
        time: of the image, UTC nanoseconds.
        geometry: of the camera.
        crs: of the map.
        detections: set of ST 0903.
        altitude_tag: under which its height is stated; None: nobody knows what it counts from.
    """
    position, camera = geometry.position, geometry.camera
    longitude, latitude = unproject_lon_lat(position[None, :2], crs)[0]
    north = true_north_offset(crs, np.array([longitude, latitude]))
    yaw, pitch, roll = np.degrees(camera_angles(geometry.world_from_camera))
    sides = np.array([camera.columns, camera.rows]) / 2
    horizontal, vertical = 2 * np.degrees(np.arctan(sides / np.diag(camera.intrinsics)[:2]))
    items = {
        2: (time // 1000).to_bytes(8, "big"),
        5: encode_unsigned((90 - yaw + np.degrees(north)) % 360, 0, 360, 2),
        6: encode_signed(0, 20, 2),  # the camera's angles are the platform's and the sensor's together
        7: encode_signed(0, 50, 2),
        10: name.encode()[:MAX_TEXT_BYTES],
        13: encode_signed(latitude, 90, 4),
        14: encode_signed(longitude, 180, 4),
        16: encode_unsigned(float(horizontal), 0, 180, 2),
        17: encode_unsigned(float(vertical), 0, 180, 2),
        18: encode_unsigned(0, 0, 360, 4),
        19: encode_signed(-pitch, 180, 4),
        20: encode_unsigned(roll % 360, 0, 360, 4),
        65: bytes([UAS_VERSION]),
        74: detections,
    }
    if altitude_tag is not None:
        items[altitude_tag] = encode_unsigned(float(position[2]), -900, 19_000, 2)
    return encode_universal_set(UAS_KEY, dict(sorted(items.items(), key=lambda item: (item[0] != 2, item[0]))))


def vmti_set(name: str, frame: int, camera: PinholeCamera, reported: int, targets: list[bytes]) -> bytes:
    """Return the local set of ST 0903 of one image.

    Args:
        name: of the camera.
        frame: number of the image.
        camera: its size.
        reported: objects that are detected in it.
        targets: packs of those that are sent.
    """
    items = {
        3: b"skyweave",
        4: bytes([VMTI_VERSION]),
        5: encode_integer(reported),
        6: encode_integer(len(targets)),
        7: encode_integer(frame),
        8: encode_integer(camera.columns),
        9: encode_integer(camera.rows),
        10: name.encode()[:MAX_TEXT_BYTES],
    }
    if targets:
        items[101] = encode_series(targets)
    return encode_local_set(items)


def target_pack(target: VmtiTarget, camera: PinholeCamera, crs: str) -> bytes:
    """Return the pack of one target: its number, then its items.

    Args:
        target: in the image.
        camera: the size of the image.
        crs: of the map.
    """
    box = target.box
    items = {
        1: _pixel_number((box[:2] + box[2:]) / 2, camera),
        2: _pixel_number(box[:2], camera),
        3: _pixel_number(box[2:], camera),
        5: bytes([round(100 * target.score)]),
        6: encode_integer(min(target.points - 1, MAX_COUNT)),
        17: _location(target, crs),
        102: encode_local_set({2: target.category.encode()[:MAX_TEXT_BYTES]}),
        104: _tracker(target, crs),
    }
    return encode_tag(target.number) + encode_local_set(items)


def _pixel_number(pixel: np.ndarray, camera: PinholeCamera) -> bytes:
    """Return the number of a pixel, counted row by row from 1."""
    column, row = np.clip(np.floor(pixel).astype(int), 0, [camera.columns - 1, camera.rows - 1]).tolist()
    return encode_integer(row * camera.columns + column + 1)


def _location(target: VmtiTarget, crs: str) -> bytes:
    """Return the location pack: latitude, longitude, height, then standard deviations and correlations."""
    longitude, latitude = target.lon_lat
    stds, correlation = _east_north(target.covariance, target.lon_lat, crs)
    place = encode_imapb(latitude, -90, 90, 4) + encode_imapb(longitude, -180, 180, 4)
    height = encode_imapb(target.height, -900, 19_000, 2)
    return place + height + _deviations([*stds, target.up_std], correlation)


def _tracker(target: VmtiTarget, crs: str) -> bytes:
    """Return the local set of the track: identity, state, times, velocity."""
    east, north = _true_from_grid(target.lon_lat, crs) @ target.velocity
    stds, correlation = _east_north(target.velocity_covariance, target.lon_lat, crs)
    velocity = b"".join(encode_imapb(value, -900, 900, 2) for value in (float(east), float(north), 0.0))
    items: dict[int, Any] = {
        1: uuid.uuid5(TRACK_SPACE, target.name).bytes,
        2: bytes([MOVING if np.hypot(east, north) > STOPPED_SPEED_M_S else STOPPED]),
        3: (target.begin // 1000).to_bytes(8, "big"),
        4: (target.time // 1000).to_bytes(8, "big"),
        8: encode_integer(target.points),
        10: velocity + _deviations([*stds, VERTICAL_SPEED_STD_M_S], correlation),
    }
    return encode_local_set(items)


def _deviations(stds: list[float], correlation: float) -> bytes:
    """Return three standard deviations, and the correlations of east and north, east and up, north and up."""
    values = b"".join(encode_imapb(std, 0, MAX_STD_M, 2) for std in stds)
    return values + b"".join(encode_imapb(value, -1, 1, 2) for value in (correlation, 0.0, 0.0))


def _east_north(covariance: np.ndarray, lon_lat: np.ndarray, crs: str) -> tuple[list[float], float]:
    """Return the standard deviations towards true east and north, and their correlation."""
    rotation = _true_from_grid(lon_lat, crs)
    turned = rotation @ covariance @ rotation.T
    stds = np.sqrt(np.maximum(np.diag(turned), 1e-12))
    return stds.tolist(), float(turned[0, 1] / stds.prod())


def _true_from_grid(lon_lat: np.ndarray, crs: str) -> np.ndarray:
    """Return the (2, 2) rotation from the grid's axes to true east and north."""
    return rotation_about_z(-true_north_offset(crs, lon_lat))[:2, :2]
