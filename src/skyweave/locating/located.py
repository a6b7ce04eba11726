"""Detections of one image on the map, each with the errors that its place is made of.

Errors are of three kinds, because a filter must not mistake one for the other: those of this detection alone (white),
those that this object keeps (its height, the ground beneath it, how its box is drawn), and those that all detections of
the camera share (pose, lens, clock). Every error of the last two is a number of unit variance, so that the place of a
detection is wrong by ``white + by_errors @ errors``.
"""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.ground import Ground
from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.box_model import fit_length_and_heading, project_cuboids
from skyweave.locating.ground_points import CAMERA_ERRORS, CameraState, GroundPoints, locate_pixels
from skyweave.locating.object_classes import object_class
from skyweave.locating.pose_error_model import PoseErrorConfig

NUM_CAMERA_ERRORS = 8
NUM_BOX_ERRORS = 2
NUM_OBJECT_ERRORS = 2  # the elevation of the ground, and the object's height
BORDER_PIXELS = 1.5  # from the edge of the image, within which a box counts as cut
ITERATIONS = 3  # of where a cuboid stands whose box has the middle of the detected one
MIN_DEPRESSION = np.radians(4.0)  # of a ray below the horizon; flatter ones locate nothing


@dataclass(frozen=True)
class BoxErrorConfig:
    """How boxes miss their objects.

    Attributes:
        pixels: standard deviation of the middle of a box in pixels.
        share: of the extent of a box, added to that.
        persistent: share of the variance that an object keeps from image to image.
        memory: seconds in which the persistent part is forgotten.
    """

    pixels: float = 1.0
    share: float = 0.04
    persistent: float = 0.5
    memory: float = 2.0


@dataclass(frozen=True)
class LocatedDetections:
    """Detections of one image on the map.

    Attributes:
        points: (n, 3) metres east, north, up in the map's reference system.
        white: (n, 2, 2) covariance of what is independent from image to image, square metres.
        jitter: (n, 2, 2) the part of it that all detections of this image share.
        by_camera: (n, 2, 8) metres by the camera's errors of unit variance.
        by_box: (n, 2, 2) likewise by the persistent error of the box.
        by_object: (n, 2, 2) likewise by the elevation of the ground and the height of the object.
        sizes: (n, 3) length, width, height in metres, as the box says them.
        headings: (n,) radians in 0..pi, counter-clockwise from east, as the box says them.
        detections: the boxes in the image.
        time: seconds.
        platform: number of the camera.
        frame: number of the image.
        clock_std: of the camera's clock, seconds.
    """

    points: np.ndarray
    white: np.ndarray
    jitter: np.ndarray
    by_camera: np.ndarray
    by_box: np.ndarray
    by_object: np.ndarray
    sizes: np.ndarray
    headings: np.ndarray
    detections: ImageDetections
    time: float
    platform: int = 0
    frame: int = 0
    clock_std: float = 0.0

    def __len__(self) -> int:
        return len(self.points)

    def covariances(self, camera_correlation: np.ndarray | None = None) -> np.ndarray:
        """Return the covariance of each place by itself: (n, 2, 2) square metres.

        Args:
            camera_correlation: (8, 8) covariance of the camera's errors in units of their standard deviations;
                default: they are as uncertain as they were, and independent.
        """
        inner = np.eye(NUM_CAMERA_ERRORS) if camera_correlation is None else camera_correlation
        total: np.ndarray = self.white + self.by_camera @ inner @ self.by_camera.swapaxes(1, 2)
        for part in (self.by_box, self.by_object):
            total = total + part @ part.swapaxes(1, 2)
        return total

    def select(self, selection: np.ndarray) -> "LocatedDetections":
        """Return some of the detections.

        Args:
            selection: (m,) indices, or (n,) bool.
        """
        names = ("points", "white", "jitter", "by_camera", "by_box", "by_object", "sizes", "headings")
        arrays = {name: getattr(self, name)[selection] for name in names}
        return replace(self, detections=self.detections.select(selection), **arrays)


