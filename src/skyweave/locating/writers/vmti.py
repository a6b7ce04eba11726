"""Tracks as detections in motion imagery: MISB ST 0903.5 (VMTI) within ST 0601, a set for each image.

What a player of such streams draws over the video: boxes with identities, places with their covariance, velocities.
"""

import uuid
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import camera_angles, rotation_about_z
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.locating.track_table import TrackTable, true_north_offset
from skyweave.locating.tracking import CameraStream, SeenImage
from skyweave.locating.writers.base import TrackOutput, TrackPlace, file_of_camera, places_by_image
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
from skyweave.telemetry.poses_over_time import HeightDatum

UAS_VERSION, VMTI_VERSION = 17, 5
TRACK_SPACE = uuid.UUID("8f3c0e3c-6f0b-4a53-9f1d-1d0f6a3f5b52")  # in which tracks have names
MAX_STD_M = 650.0  # that a location can state; for a height above what nobody knows, it says just that
VERTICAL_SPEED_STD_M_S = 1.0  # of what moves along a ground whose slope is not known
MOVING, STOPPED = 1, 3  # states of a track that is detected
STOPPED_SPEED_M_S = 0.7
ALTITUDE_TAGS: dict[HeightDatum, int] = {"sea_level": 15, "ellipsoid": 75}


