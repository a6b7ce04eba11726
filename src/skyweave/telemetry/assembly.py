"""Columns of a log to poses over time: what cannot be is taken out, what is not there is named.

Logs hold places at 0, 0 before there is a fix, times that stand still or go back, and angles of gimbals that are
switched off. This is the one place where that is looked at, for every format.
"""

from dataclasses import replace

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import MAX_HEIGHT_M
from skyweave.telemetry.angles import body_orientations, camera_orientations
from skyweave.telemetry.interpolation import interpolate_poses
from skyweave.telemetry.poses_over_time import HeightDatum, Heights, MissingTopic, PosesOverTime
from skyweave.telemetry.samples import HEIGHT_BIAS_STD_M, Column, LogSamples

HORIZONTAL_STD_M = 2.0  # of a receiver without corrections
VERTICAL_STD_M = 0.5  # from pose to pose; what all share is the bias of the heights
GIMBAL_TILT_STD = 1.0  # degrees
GIMBAL_HEADING_STD = 3.0  # degrees
BODY_TILT_STD = 2.0  # degrees
BODY_HEADING_STD = 5.0  # degrees, of a compass on board
MAX_ANGLE = 720.0  # degrees; beyond it a number is no angle
CAMERA_COLUMNS: tuple[Column, ...] = ("camera_yaw", "camera_pitch", "camera_roll")
BODY_COLUMNS: tuple[Column, ...] = ("body_yaw", "body_pitch", "body_roll")
STD_COLUMNS: tuple[Column, ...] = ("horizontal_std", "vertical_std", "heading_std", "tilt_std")
MAX_STD = 1e4  # metres or degrees; receivers without a fix write larger ones
UNKNOWN_STD = (99.0, 99.9, 99.99, 999.0, 999.9, 999.99, 9999.0, 9999.9)  # by which receivers say that they do not know
AHEAD_NOTE = "the log has the gimbal's pitch and not its heading: the camera is taken to look ahead of the drone"
HALF_KNOWN = {  # of a gimbal whose heading or pitch is in the log: what is not
    (True, False): "it has the gimbal's heading and not its pitch",
    (False, True): "it has the gimbal's pitch, and no heading of the gimbal or the drone",
}
Angles = tuple[np.ndarray, np.ndarray, np.ndarray]  # yaw, pitch and roll in degrees
NULL_ISLAND_DEGREES = 0.01  # from 0, 0, about which filters drift before there is a fix; it is open ocean


def assemble_poses(samples: LogSamples) -> PosesOverTime:
    """Return the poses in a log.

    Args:
        samples: its columns.

    Raises:
        DataError: it has no samples at all.
    """
    if not len(samples.times):
        raise DataError(f"{samples.source} holds no telemetry")
    samples = samples.in_time_order()
    places, notes = _places(samples)
    samples, unknown = _without_unknown_std(samples)
    heights, beyond = _heights(samples)
    notes += unknown + beyond
    camera, body, covariance, ahead = _orientations(samples)
    poses = PosesOverTime(
        source=samples.source,
        times=samples.times,
        clock=samples.clock,
        places=places,
        heights=heights,
        enu_from_camera=camera,
        enu_from_body=body,
        covariance=covariance,
        epoch=0 if samples.clock == "utc" else samples.epoch,
        time_std=samples.time_std,
        field_of_view=_fields_of_view(samples),
        camera=samples.camera,
        platform=samples.platform,
        is_fixed=samples.is_fixed,
        notes=(*samples.notes, *notes, *ahead),
    )
    if samples.interleaved:
        poses = interpolate_poses(poses, poses.times)
    return replace(poses, missing=_missing(poses, samples))


