"""Boxes of a scene as lines on the images of its cameras."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import rotation_from_quaternion
from skyweave.fleet.link.scene_message import SceneBox, SceneMessage, SceneView

MIN_DEPTH_M = 0.5  # in front of the camera, of a box that is drawn
CORNERS = np.array([[a, b, c] for c in (-0.5, 0.5) for a, b in ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))])
MAX_OUTSIDE = 0.5  # of the image's size, by which a corner may lie beside it


def boxes_on_image(
    scene: SceneMessage, channel: str, identify: Callable[[str | None], str | None]
) -> list[dict[str, Any]]:
    """Return the boxes that a camera may show, plain JSON types.

    ``corners``: eight points [u, v], shares of the width and height from the upper left: the four of the ground
    counter-clockwise, the front left one first, then the four above them.

    Args:
        scene: that the image belongs to.
        channel: name of the camera.
        identify: returns the fleet-wide identity of a track.
    """
    view = next((view for view in scene.views if view.channel == channel), None)
    if view is None or not scene.boxes:
        return []
    corners = np.stack([_box_corners(box) for box in scene.boxes])
    try:
        pixels, depths = camera_geometry(view).project(corners.reshape(-1, 3))
    except DataError:  # no camera is like that
        return []
    points = pixels.reshape(-1, 8, 2) / (view.columns, view.rows)
    depths = depths.reshape(-1, 8)
    middle = points.mean(1)
    inside = ((middle > 0) & (middle < 1)).all(1) & (np.abs(points - 0.5) < 0.5 + MAX_OUTSIDE).all((1, 2))
    shown = np.flatnonzero(inside & (depths > MIN_DEPTH_M).all(1))
    return [
        {
            "identity": identify(scene.boxes[index].id),
            "track": scene.boxes[index].id,
            "category": scene.boxes[index].category,
            "observed": scene.platform in scene.boxes[index].observers,
            "corners": np.round(points[index], 4).tolist(),
        }
        for index in shown
    ]


def _box_corners(box: SceneBox) -> np.ndarray:
    """Return (8, 3) corners, metres."""
    local = CORNERS * box.size
    cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
    turned = local @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return np.asarray(turned + box.centre)


def camera_geometry(view: SceneView) -> CameraGeometry:
    """Return the camera of a view.

    Args:
        view: of a scene.

    Raises:
        DataError: no camera is like that.
    """
    transform = np.eye(4)
    transform[:3, :3] = rotation_from_quaternion(np.array(view.orientation))
    transform[:3, 3] = view.position
    return CameraGeometry(PinholeCamera(np.reshape(view.intrinsics, (3, 3)), view.rows, view.columns), transform)