def locate_detections(
    detections: ImageDetections,
    state: CameraState,
    ground: Ground,
    camera_factor: np.ndarray,
    errors: PoseErrorConfig,
    boxes: BoxErrorConfig,
    time: float,
    platform: int = 0,
    frame: int = 0,
) -> LocatedDetections:
    """Locate the boxes of one image; those that do not meet the ground are left out.

    Args:
        detections: in pixels.
        state: of the camera.
        ground: in the frame of the camera's pose.
        camera_factor: (8, 8) a square root of the covariance of the camera's errors, in the order of `CAMERA_ERRORS`.
        errors: of the ground's elevation, and what differs from image to image.
        boxes: how boxes miss their objects.
        time: seconds.
        platform: number of the camera.
        frame: number of the image.
    """
    classes = [object_class(name) for name in detections.categories]
    sizes = np.array([known.size for known in classes]).reshape(-1, 3)
    size_stds = np.array([known.size_std for known in classes]).reshape(-1, 3)
    place, height_shift, scatter, scale, headings, short = _stand(detections, state, ground, sizes, size_stds)
    variance = (np.square(boxes.pixels + boxes.share * detections.extents))[..., None] * np.eye(2) + scatter
    cut = _cut_sides(detections, state) * np.square(short / 2)
    variance = variance + cut[..., None] * np.eye(2)
    by_pixel = place.by_pixel
    factor = np.linalg.cholesky(variance)
    by_height = -(by_pixel @ height_shift[..., None])[..., 0] * size_stds[:, 2:]
    by_jitter = place.by_camera * errors.jitter()
    jitter = by_jitter @ by_jitter.swapaxes(1, 2)
    located = LocatedDetections(
        place.points,
        (1 - boxes.persistent) * by_pixel @ variance @ by_pixel.swapaxes(1, 2) + jitter,
        jitter,
        place.by_camera @ camera_factor,
        np.sqrt(boxes.persistent) * by_pixel @ factor,
        np.stack([place.by_elevation * errors.elevation, by_height], -1),
        sizes * scale[:, None],
        headings,
        detections,
        time,
        platform,
        frame,
        float(np.linalg.norm(camera_factor[CAMERA_ERRORS.index("clock")])),
    )
    known = np.isfinite(place.points).all(1) & (place.depression > MIN_DEPRESSION)
    return located.select(known & np.isfinite(located.by_camera).all((1, 2)))


def _stand(
    detections: ImageDetections, state: CameraState, ground: Ground, sizes: np.ndarray, size_stds: np.ndarray
) -> tuple[GroundPoints, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find where cuboids stand whose boxes have the middles of the detected ones.

    Returns:
        The places; (n, 2) by which the middle of a box moves in the image per metre of the object's height; (n, 2, 2)
        its scatter over headings and lengths; (n,) sizes relative to the class; (n,) headings; (n, 2) by how much the
        boxes are smaller than expected, pixels.
    """
    pixels = detections.centres
    for _ in range(ITERATIONS):
        place = locate_pixels(state, pixels, ground)
        cuboids = project_cuboids(state.geometry, place.points, sizes)
        pixels = detections.centres - np.nan_to_num(cuboids.centres.mean(1))
    higher = project_cuboids(state.geometry, place.points, sizes * [1, 1, 1.1])
    shift = (higher.centres - cuboids.centres).mean(1) / (0.1 * sizes[:, 2:])
    log_std = size_stds[:, 0] / sizes[:, 0]
    longer = project_cuboids(state.geometry, place.points, sizes * [1.1, 1.1, 1])
    by_length = (longer.centres - cuboids.centres) * (log_std / 0.1)[:, None, None]
    left = cuboids.centres - cuboids.centres.mean(1, keepdims=True)
    scatter = sum(np.einsum("nki,nkj->nij", part, part) for part in (left, by_length)) / left.shape[1]
    scale, headings = fit_length_and_heading(cuboids, detections.extents, log_std)
    short = np.maximum(cuboids.extents.mean(1) - detections.extents, 0)
    return (
        locate_pixels(state, pixels, ground), shift, np.nan_to_num(scatter), scale, headings, np.nan_to_num(short)
    )  # fmt: skip


def _cut_sides(detections: ImageDetections, state: CameraState) -> np.ndarray:
    """Return (n, 2) which boxes end at the left or right, and at the upper or lower edge of the image."""
    size = np.array([state.geometry.camera.columns, state.geometry.camera.rows])
    low, high = detections.boxes[:, :2], detections.boxes[:, 2:]
    return np.asarray((low < BORDER_PIXELS) | (high > size - BORDER_PIXELS))