def _places(samples: LogSamples) -> tuple[np.ndarray, list[str]]:
    """Places (n, 2), and notes on those that are none."""
    places = np.column_stack([samples.column("latitude"), samples.column("longitude")])
    stated = np.isfinite(places).all(1)
    zero = stated & (np.abs(places) < NULL_ISLAND_DEGREES).all(1)
    wrong = stated & ((np.abs(places[:, 0]) > 90) | (np.abs(places[:, 1]) > 360))
    notes = [f"{zero.sum()} samples before there was a fix (at 0, 0) have no place"] if zero.any() else []
    notes += [f"{wrong.sum()} samples whose latitude or longitude is no place have none"] if wrong.any() else []
    return np.where((stated & ~zero & ~wrong)[:, None], places, np.nan), notes


def _without_unknown_std(samples: LogSamples) -> tuple[LogSamples, list[str]]:
    """Take out the numbers by which receivers say that they know no accuracy."""
    stated = {name: samples.column(name) for name in STD_COLUMNS if name in samples.columns}
    unknown = {name: np.isclose(values[:, None], UNKNOWN_STD, rtol=0, atol=1e-4) for name, values in stated.items()}
    rows = np.array([known.any(1) for known in unknown.values()])
    if not rows.any():
        return samples, []
    nines = sorted({UNKNOWN_STD[k] for known in unknown.values() for k in np.flatnonzero(known.any(0))})
    note = (
        f"{rows.any(0).sum()} of {len(samples.times)} samples state an accuracy that stands for none "
        f"({', '.join(f'{value:g}' for value in nines)}): that of a usual receiver is taken"
    )
    columns = {name: np.where(unknown[name].any(1), np.nan, values) for name, values in stated.items()}
    return replace(samples, columns={**samples.columns, **columns}), [note]


def _heights(samples: LogSamples) -> tuple[dict[HeightDatum, Heights], list[str]]:
    """Heights by datum, and a note on those that nothing in the air has."""
    heights: dict[HeightDatum, Heights] = {}
    notes = []
    for datum, values in samples.heights.items():
        bounded = _bounded(values, MAX_HEIGHT_M)
        beyond = np.isfinite(values) & np.isnan(bounded)
        if beyond.any():
            notes.append(
                f"{beyond.sum()} of {len(values)} heights ({datum.replace('_', ' ')}) are beyond {MAX_HEIGHT_M:g} m, "
                f"such as {values[beyond][0]:g}, and count as unknown: are they in another unit?"
            )
        if np.isfinite(bounded).any():
            bias = samples.height_bias_std.get(datum, HEIGHT_BIAS_STD_M[datum])
            heights[datum] = Heights(bounded, bias)
    return heights, notes