def write_track_klv(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.klv``, or ``tracks-CAMERA.klv`` of several; none without UTC, which each set states.

    Args:
        output: what to write.
        folder: where.
    """
    if not output.result.has_utc:
        return []
    return [_write_one(output, platform, folder) for platform in range(len(output.result.streams))]


def _write_one(output: TrackOutput, platform: int, folder: Path) -> Path:
    stream = output.result.streams[platform]
    path = folder / file_of_camera(output, platform, "tracks", ".klv")
    times = np.array([image.time for image in stream.images], np.int64)
    correction = output.result.calibration.means[platform]
    samples = stream.track.samples(times, correction) if len(times) else []
    places = places_by_image(output, platform)
    with write_aside(path) as aside, aside.open("wb") as file:
        for image, sample in zip(stream.images, samples, strict=True):
            if sample is not None:
                file.write(_image_set(output, stream, image, sample.state.geometry, places.get(image.frame, [])))
    return path


def _image_set(
    output: TrackOutput, stream: CameraStream, image: SeenImage, geometry: CameraGeometry, places: list[TrackPlace]
) -> bytes:
    """Return the set of ST 0601 of one image, the camera and what is in the image."""
    position, camera = geometry.position, geometry.camera
    longitude, latitude = unproject_lon_lat(position[None, :2], output.result.crs)[0]
    north = true_north_offset(output.result.crs, np.array([longitude, latitude]))
    yaw, pitch, roll = np.degrees(camera_angles(geometry.world_from_camera))
    horizontal, vertical = 2 * np.degrees(
        np.arctan(np.array([camera.columns, camera.rows]) / 2 / np.diag(camera.intrinsics)[:2])
    )
    items = {
        2: ((stream.start + image.time) // 1000).to_bytes(8, "big"),
        5: encode_unsigned((90 - yaw + np.degrees(north)) % 360, 0, 360, 2),
        6: encode_signed(0, 20, 2),  # the camera's angles are the platform's and the sensor's together
        7: encode_signed(0, 50, 2),
        10: stream.name.encode()[:127],
        13: encode_signed(latitude, 90, 4),
        14: encode_signed(longitude, 180, 4),
        16: encode_unsigned(float(horizontal), 0, 180, 2),
        17: encode_unsigned(float(vertical), 0, 180, 2),
        18: encode_unsigned(0, 0, 360, 4),
        19: encode_signed(-pitch, 180, 4),
        20: encode_unsigned(roll % 360, 0, 360, 4),
        65: bytes([UAS_VERSION]),
        74: _vmti_set(output, stream, image, geometry, places),
    }
    if stream.track.datum in ALTITUDE_TAGS:
        items[ALTITUDE_TAGS[stream.track.datum]] = encode_unsigned(float(position[2]), -900, 19_000, 2)
    return encode_universal_set(UAS_KEY, dict(sorted(items.items(), key=lambda item: (item[0] != 2, item[0]))))


def _vmti_set(
    output: TrackOutput, stream: CameraStream, image: SeenImage, geometry: CameraGeometry, places: list[TrackPlace]
) -> bytes:
    """Return the local set of ST 0903 of one image."""
    camera = geometry.camera
    targets = [_target(output, place, stream, image, camera.rows, camera.columns) for place in places]
    items = {
        3: b"skyweave",
        4: bytes([VMTI_VERSION]),
        5: encode_integer(len(image.detections)),
        6: encode_integer(len(targets)),
        7: encode_integer(image.frame),
        8: encode_integer(camera.columns),
        9: encode_integer(camera.rows),
        10: stream.name.encode()[:127],
    }
    if targets:
        items[101] = encode_series(targets)
    return encode_local_set(items)


def _target(
    output: TrackOutput, place: TrackPlace, stream: CameraStream, image: SeenImage, rows: int, columns: int
) -> bytes:
    """Return the pack of one target: its number, then its items."""
    table, row = place.table, place.row
    platform = int(table.platforms[row])
    detections = output.result.located[platform, image.frame].detections
    box = detections.boxes[table.rows[row]]
    items = {
        1: _pixel_number((box[:2] + box[2:]) / 2, rows, columns),
        2: _pixel_number(box[:2], rows, columns),
        3: _pixel_number(box[2:], rows, columns),
        5: bytes([round(100 * float(detections.scores[table.rows[row]]))]),
        6: encode_integer(min(row, 65535)),
        17: _location(output, table, row, stream.track.datum == "ellipsoid"),
        102: encode_local_set({2: table.category.encode()[:127]}),
        104: _tracker(output, table, row),
    }
    return encode_tag(table.number) + encode_local_set(items)


def _pixel_number(pixel: np.ndarray, rows: int, columns: int) -> bytes:
    """Return the number of a pixel, counted row by row from 1."""
    column, row = np.clip(np.floor(pixel).astype(int), 0, [columns - 1, rows - 1]).tolist()
    return encode_integer(row * columns + column + 1)


def _location(output: TrackOutput, table: TrackTable, row: int, on_ellipsoid: bool) -> bytes:
    """Return the location pack: latitude, longitude, height, then standard deviations and correlations."""
    longitude, latitude = table.lon_lat[row]
    stds, correlation = _east_north(output, table, row, table.covariances[row])
    up_std = output.result.elevation_std if on_ellipsoid else MAX_STD_M
    place = encode_imapb(latitude, -90, 90, 4) + encode_imapb(longitude, -180, 180, 4)
    height = encode_imapb(float(table.up[row]), -900, 19_000, 2)
    return place + height + _deviations([*stds, up_std], correlation)


def _tracker(output: TrackOutput, table: TrackTable, row: int) -> bytes:
    """Return the local set of the track: identity, state, times, velocity."""
    rotation = _true_from_grid(output, table, row)
    east, north = rotation @ table.velocities[row]
    stds, correlation = _east_north(output, table, row, table.velocity_covariances[row])
    velocity = b"".join(encode_imapb(value, -900, 900, 2) for value in (float(east), float(north), 0.0))
    items = {
        1: uuid.uuid5(TRACK_SPACE, f"{table.times[0]} {table.number}").bytes,
        2: bytes([MOVING if table.speeds[row] > STOPPED_SPEED_M_S else STOPPED]),
        3: (int(table.times[0]) // 1000).to_bytes(8, "big"),
        4: (int(table.times[row]) // 1000).to_bytes(8, "big"),
        8: encode_integer(row + 1),
        10: velocity + _deviations([*stds, VERTICAL_SPEED_STD_M_S], correlation),
    }
    return encode_local_set(items)


def _deviations(stds: list[float], correlation: float) -> bytes:
    """Return three standard deviations, and the correlations of east and north, east and up, north and up."""
    values = b"".join(encode_imapb(std, 0, MAX_STD_M, 2) for std in stds)
    return values + b"".join(encode_imapb(value, -1, 1, 2) for value in (correlation, 0.0, 0.0))


def _east_north(output: TrackOutput, table: TrackTable, row: int, covariance: np.ndarray) -> tuple[list[float], float]:
    """Return the standard deviations towards true east and north, and their correlation."""
    rotation = _true_from_grid(output, table, row)
    turned = rotation @ covariance @ rotation.T
    stds = np.sqrt(np.maximum(np.diag(turned), 1e-12))
    return stds.tolist(), float(turned[0, 1] / stds.prod())


def _true_from_grid(output: TrackOutput, table: TrackTable, row: int) -> np.ndarray:
    """Return the (2, 2) rotation from the grid's axes to true east and north."""
    return rotation_about_z(-true_north_offset(output.result.crs, table.lon_lat[row]))[:2, :2]
