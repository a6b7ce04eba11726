"""Which face each pixel of a camera shows: faces projected, filled, and the nearest kept.

One over the depth of a plane is linear in the pixel coordinates, so a face's depth costs two multiplications a pixel.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.geometry.camera import CameraGeometry
from skyweave.geometry.frames import inverse
from skyweave.world.rasterise import clip_near, count_alone, fill, nearest
from skyweave.world.shapes import Faces

SKY, GROUND = -2, -1
SLIVER = 1e-9  # faces seen from so much on edge have no pixels


@dataclass(frozen=True)
class View:
    """What a camera shows.

    Attributes:
        face: (rows, columns) int32 index of the face, ``GROUND`` or ``SKY``.
        inverse_depth: (rows, columns) float64, one over metres along the optical axis; 0 for the sky.
        visible: (owners,) pixels that show each counted object; alone: that would, were nothing in the way.
    """

    face: np.ndarray
    inverse_depth: np.ndarray
    visible: np.ndarray
    alone: np.ndarray


def look(faces: Faces, geometry: CameraGeometry, ground: np.ndarray, counted: int) -> View:
    """Render faces before the ground.

    Args:
        faces: in the camera's world.
        geometry: without distortion.
        ground: (rows, columns) inverse depth of the ground, 0 where there is none.
        counted: owners 0 to this are counted.
    """
    camera = geometry.camera
    camera_from_world = inverse(geometry.world_from_camera)
    quads = faces.corners @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    normals = faces.normals @ camera_from_world[:3, :3].T
    distance = np.einsum("ij,ij->i", normals, quads[:, 0])  # of the plane from the camera, < 0 if it faces it
    candidates = np.flatnonzero(distance < -SLIVER)
    clipped, source = clip_near(quads[candidates])
    pixels_of = clipped[..., :2] / clipped[..., 2:] @ camera.intrinsics[:2, :2].T + camera.intrinsics[:2, 2]
    low, high = pixels_of.min(1), pixels_of.max(1)
    inside = ((high > 0) & (low < (camera.columns, camera.rows))).all(1)
    polygons, source = pixels_of[inside], candidates[source[inside]]
    planes = normals[source] / distance[source, None] @ np.linalg.inv(camera.intrinsics)
    filled = fill(polygons, camera.rows, camera.columns)
    a, b, c = (planes * (1 + faces.bias[source])[:, None]).astype(np.float64).T
    at = filled.polygon
    inverse_depth = a[at] * (filled.column + 0.5)
    inverse_depth += b[at] * (filled.row + 0.5)
    inverse_depth += c[at]
    shown = nearest(filled, inverse_depth, ground)
    seen = shown >= 0
    owners = np.where(faces.owner[source] < counted, faces.owner[source], -1)
    alone = count_alone(filled, owners, counted)
    owner = owners[shown[seen]]
    visible = np.bincount(owner[owner >= 0], minlength=counted)
    depth = ground.copy()
    row, column = np.nonzero(seen)
    p = planes[shown[seen]]
    depth[seen] = p[:, 0] * (column + 0.5) + p[:, 1] * (row + 0.5) + p[:, 2]
    face = np.where(ground > 0, GROUND, SKY).astype(np.int32)
    face[seen] = source[shown[seen]]
    return View(face, depth, visible, alone)
