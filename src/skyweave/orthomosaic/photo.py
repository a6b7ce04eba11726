"""One photograph with a place: where it looks on the map and what of it can be mapped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.conventions import ENU_FROM_NED
from skyweave.core.geometry.frames import make_transform, rotation_about_z
from skyweave.core.geometry.ground import Ground
from skyweave.telemetry.image_metadata.attitude import FRD_FROM_MOUNT, Attitude, rotation_from_attitude

MAX_OFF_NADIR = np.radians(65.0)  # what is seen flatter than this is too stretched to be a map
NEAR_NADIR = np.radians(20.0)  # closer to straight down than this, a turned picture still shows the same ground


@dataclass(frozen=True)
class PoseStd:
    """How far a pose may be off, as standard deviations.

    Attributes:
        horizontal, vertical: metres.
        yaw, tilt: radians.
    """

    horizontal: float = 2.0
    vertical: float = 0.5
    yaw: float = np.radians(3.0)
    tilt: float = np.radians(1.0)


@dataclass(frozen=True)
class Photo:
    """A picture on the map.

    Attributes:
        name: unique in its flight; the path below the folder that was asked for.
        path: the file.
        geometry: camera of the pixels as stored, and its pose in the map's reference system.
        std: how far that pose may be off.
        yaw_source: ``gimbal``, ``aircraft``, ``track`` or ``none``: what the heading was taken from.
        focal_source: what the focal length was taken from.
        turned: degrees the overlaps turned the picture about its optical axis, counter-clockwise on the map.
        repeats: name of the picture whose very pixels it shows; empty: none.
    """

    name: str
    path: str
    geometry: CameraGeometry
    std: PoseStd = PoseStd()
    yaw_source: str = "gimbal"
    focal_source: str = "given"
    turned: float = 0.0
    repeats: str = ""

    @property
    def position(self) -> np.ndarray:
        """Return the (3,) position of the camera in metres."""
        return self.geometry.position

    @property
    def off_nadir(self) -> float:
        """Return the angle of the optical axis from straight down, radians."""
        return float(np.arccos(np.clip(-self.geometry.world_from_camera[2, 2], -1, 1)))

    @property
    def heading(self) -> float:
        """Return the direction of the image's top on the map, degrees clockwise from grid north, 0 to 360."""
        up = -self.geometry.world_from_camera[:2, 1]
        return float(np.degrees(np.arctan2(up[0], up[1])) % 360)

    def moved(self, shift: np.ndarray, rotation: np.ndarray | None = None) -> "Photo":
        """Return the photo with its camera moved.

        Args:
            shift: (3,) metres.
            rotation: (3, 3) world rotation about the camera's centre.
        """
        pose = self.geometry.world_from_camera
        turned = pose[:3, :3] if rotation is None else rotation @ pose[:3, :3]
        return replace(
            self,
            geometry=replace(self.geometry, world_from_camera=make_transform(turned, pose[:3, 3] + np.asarray(shift))),
        )

    def rotated(self, degrees: float) -> "Photo":
        """Return the photo turned about its optical axis.

        Args:
            degrees: counter-clockwise as seen on the map.
        """
        pose = self.geometry.world_from_camera
        rotation = pose[:3, :3] @ rotation_about_z(-np.radians(degrees))
        return replace(
            self,
            geometry=replace(self.geometry, world_from_camera=make_transform(rotation, pose[:3, 3])),
            turned=(self.turned + degrees) % 360,
        )

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Project world points.

        Args:
            points: (..., 3) metres.

        Returns:
            (..., 2) pixels (u, v); NaN outside the image or seen too flat.
        """
        camera, pose = self.geometry.camera, self.geometry.world_from_camera
        offset = np.asarray(points, np.float64) - pose[:3, 3]
        if any(camera.distortion):
            pixels, depth = self.geometry.project(points)
        else:  # one product; mosaics ask for many millions of points
            projected = offset @ (camera.intrinsics @ pose[:3, :3].T).T
            depth = projected[..., 2]
            with np.errstate(divide="ignore", invalid="ignore"):
                pixels = projected[..., :2] / depth[..., None]
        with np.errstate(invalid="ignore"):
            low = offset[..., 2] * -np.tan(MAX_OFF_NADIR)
            steep = (low > 0) & (offset[..., 0] ** 2 + offset[..., 1] ** 2 <= low**2)
        pixels[~(camera.inside(pixels) & (depth > 0) & steep)] = np.nan
        return pixels

    def ground_points(self, pixels: np.ndarray, ground: Ground) -> np.ndarray:
        """Return where the rays of pixels meet the ground.

        Args:
            pixels: (..., 2) pixels (u, v).
            ground: level or with relief.

        Returns:
            (..., 3) metres; NaN where they do not, or too flat.
        """
        rays = self.geometry.world_rays(pixels)
        flat = np.hypot(rays[..., 0], rays[..., 1]) > -np.tan(MAX_OFF_NADIR) * rays[..., 2]
        points = self.position + ground.depth(self.position, rays)[..., None] * rays
        return np.where(flat[..., None], np.nan, points)

    def footprint(self, ground: Ground, samples: int = 9) -> np.ndarray:
        """Return ground points over the whole image, borders included.

        Args:
            ground: level or with relief.
            samples: along a side.

        Returns:
            (samples, samples, 3) metres; NaN where it sees none.
        """
        camera = self.geometry.camera
        inset = 1e-6
        u = np.linspace(inset, camera.columns - inset, samples)
        v = np.linspace(inset, camera.rows - inset, samples)
        return self.ground_points(np.stack(np.meshgrid(u, v), -1), ground)

    def ground_sample_distance(self, ground: Ground) -> float:
        """Return the median metres a pixel over the image, across the line of sight; NaN where it sees no ground.

        Args:
            ground: level or with relief.
        """
        _, depth = self.geometry.project(self.footprint(ground))
        focal = float(np.sqrt(np.prod(np.diag(self.geometry.camera.intrinsics)[:2])))
        return float(np.median(depth[np.isfinite(depth)]) / focal) if np.isfinite(depth).any() else float("nan")


def median_height(photos: Sequence[Photo], ground: Ground) -> float:
    """Return the median height of cameras above the ground, metres; where that is unknown, above what they see of it.

    Args:
        photos: each sees some of the ground.
        ground: level or with relief.
    """
    positions = np.array([photo.position for photo in photos])
    heights = positions[:, 2] - ground.height(positions)
    if np.isnan(heights).all():
        heights = positions[:, 2] - [np.nanmedian(photo.footprint(ground)[..., 2]) for photo in photos]
    return float(np.nanmedian(heights))


def world_from_camera(position: np.ndarray, attitude: Attitude, convergence: float, orientation: int = 1) -> np.ndarray:
    """Return the pose of the pixels as stored.

    Args:
        position: (3,) east, north, up in metres of a projected system.
        attitude: of the camera.
        convergence: degrees that grid north lies clockwise of true north at the position.
        orientation: EXIF orientation.

    Returns:
        (4, 4) matrix.
    """
    on_grid = replace(attitude, yaw=attitude.yaw - convergence)
    return make_transform(rotation_from_attitude(on_grid, orientation), position)


def attitude_from_rotation(rotation: np.ndarray, convergence: float) -> Attitude:
    """Return the ``body`` attitude of a camera, the inverse of `world_from_camera`.

    Args:
        rotation: (3, 3) world rotation of the camera.
        convergence: degrees that grid north lies clockwise of true north.
    """
    ned = ENU_FROM_NED.T @ rotation @ FRD_FROM_MOUNT["body"].T
    yaw, pitch = np.arctan2(ned[1, 0], ned[0, 0]), -np.arcsin(np.clip(ned[2, 0], -1, 1))
    roll = np.arctan2(ned[2, 1], ned[2, 2])
    yaw, pitch, roll = np.degrees((yaw, pitch, roll))
    return Attitude(float((yaw + convergence) % 360), float(pitch), float(roll), "body")