def _orientations(samples: LogSamples) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Orientations of camera and body, (n, 4) each, the covariances (n, 6, 6) of poses, and a note."""
    angles, body_angles, ahead = _with_one_heading(_camera_angles(samples), _body_angles(samples))
    body = _first_known(samples.enu_from_body, body_orientations(*body_angles))
    camera = _first_known(samples.enu_from_camera, camera_orientations(*angles))
    has_camera = np.isfinite(camera).all(1)
    tilt = np.where(has_camera, GIMBAL_TILT_STD, BODY_TILT_STD)
    heading = np.where(has_camera & (not ahead), GIMBAL_HEADING_STD, BODY_HEADING_STD)
    tilt, heading = _stated(samples, "tilt_std", tilt), _stated(samples, "heading_std", heading)
    east, up = _stated(samples, "horizontal_std", HORIZONTAL_STD_M), _stated(samples, "vertical_std", VERTICAL_STD_M)
    std = np.column_stack([east, east, up, *np.radians([tilt, tilt, heading])])
    covariance = std[:, :, None] ** 2 * np.eye(6)
    if samples.covariance is not None:
        known = np.isfinite(samples.covariance).all((1, 2), keepdims=True)
        covariance = np.where(known, samples.covariance, covariance)
    return camera, body, covariance, ahead


def _with_one_heading(camera: Angles, body: Angles) -> tuple[Angles, Angles, list[str]]:
    """Let camera and body share a heading where a gimbal states its pitch alone, or its heading alone; and a note."""
    stated = _is_stated(camera[0]), _is_stated(camera[1])
    if stated == (False, True) and _is_stated(body[0]):
        return (body[0], *camera[1:]), body, [AHEAD_NOTE]
    return camera, (camera[0], *body[1:]) if stated == (True, False) else body, []


def _is_stated(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def _camera_angles(samples: LogSamples) -> Angles:
    """Yaw, pitch and roll (n,) in degrees; a roll that is not stated is 0, and all zeros are a gimbal that is off."""
    yaw, pitch, roll = (_bounded(samples.column(name), MAX_ANGLE) for name in CAMERA_COLUMNS)
    is_off = bool(((yaw == 0) & (pitch == 0) & (roll == 0)).all())
    yaw, pitch = (np.where(is_off, np.nan, values) for values in (yaw, pitch))
    return yaw, pitch, _zero_if_unstated(roll)


def _body_angles(samples: LogSamples) -> Angles:
    """Yaw, pitch and roll (n,) in degrees; a pitch or roll that is not stated is 0."""
    yaw, pitch, roll = (_bounded(samples.column(name), MAX_ANGLE) for name in BODY_COLUMNS)
    return yaw, _zero_if_unstated(pitch), _zero_if_unstated(roll)


def _zero_if_unstated(values: np.ndarray) -> np.ndarray:
    return values if _is_stated(values) else np.zeros_like(values)


def _first_known(stated: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    """Rows of the first array where they are known, else of the second."""
    if stated is None:
        return other
    length = np.linalg.norm(stated, axis=1, keepdims=True)
    unit = stated / np.where(length > 0, length, np.nan)
    return np.where(np.isfinite(unit).all(1, keepdims=True), unit, other)


def _stated(samples: LogSamples, name: Column, default: np.ndarray | float) -> np.ndarray:
    """A column of standard deviations where the log has one."""
    values = _bounded(samples.column(name), MAX_STD)
    return np.where(values > 0, values, default)


def _bounded(values: np.ndarray, limit: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.abs(values) <= limit, values, np.nan))


def _fields_of_view(samples: LogSamples) -> np.ndarray:
    """Horizontal and vertical (n, 2) radians."""
    degrees = np.column_stack([samples.column("horizontal_fov"), samples.column("vertical_fov")])
    return np.radians(np.where((degrees > 0) & (degrees < 180), degrees, np.nan))


def _missing(poses: PosesOverTime, samples: LogSamples) -> dict[MissingTopic, str]:
    """What the poses lack, in the reader's words or plain ones."""
    plain: dict[MissingTopic, str] = {
        "position": "it has no position",
        "height": "it has no height",
        "orientation": "it does not say where the camera looks",
        "heading": "it has no heading",
        "utc": "its clock is not tied to UTC",
        "lens": "it says nothing of the lens",
    }
    yaw, pitch, _ = _camera_angles(samples)
    half = HALF_KNOWN.get((_is_stated(yaw), _is_stated(pitch)))
    stated = samples.missing if half is None else {**samples.missing, "orientation": half}
    missing = {topic: stated.get(topic, text) for topic, text in plain.items() if not poses.knows(topic)}
    beyond = [values[np.isfinite(values)][0] for values in samples.heights.values() if np.isfinite(values).any()]
    if "height" in missing and beyond:
        missing["height"] = f"none of its heights is one in metres, such as {beyond[0]:g}: are they in another unit"
    places = np.column_stack([samples.column("latitude"), samples.column("longitude")])
    known = places[np.isfinite(places).all(1)]
    if "position" in missing and len(known):
        exchanged = ": latitude and longitude look exchanged" if (np.abs(known[-1]) <= [180, 90]).all() else ""
        missing["position"] = (
            f"none of its places is one in degrees, such as {known[-1, 0]:g}, {known[-1, 1]:g}{exchanged}"
        )
    return missing
