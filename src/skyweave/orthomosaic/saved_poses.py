"""Poses of a flight as a file that `read_poses` reads again."""

import json
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.orthomosaic.flight import Flight
from skyweave.orthomosaic.photo import attitude_from_rotation


def write_poses(path: str | Path, flight: Flight) -> None:
    """Write the poses as mapped, in the form of `read_poses`, with heights over a level ground where it is level.

    Args:
        path: the JSON file.
        flight: as mapped.
    """
    images = []
    files = [Path(photo.path).name for photo in flight.photos]
    for photo in flight.photos:
        ((longitude, latitude),) = flight.zone.degrees(photo.position[None])
        attitude = attitude_from_rotation(
            photo.geometry.world_from_camera[:3, :3], flight.zone.convergence(longitude, latitude)
        )
        images.append(
            {
                "file": photo.name if files.count(Path(photo.path).name) > 1 else Path(photo.path).name,
                "lat": float(latitude),
                "lon": float(longitude),
                "abs_alt_m": float(photo.position[2]),
                "image_up_yaw_deg": attitude.yaw,
                "body_pitch_deg": attitude.pitch,
                "body_roll_deg": attitude.roll,
                **_saved_camera(photo.geometry.camera),
            }
        )
    meta = {"ground_altitude_m": flight.ground.z} if hasattr(flight.ground, "z") else {}
    with write_aside(path) as aside:
        aside.write_text(json.dumps({"meta": meta, "images": images}, indent=1) + "\n", encoding="utf-8")


def _saved_camera(camera: PinholeCamera) -> dict[str, Any]:
    """A camera in the form of `read_poses`; what is as usual is left out."""
    (focal, _, u), (_, other, v), _ = camera.intrinsics.tolist()
    offset = [u - camera.columns / 2, v - camera.rows / 2]
    saved: dict[str, Any] = {"focal_px": focal, "width": camera.columns}
    saved |= {"focal_rows_px": other} if other != focal else {}
    saved |= {"centre_offset_px": offset} if any(offset) else {}
    return saved | ({"distortion": list(camera.distortion)} if any(camera.distortion) else {})
