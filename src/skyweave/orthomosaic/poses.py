"""Poses kept beside the pictures: a JSON file that overrides what the pictures say of themselves."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skyweave.core.errors import DataError
from skyweave.telemetry.image_metadata.attitude import Attitude
from skyweave.telemetry.image_metadata.lens import NO_DISTORTION, Lens
from skyweave.telemetry.image_metadata.metadata import PhotoMetadata

READ_KEYS = {
    "file", "lat", "lon", "abs_alt_m", "rel_alt_m", "image_up_yaw_deg", "gimbal_yaw_deg", "gimbal_pitch_deg",
    "gimbal_roll_deg", "body_pitch_deg", "body_roll_deg", "K_nominal", "focal_px", "focal_rows_px", "width",
    "centre_offset_px", "distortion",
}  # fmt: skip
POSE_WORDS = re.compile("lat|lon|alt|height|yaw|heading|pitch|roll|omega|phi|kappa|focal", re.I)


@dataclass(frozen=True)
class Poses:
    """A file of poses.

    Attributes:
        images: what it says of each picture, by file name.
        ground_altitude: metres in the frame of the pictures' altitudes, if the file knows it.
    """

    images: Mapping[str, Mapping[str, Any]]
    ground_altitude: float | None = None

    def apply(self, photo: PhotoMetadata, name: str | None = None) -> PhotoMetadata:
        """Return metadata with everything replaced that the file knows of this image.

        Args:
            photo: metadata of the image.
            name: of the image in its flight, by which it is looked up first; then by its file's name.
        """
        entry = self.entry(photo.path, name)
        if entry is None:
            return photo
        changes: dict[str, Any] = self._place(entry)
        decided: set[str] = set()
        if {"latitude", "longitude"} <= changes.keys():
            decided.add("position")
        lens = self._lens(entry)
        if lens is not None:
            changes |= {"lens": lens, "declared_columns": int(entry.get("width", photo.columns))}
            decided.add("lens")
        attitude = self._attitude(entry)
        if attitude is not None:
            changes |= {"attitude": attitude, "orientation": 1}
            decided.add("attitude")
        left = {topic: text for topic, text in photo.contradictions.items() if topic not in decided}
        return replace(photo, contradictions=left, **changes)

    def entry(self, path: Path, name: str | None = None) -> Mapping[str, Any] | None:
        """Return what the file says of an image; None where it does not name it.

        Args:
            path: of the image.
            name: of the image in its flight.
        """
        return self.images.get(name or path.name, self.images.get(path.name))

    def unread_notes(self) -> list[str]:
        """Return a note on values that sound like those of a pose and are not read."""
        keys = sorted({key for image in self.images.values() for key in image} - READ_KEYS)
        unread = [key for key in keys if POSE_WORDS.search(key)]
        return [f"the file of poses states {', '.join(unread)}, which are not read"] if unread else []

    @staticmethod
    def _place(entry: Mapping[str, Any]) -> dict[str, float]:
        """Return the fields of place and altitude that an entry states."""
        names = {"latitude": "lat", "longitude": "lon", "altitude": "abs_alt_m", "relative_altitude": "rel_alt_m"}
        return {field: float(entry[key]) for field, key in names.items() if entry.get(key) is not None}

    @staticmethod
    def _lens(entry: Mapping[str, Any]) -> Lens | None:
        if "K_nominal" not in entry and "focal_px" not in entry:
            return None
        focal = float(entry["focal_px"] if "focal_px" in entry else entry["K_nominal"][0][0])
        right, down = (float(value) for value in entry.get("centre_offset_px", (0.0, 0.0)))
        k1, k2, p1, p2, k3 = (float(value) for value in entry.get("distortion", NO_DISTORTION))
        other = float(entry.get("focal_rows_px", focal))
        return Lens(
            focal_pixels=(focal, other), centre_offset=(right, down), distortion=(k1, k2, p1, p2, k3), source="poses"
        )

    def _attitude(self, entry: Mapping[str, Any]) -> Attitude | None:
        if "body_pitch_deg" in entry:
            yaw, pitch, roll = (float(entry[key]) for key in ("image_up_yaw_deg", "body_pitch_deg", "body_roll_deg"))
            return Attitude(yaw, pitch, roll, "body")
        yaw = entry.get("image_up_yaw_deg", entry.get("gimbal_yaw_deg"))
        if yaw is None:
            return None
        return Attitude(float(yaw), float(entry.get("gimbal_pitch_deg", -90)), float(entry.get("gimbal_roll_deg", 0)))


def read_poses(path: str | Path) -> Poses:
    """Read ``{"meta": {"ground_altitude_m": ..}, "images": [{"file": "A.JPG", "lat": .., "lon": .., ..}]}``.

    Every image names its ``file``, with its folders below the one that is mapped where several have one name; all else
    may be absent: ``lat``, ``lon`` (degrees), ``abs_alt_m``, ``rel_alt_m`` (above take-off), ``image_up_yaw_deg`` or
    ``gimbal_yaw_deg`` (compass), ``gimbal_pitch_deg`` (-90 down), ``gimbal_roll_deg``, ``focal_px`` or ``K_nominal`` at
    ``width``, with ``focal_rows_px``, ``centre_offset_px`` (right and down of the middle) and ``distortion`` (k1, k2,
    p1, p2, k3).

    Args:
        path: the JSON file.

    Raises:
        FileNotFoundError: no such file.
        DataError: another content; the message names the file and the image.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file of poses: {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        images = content["images"]
        ground = content.get("meta", {}).get("ground_altitude_m")
        poses = Poses({str(image["file"]): image for image in images}, None if ground is None else float(ground))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no file of poses ({error}); --save-poses OUT.json writes one") from None
    for name in poses.images:
        _check_pose(poses, name, path)
    return poses


def _check_pose(poses: Poses, name: str, path: Path) -> None:
    """Refuse a pose whose values cannot be read."""
    try:
        poses.apply(PhotoMetadata(Path(name), 1, 1))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path}: the pose of {name} cannot be read: {error}") from None
