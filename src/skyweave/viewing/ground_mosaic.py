"""The images of one frame laid on the ground: each map cell takes the pixels that see it."""

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Frame

UNSEEN_GREY = 40  # of cells that no image shows
MAX_VIEW_HEIGHTS = 4  # camera heights; farther views count as this far
MIN_CAMERA_HEIGHT_M = 5.0
MIN_SIDE_M = 30.0
SIDE_MARGIN = 1.3  # of the map, times the extent of what it shows


def frame_map_grid(frame: Frame, ground: Ground, cells: int, crs: str | None) -> MapGrid:
    """Return the square that a frame is about: its objects and the middles of its views, with some ground around.

    Args:
        frame: of a recording.
        ground: that the cameras see.
        cells: per side.
        crs: of the recording.
    """
    points = [np.zeros((0, 2))]
    if frame.annotations is not None and len(frame.annotations.boxes):
        points.append(frame.annotations.boxes.centres[:, :2])
    for capture in frame.captures.values():
        position = capture.geometry.position
        points.append(_middle_of_view(capture.geometry, ground)[None, :2])
        points.append(position[None, :2])
    low, high = np.percentile(np.concatenate(points), [2, 98], axis=0)
    middle = (low + high) / 2
    side = max(float((high - low).max()) * SIDE_MARGIN, MIN_SIDE_M)
    return MapGrid.around(float(middle[0]), float(middle[1]), side, side / cells, crs)


def _middle_of_view(geometry: CameraGeometry, ground: Ground) -> np.ndarray:
    """Return the point (3,) of the optical axis on the ground, or nearer where that is far away."""
    forward = geometry.world_from_camera[:3, 2]
    distance = float(ground.depth(geometry.position, forward))
    height = float(geometry.position[2] - ground.height(geometry.position))
    limit = MAX_VIEW_HEIGHTS * (max(height, MIN_CAMERA_HEIGHT_M) if np.isfinite(height) else MIN_CAMERA_HEIGHT_M)
    return np.asarray(geometry.position + (min(distance, limit) if np.isfinite(distance) else limit) * forward)


def render_ground_mosaic(frame: Frame, ground: Ground, grid: MapGrid, images: dict[str, Observation]) -> np.ndarray:
    """Render the mean of the pixels that see a cell's ground, nearer images counting more.

    Objects above the ground lean away from the camera, as in any image that is laid on flat ground.

    Args:
        frame: whose captures to use.
        ground: on which the images are laid.
        grid: of the map.
        images: by channel; those that could be loaded.

    Returns:
        (rows, columns, 3) uint8.
    """
    centres = grid.cell_centres()
    points = np.concatenate([centres, ground.height(centres)[..., None]], -1)
    total = np.zeros((*grid.shape, 3))
    weight = np.zeros(grid.shape)
    for channel, observation in images.items():
        geometry = frame.captures[channel].geometry
        image = true_color_image(observation)
        pixels, depth = geometry.project(points)
        seen = geometry.camera.inside(pixels) & np.isfinite(depth)
        column, row = np.moveaxis(pixels[seen].astype(np.int64), -1, 0)
        share = 1 / depth[seen] ** 2
        total[seen] += image[row, column] * share[:, None]
        weight[seen] += share
    mosaic = np.where(weight[..., None] > 0, total / np.maximum(weight, 1e-300)[..., None], UNSEEN_GREY)
    return np.round(mosaic).astype(np.uint8)
