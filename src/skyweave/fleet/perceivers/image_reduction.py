"""Images of large cameras, reduced to what a model's map can hold before the model reads them."""

import logging
from dataclasses import replace

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.ground import Ground
from skyweave.core.images.resampling import resample
from skyweave.core.observation import Observation
from skyweave.perception.views import View
from skyweave.recordings.recording import Frame

PIXELS_PER_CELL = 2.5  # along a side of a map cell; finer pixels cost time, and the map cannot show them
MIN_SIDE_PIXELS = 360  # of a reduced image: no model was trained on images much smaller than that
SAMPLES = 5  # along a side of the image, whose distances from the ground are looked at

log = logging.getLogger("skyweave.fleet")


class ImageReducer:
    """Reduces images by whole factors until a pixel fits a map's cells, and logs it once a camera.

    Args:
        resolution: of the map, metres a cell.
        enabled: whether anything is reduced.
    """

    def __init__(self, resolution: float, enabled: bool = True) -> None:
        self.resolution, self.enabled = resolution, enabled
        self._logged: set[str] = set()

    def views(self, frame: Frame, ground: Ground) -> list[View]:
        """Return the images of a frame with their cameras.

        Args:
            frame: with the captures of one platform.
            ground: under them.
        """
        return [self._view(capture.load(), capture.geometry, name, ground) for name, capture in frame.captures.items()]

    def _view(self, observation: Observation, geometry: CameraGeometry, name: str, ground: Ground) -> View:
        factor = reduction_factor(geometry, ground, self.resolution) if self.enabled else 1
        if factor < 2:
            return View(observation, geometry, 0, 0)
        rows, columns = observation.shape
        reduced = reduce_image(observation, geometry, factor)
        if name not in self._logged:
            self._logged.add(name)
            log.warning(
                f"images of {name} are reduced from {rows} x {columns} to {rows // factor} x {columns // factor} "
                f"pixels, which suit a map of {self.resolution:g} m; perceiver.full_resolution: true leaves them"
            )
        return View(*reduced, 0, 0)


def reduction_factor(geometry: CameraGeometry, ground: Ground, resolution: float) -> int:
    """Return the whole number by which the sides of an image may be divided for a map; 1 for none.

    Args:
        geometry: camera and pose.
        ground: that it looks at.
        resolution: of the map, metres a cell.
    """
    camera = geometry.camera
    rays = geometry.world_rays(camera.pixel_centres(SAMPLES, SAMPLES))
    depths = np.asarray(ground.depth(geometry.position, rays), np.float64)
    if not np.isfinite(depths).any():
        return 1
    metres = float(np.nanmedian(depths)) / float(np.sqrt(camera.intrinsics[0, 0] * camera.intrinsics[1, 1]))
    by_ground = resolution / PIXELS_PER_CELL / metres
    return max(int(min(by_ground, camera.rows / MIN_SIDE_PIXELS, camera.columns / MIN_SIDE_PIXELS)), 1)


def reduce_image(observation: Observation, geometry: CameraGeometry, factor: int) -> tuple[Observation, CameraGeometry]:
    """Return an image with its sides divided, averaged over valid pixels, and its camera.

    Args:
        observation: the image.
        geometry: camera and pose.
        factor: by which the sides are divided.
    """
    rows, columns = (side // factor for side in observation.shape)
    pixels, valid = resample(observation.pixels, observation.valid, (rows, columns))
    reduced = replace(geometry, camera=geometry.camera.resized(rows, columns))
    distance = observation.ground_sample_distance * observation.shape[1] / columns
    return replace(observation, pixels=pixels, valid=valid, geometry=reduced, ground_sample_distance=distance), reduced
