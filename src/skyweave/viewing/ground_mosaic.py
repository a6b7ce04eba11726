"""What the pictures of one frame show of the ground, from above: each map cell takes the pixels that see it."""

import numpy as np

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.true_color import true_color_image
from skyweave.core.observation import Observation
from skyweave.recordings.recording import Frame

UNSEEN_GREY = 40  # grey of cells that no picture shows


def frame_map_grid(frame: Frame, ground: Ground, cells: int, crs: str | None) -> MapGrid:
    """The square that a frame is about: its objects and the middles of its views, with some ground around."""
    places = [np.zeros((0, 2))]
    if frame.annotations is not None and len(frame.annotations.boxes):
        places.append(frame.annotations.boxes.centres[:, :2])
    for capture in frame.captures.values():
        geometry = capture.geometry
        forward = geometry.world_from_camera[:3, 2]
        away = float(ground.depth(geometry.position, forward))
        high = float(geometry.position[2] - ground.height(geometry.position))
        reach = min(away, 4 * max(high, 5.0)) if np.isfinite(away) else 4 * max(high if np.isfinite(high) else 5.0, 5.0)
        places.append((geometry.position + reach * forward)[None, :2])
        places.append(geometry.position[None, :2])
    points = np.concatenate(places)
    low, high_corner = np.percentile(points, [2, 98], axis=0)
    middle = (low + high_corner) / 2
    side = max(float((high_corner - low).max()) * 1.3, 30.0)
    return MapGrid.around(float(middle[0]), float(middle[1]), side, side / cells, crs)


def render_ground_mosaic(frame: Frame, ground: Ground, grid: MapGrid, pictures: dict[str, Observation]) -> np.ndarray:
    """(rows, columns, 3) uint8: the mean of the pixels that see a cell's ground, nearer pictures counting more.

    Things above the ground lean away from the camera, as in any picture that is laid on flat ground.

    Args:
        frame: whose captures to use.
        ground: on which the pictures are laid.
        grid: of the map.
        pictures: by channel; those that could be loaded.
    """
    centres = grid.cell_centres()
    points = np.concatenate([centres, ground.height(centres)[..., None]], -1)
    total = np.zeros((*grid.shape, 3))
    weight = np.zeros(grid.shape)
    for channel, observation in pictures.items():
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
