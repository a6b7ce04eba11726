"""The fleet's own mosaic beneath the objects of the live page: thumbnails of all cameras laid on flat ground.

The height of the ground is that on which the objects stand. Where cameras overlap, the nearer one counts more, and the
newest most; what moves or stands above the ground leans away from the camera, as in any image laid on flat ground.
"""

import io
from collections import OrderedDict
from collections.abc import Iterable
from statistics import median
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.images.decoding import open_image
from skyweave.fleet.dashboard.base_map import TILE_PIXELS, BackgroundMap, TileArea
from skyweave.fleet.dashboard.camera_overlay import camera_geometry
from skyweave.fleet.link.messages import MAX_THUMBNAIL_PIXELS, CameraImage
from skyweave.fleet.link.scene_message import SceneMessage, SceneView

LEVEL = -2  # of the tiles that are kept: 0.25 m a pixel
COARSEST_LEVEL = LEVEL + 3
MAX_TILES = 144  # that are kept, of 64 m
MAX_TILES_PER_IMAGE = 25
MAX_DISTANCE_M = 120.0  # from the camera
MAX_DISTANCE_HEIGHTS = 3.0  # from the camera, in its heights
NEWEST_SHARE = 0.6  # of the newest image where it is seen as well as before
MAX_COORDINATE_M = 1e7


class MosaicBaseMap(BackgroundMap):
    """Tiles of what the fleet's cameras saw."""

    def __init__(self) -> None:
        super().__init__("")
        self._areas: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()  # colours, weights
        self._bounds: tuple[float, float, float, float] | None = None
        self._height: float | None = None

    def add(self, image: CameraImage, scene: SceneMessage) -> None:
        """Lay an image on the ground.

        Args:
            image: a thumbnail.
            scene: that it belongs to.
        """
        if scene.boxes:
            self._height = median(box.centre[2] - box.size[2] / 2 for box in scene.boxes)
        view = next((view for view in scene.views if view.channel == image.channel), None)
        if view is None or self._height is None or max(map(abs, view.position)) > MAX_COORDINATE_M:
            return
        radius = min(MAX_DISTANCE_M, MAX_DISTANCE_HEIGHTS * (view.position[2] - self._height))
        decoded = _decode(image, view)
        if radius <= 0 or decoded is None:
            return
        with self._lock:
            for column, row in _tiles_within(np.array(view.footprint), view.position[:2], radius):
                self._lay(*decoded, (view.rows, view.columns), column, row, radius)
            self._bounds = _bounds_of(self._areas)
            self.version += 1

    def extent(self, crs: str | None) -> tuple[tuple[float, float, float, float], tuple[int, int]] | None:
        """Return bounds and levels; None before the first image.

        Args:
            crs: without effect.
        """
        return None if self._bounds is None else (self._bounds, (LEVEL, COARSEST_LEVEL))

    def render(self, area: TileArea, crs: str | None) -> np.ndarray | None:
        """Return a tile (256, 256, 4) uint8; None: nothing is there.

        Args:
            area: of the tile.
            crs: without effect.
        """
        times = 2 ** (area.level - LEVEL)
        side = TILE_PIXELS // times
        result = np.zeros((TILE_PIXELS, TILE_PIXELS, 4), np.uint8)
        for right in range(times):
            for down in range(times):
                key = area.column * times + right, (area.row + 1) * times - 1 - down
                if key in self._areas:
                    colours, weights = self._areas[key]
                    part = result[down * side : (down + 1) * side, right * side : (right + 1) * side]
                    part[..., :3] = colours[times // 2 :: times, times // 2 :: times]
                    part[..., 3] = 255 * (weights[times // 2 :: times, times // 2 :: times] > 0)
        return result if result[..., 3].any() else None

    def _lay(
        self, pixels: np.ndarray, geometry: CameraGeometry, shape: tuple[int, int], column: int, row: int, radius: float
    ) -> None:
        """Lay an image on one tile."""
        x, y = np.meshgrid(*TileArea(LEVEL, column, row).pixel_centres())
        points, depths = geometry.project(np.stack([x, y, np.full_like(x, self._height)], -1))
        distances = np.hypot(x - geometry.position[0], y - geometry.position[1])
        with np.errstate(invalid="ignore"):
            inside = ((points >= 0) & (points < shape[::-1])).all(-1)
            seen = inside & (depths > 0) & (distances < radius)
        if not seen.any():
            return
        colours, weights = self._areas.setdefault((column, row), _empty_tile())
        self._areas.move_to_end((column, row))
        while len(self._areas) > MAX_TILES:
            self._areas.popitem(last=False)
        scale = np.array([pixels.shape[1] / shape[1], pixels.shape[0] / shape[0]])
        u, v = (points[seen] * scale).astype(int).T
        weight = (1 / depths[seen]).astype(np.float32)
        nearness = np.minimum((weight / np.maximum(weights[seen], 1e-9)) ** 2, 1.0)
        share = np.where(weights[seen] == 0, 1.0, NEWEST_SHARE * nearness)
        newest = pixels[v.clip(0, len(pixels) - 1), u.clip(0, pixels.shape[1] - 1)]
        before = colours[seen]
        colours[seen] = np.round(before + share[:, None] * (newest.astype(np.float32) - before)).astype(np.uint8)
        weights[seen] = np.maximum(weight, weights[seen])


def _decode(image: CameraImage, view: SceneView) -> tuple[np.ndarray, CameraGeometry] | None:
    """Return the pixels (rows, columns, 3) and the camera of an image; None: one of them cannot be."""
    try:
        with open_image(io.BytesIO(image.jpeg), "a thumbnail", ("JPEG",), MAX_THUMBNAIL_PIXELS) as opened:
            return np.asarray(opened.convert("RGB")), camera_geometry(view)
    except (DataError, OSError, SyntaxError, ValueError):
        return None


def _bounds_of(areas: Iterable[tuple[int, int]]) -> tuple[float, float, float, float] | None:
    """Return (west, south, east, north) of tiles in metres; None: there are none."""
    bounds = np.array([TileArea(LEVEL, *area).bounds for area in areas]).reshape(-1, 4)
    if not len(bounds):
        return None
    (west, south), (east, north) = bounds[:, :2].min(0).tolist(), bounds[:, 2:].max(0).tolist()
    return west, south, east, north


def _empty_tile() -> tuple[np.ndarray, np.ndarray]:
    shape = (TILE_PIXELS, TILE_PIXELS)
    return np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32)


def _tiles_within(footprint: np.ndarray, position: Any, radius: float) -> list[tuple[int, int]]:
    """Return (column, row) of the tiles that a camera may see, within a distance of it."""
    if len(footprint) < 3:
        return []
    side = TILE_PIXELS * 2.0**LEVEL
    camera = np.array(position)
    low = np.maximum(footprint.min(0), camera - radius)
    high = np.minimum(footprint.max(0), camera + radius)
    (first_column, first_row), (last_column, last_row) = (np.floor(corner / side).astype(int) for corner in (low, high))
    tiles = [(column, row) for column in range(first_column, last_column + 1) for row in range(first_row, last_row + 1)]
    return tiles[:MAX_TILES_PER_IMAGE]
