"""Boxes and footprints as lines: in an image, and on the map."""

import colorsys
import hashlib

import numpy as np

from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import NEAR_PLANE_M, CameraGeometry
from skyweave.core.geometry.frames import invert_transform, transform_points
from skyweave.core.geometry.ground import Ground

BOX_EDGES = np.array(  # of the corners of a box, in the order of `Boxes.corners`; the last is the front
    [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7], [4, 7], [0, 7]]
)
POINTS_PER_SIDE = 8  # of an image's border
CLASS_COLOURS = {
    "truck": (255, 140, 40),
    "bus": (255, 90, 200),
    "pedestrian": (90, 255, 240),
    "cycl": (150, 255, 90),
    "car": (255, 235, 80),
}
MAX_OVERSHOOT_IMAGES = 4.0  # sizes of the image; edges that leave it by more are not drawn


def project_box_edges(geometry: CameraGeometry, boxes: Boxes) -> list[np.ndarray]:
    """Project the edges of boxes to a camera's image.

    Args:
        geometry: of the camera.
        boxes: in the same world.

    Returns:
        For each box (edges, 2, 2) pixels (u, v) of start and end. Edges behind the camera are cut off or missing; a
        box whose middle is behind the camera or out of the image has none.
    """
    corners = transform_points(invert_transform(geometry.world_from_camera), boxes.corners().reshape(-1, 3)).reshape(
        -1, 8, 3
    )
    camera = geometry.camera
    middles, _ = geometry.project(boxes.centres)
    outlines = []
    for box, middle in zip(corners, middles, strict=True):
        if not camera.inside(middle):
            outlines.append(np.zeros((0, 2, 2)))
            continue
        pixels, _ = camera.project(clip_edges(box[BOX_EDGES], 10 * NEAR_PLANE_M))
        size = np.array([camera.columns, camera.rows])
        with np.errstate(invalid="ignore"):
            near = (np.abs(pixels - size / 2) < MAX_OVERSHOOT_IMAGES * size).all(axis=(1, 2))
        outlines.append(pixels[near])
    return outlines


def clip_edges(edges: np.ndarray, depth: float) -> np.ndarray:
    """Clip edges where they come nearer than a depth; those wholly nearer are left out.

    Args:
        edges: (n, 2, 3) start and end in the camera frame, metres.
        depth: metres along the optical axis.
    """
    edges = edges[(edges[..., 2] > depth).any(axis=1)].copy()
    for end in (0, 1):
        behind = edges[:, end, 2] < depth
        start, other = edges[behind, end], edges[behind, 1 - end]
        share = (depth - start[:, 2]) / (other[:, 2] - start[:, 2])
        edges[behind, end] = start + share[:, None] * (other - start)
    return edges


def camera_footprint(geometry: CameraGeometry, ground: Ground, max_distance: float) -> np.ndarray:
    """Return where the border of the image meets the ground: (n, 3) world points in order round the image.

    Args:
        geometry: of the camera.
        ground: that the rays meet.
        max_distance: metres; points above the horizon or farther away lie at this distance.
    """
    camera = geometry.camera
    along = np.linspace(0, 1, POINTS_PER_SIDE, endpoint=False)
    u = np.concatenate([along, np.ones_like(along), 1 - along, np.zeros_like(along)]) * camera.columns
    v = np.concatenate([np.zeros_like(along), along, np.ones_like(along), 1 - along]) * camera.rows
    rays = geometry.world_rays(np.stack([u, v], -1))
    rays = rays[np.isfinite(rays).all(axis=1)]  # distortion may fold the corners over
    length = np.linalg.norm(rays, axis=1)
    depth = np.asarray(ground.depth(geometry.position, rays), np.float64)
    depth = np.where(np.isfinite(depth), np.minimum(depth, max_distance / length), max_distance / length)
    outline: np.ndarray = geometry.position + depth[:, None] * rays
    return outline


def name_colour(name: str) -> tuple[int, int, int]:
    """Return a bright colour (red, green, blue, each 0..255) that a name always has; usual classes have one each.

    Args:
        name: of a class, a platform or an object.
    """
    for known, colour in CLASS_COLOURS.items():
        if known in name:
            return colour
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)
