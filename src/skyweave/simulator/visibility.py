"""Which face each pixel of a camera shows: faces projected, filled, and the nearest kept.

One over the depth of a plane is linear in the pixel coordinates, so a face's depth costs two multiplications a pixel.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import invert_transform
from skyweave.simulator.rasterise import clip_to_near_plane, count_unoccluded_pixels, depth_test, rasterise_polygons
from skyweave.simulator.scene_objects import Faces

SKY, GROUND = -2, -1
SLIVER = 1e-9  # faces seen from so much on edge have no pixels


@dataclass(frozen=True)
class RenderedView:
    """What a camera shows.

    Attributes:
        face: (rows, columns) int32 index of the face, ``GROUND`` or ``SKY``.
        inverse_depth: (rows, columns) float64, one over metres along the optical axis; 0 for the sky.
        visible: (owners,) pixels that show each counted object.
        unoccluded: (owners,) pixels that would show it, were nothing in the way.
    """

    face: np.ndarray
    inverse_depth: np.ndarray
    visible: np.ndarray
    unoccluded: np.ndarray


def render_view(faces: Faces, geometry: CameraGeometry, ground: np.ndarray, counted: int) -> RenderedView:
    """Render faces before the ground.

    Args:
        faces: in the camera's world.
        geometry: without distortion.
        ground: (rows, columns) inverse depth of the ground, 0 where there is none.
        counted: owners 0 to this are counted.
    """
    camera = geometry.camera
    camera_from_world = invert_transform(geometry.world_from_camera)
    planes, facing = _planes(faces, geometry)
    candidates = np.flatnonzero(facing)
    quads = faces.corners[candidates] @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    clipped, source = clip_to_near_plane(quads)
    pixels_of = clipped[..., :2] / clipped[..., 2:] @ camera.intrinsics[:2, :2].T + camera.intrinsics[:2, 2]
    low, high = pixels_of.min(1), pixels_of.max(1)
    inside = ((high > 0) & (low < (camera.columns, camera.rows))).all(1)
    polygons, source = pixels_of[inside], candidates[source[inside]]
    filled = rasterise_polygons(polygons, camera.rows, camera.columns)
    a, b, c = (planes[source] * (1 + faces.bias[source])[:, None]).T
    at = filled.polygon
    inverse_depth = a[at] * (filled.column + 0.5)
    inverse_depth += b[at] * (filled.row + 0.5)
    inverse_depth += c[at]
    shown = depth_test(filled, inverse_depth, ground)
    owners = np.where(faces.owner[source] < counted, faces.owner[source], -1)
    unoccluded = count_unoccluded_pixels(filled, polygons, owners, counted, camera.rows, camera.columns)
    owner = np.append(owners, -1)[shown.ravel()]
    visible = np.bincount(owner[owner >= 0], minlength=counted)
    face = np.where(shown >= 0, np.append(source, GROUND)[shown], np.where(ground > 0, GROUND, SKY)).astype(np.int32)
    return RenderedView(face, _inverse_depth(face, planes, ground), visible, unoccluded)


def rerender_view(face: np.ndarray, faces: Faces, geometry: CameraGeometry, ground: np.ndarray) -> RenderedView:
    """Return the view of which only the faces were kept, without its counts.

    Args:
        face: (rows, columns) int32, as in `RenderedView`.
        faces: in the camera's world.
        geometry: without distortion.
        ground: (rows, columns) inverse depth of the ground.
    """
    planes, _ = _planes(faces, geometry)
    none = np.zeros(0, np.int64)
    return RenderedView(face, _inverse_depth(face, planes, ground), none, none)


def _planes(faces: Faces, geometry: CameraGeometry) -> tuple[np.ndarray, np.ndarray]:
    """(faces, 3) a, b, c with inverse depth = a u + b v + c; and whether each face looks at the camera."""
    rotation = geometry.world_from_camera[:3, :3]
    distance = np.einsum("ij,ij->i", faces.normals, faces.corners[:, 0] - geometry.position)
    facing = distance < -SLIVER
    towards = faces.normals / np.where(facing, distance, -1.0)[:, None]
    return towards @ (rotation @ np.linalg.inv(geometry.camera.intrinsics)), facing


def _inverse_depth(face: np.ndarray, planes: np.ndarray, ground: np.ndarray) -> np.ndarray:
    depth = ground.ravel().copy()
    seen = np.flatnonzero(face.ravel() >= 0)
    row, column = np.divmod(seen, face.shape[1])
    a, b, c = planes[face.ravel()[seen]].T
    depth[seen] = a * (column + 0.5) + b * (row + 0.5) + c
    return depth.reshape(face.shape)
