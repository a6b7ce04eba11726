"""Pinhole cameras with Brown-Conrady distortion, in OpenCV's frame and order of coefficients."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import check_transform, invert_transform, transform_points

NEAR_PLANE_M = 1e-3  # nothing closer than this is in front of the camera
NEWTON_STEPS = 20  # at most, of the inversion of the distortion


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole camera. Pixel coordinates (u, v) are (column, row); the centre of the first pixel is (0.5, 0.5).

    Attributes:
        intrinsics: (3, 3) matrix K in pixels.
        rows: image height in pixels.
        columns: image width in pixels.
        distortion: Brown-Conrady coefficients (k1, k2, p1, p2, k3), as OpenCV orders them; all 0 for none.
    """

    intrinsics: np.ndarray
    rows: int
    columns: int
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        matrix = np.asarray(self.intrinsics, np.float64)
        object.__setattr__(self, "intrinsics", matrix)
        object.__setattr__(self, "distortion", tuple(float(c) for c in self.distortion))
        _check_intrinsics(matrix)
        if self.rows < 1 or self.columns < 1:
            raise DataError(f"an image of {self.rows} x {self.columns} pixels has no pixels")
        _check_distortion(self.distortion)

    @classmethod
    def from_field_of_view(cls, horizontal: float, rows: int, columns: int) -> "PinholeCamera":
        """Build an undistorted camera with square pixels whose optical axis goes through the middle of the image.

        Args:
            horizontal: horizontal field of view in radians.
            rows: image height in pixels.
            columns: image width in pixels.

        Raises:
            DataError: the field of view is not between 0 and pi.
        """
        if not 0 < horizontal < np.pi:
            raise DataError(f"horizontal field of view {horizontal} must be between 0 and pi radians")
        focal = columns / 2 / np.tan(horizontal / 2)
        return cls(np.array([[focal, 0, columns / 2], [0, focal, rows / 2], [0, 0, 1.0]]), rows, columns)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points of the camera frame to pixels.

        Args:
            points: (..., 3) metres.

        Returns:
            pixels (..., 2) as (u, v), NaN behind the camera; and depth (...,), the z coordinate in metres.
        """
        points = np.asarray(points, np.float64)
        depth = points[..., 2]
        front = depth > NEAR_PLANE_M
        normalised = points[..., :2] / np.where(front, depth, np.nan)[..., None]
        distorted = self._distort(normalised)
        pixels = distorted @ self.intrinsics[:2, :2].T + self.intrinsics[:2, 2]
        return pixels, depth

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return the rays of pixels in the camera frame: (..., 3) with z = 1, so a point at depth d is d times its ray.

        Args:
            pixels: (..., 2) as (u, v).
        """
        offset = np.asarray(pixels, np.float64) - self.intrinsics[:2, 2]
        distorted = offset @ np.linalg.inv(self.intrinsics[:2, :2]).T
        normalised = self._undistort(distorted) if any(self.distortion) else distorted
        return np.concatenate([normalised, np.ones_like(normalised[..., :1])], -1)

    def ray_jacobian(self, pixels: np.ndarray) -> np.ndarray:
        """Return how the ray of a pixel moves with it: (..., 2, 2), d (x, y) / d (u, v) at z = 1.

        Args:
            pixels: (..., 2) as (u, v).
        """
        linear = np.linalg.inv(self.intrinsics[:2, :2])
        xx, xy, yy, _ = self._slopes(self.rays(pixels)[..., :2])
        undistorted = np.stack([np.stack([yy, -xy], -1), np.stack([-xy, xx], -1)], -2)
        jacobian: np.ndarray = undistorted / (xx * yy - xy * xy)[..., None, None] @ linear
        return jacobian

    def pixel_centres(self, rows: int | None = None, columns: int | None = None) -> np.ndarray:
        """Return the pixel coordinates of the centres of a raster over the image: (rows, columns, 2) as (u, v).

        Args:
            rows: of the raster, such as a feature map's; default: the image's.
            columns: likewise.
        """
        rows, columns = rows or self.rows, columns or self.columns
        u = (np.arange(columns) + 0.5) * (self.columns / columns)
        v = (np.arange(rows) + 0.5) * (self.rows / rows)
        return np.stack(np.meshgrid(u, v), -1)

    def inside(self, pixels: np.ndarray) -> np.ndarray:
        """Return which pixel coordinates lie in the image: (...,) bool; NaN does not.

        Args:
            pixels: (..., 2) as (u, v).
        """
        u, v = pixels[..., 0], pixels[..., 1]
        return (u >= 0) & (u < self.columns) & (v >= 0) & (v < self.rows)

    def resized(self, rows: int, columns: int) -> "PinholeCamera":
        """Return the camera of the same image resampled.

        Args:
            rows: height of the resampled image in pixels.
            columns: width of the resampled image in pixels.
        """
        scale = np.diag([columns / self.columns, rows / self.rows, 1.0])
        return replace(self, intrinsics=scale @ self.intrinsics, rows=rows, columns=columns)

    def cropped(self, row: int, column: int, rows: int, columns: int) -> "PinholeCamera":
        """Return the camera of a window of the image; the window may reach beyond it.

        Args:
            row: of the window's upper left pixel.
            column: of the window's upper left pixel.
            rows: height of the window in pixels.
            columns: width of the window in pixels.
        """
        matrix = self.intrinsics.copy()
        matrix[:2, 2] -= (column, row)
        return replace(self, intrinsics=matrix, rows=rows, columns=columns)

    def flipped(self) -> "PinholeCamera":
        """Return the camera of the mirrored image of a mirrored world (x of the camera frame negated).

        Use it with `CameraGeometry.flipped`, which mirrors the pose as well.
        """
        matrix = self.intrinsics.copy()
        matrix[0, 2] = self.columns - matrix[0, 2]
        matrix[0, 1] = -matrix[0, 1]
        k1, k2, p1, p2, k3 = self.distortion
        return replace(self, intrinsics=matrix, distortion=(k1, k2, p1, -p2, k3))

    def _distort(self, normalised: np.ndarray) -> np.ndarray:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = normalised[..., 0], normalised[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            -1,
        )

    def _undistort(self, distorted: np.ndarray) -> np.ndarray:
        """Invert `_distort` by Newton's method; pixels where the model folds over itself come out as NaN."""
        normalised = distorted.copy()
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(NEWTON_STEPS):
                xx, xy, yy, _ = self._slopes(normalised)
                error = self._distort(normalised) - distorted
                across = np.stack(
                    [yy * error[..., 0] - xy * error[..., 1], xx * error[..., 1] - xy * error[..., 0]], -1
                )
                step = across / (xx * yy - xy * xy)[..., None]
                normalised = normalised - np.where(np.isfinite(step), step, 0)
                if np.nanmax(np.abs(step), initial=0) < 1e-14:
                    break
            xx, xy, yy, radial = self._slopes(normalised)
            # on the far side of a fold there is a solution too, of a ray that the lens never sends there
            near_side = (xx * yy > xy * xy) & (xx > 0) & (radial > 0)
            good = near_side & (np.abs(self._distort(normalised) - distorted).max(-1) < 1e-9)
        return np.where(good[..., None], normalised, np.nan)

    def _slopes(self, normalised: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the derivatives of `_distort` (x by x, x by y which is y by x, y by y), and the radial factor."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = normalised[..., 0], normalised[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))  # d radial / d x = slope * x
        xx = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        yy = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        return xx, slope * x * y + 2 * p1 * x + 2 * p2 * y, yy, radial


def _check_distortion(distortion: tuple[float, ...]) -> None:
    """Refuse coefficients that are not five finite numbers."""
    if len(distortion) != 5 or not np.isfinite(distortion).all():
        raise DataError(f"distortion must be five finite numbers k1 k2 p1 p2 k3, got {distortion}")


def _check_intrinsics(matrix: np.ndarray) -> None:
    """Refuse a matrix that is no (3, 3) camera matrix."""
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise DataError(f"intrinsics must be a finite 3x3 matrix, got {matrix.tolist()}")
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0) or not np.allclose(matrix[2], (0, 0, 1)):
        raise DataError(f"intrinsics need focal lengths > 0 and the last row 0 0 1, got {matrix.tolist()}")


@dataclass(frozen=True)
class CameraGeometry:
    """A camera and its pose: the geometry of an oblique observation.

    Attributes:
        camera: the pinhole camera.
        world_from_camera: (4, 4) pose; world is x east, y north, z up in metres of ``crs``.
        crs: of the world's axes: WKT, ``EPSG:code``, or None for a local frame that no Earth is known for.
        name: of the camera or platform, for messages.
    """

    camera: PinholeCamera
    world_from_camera: np.ndarray
    crs: str | None = None
    name: str = "camera"

    def __post_init__(self) -> None:
        pose = check_transform(self.world_from_camera, f"world_from_camera of {self.name}")
        object.__setattr__(self, "world_from_camera", pose)

    @property
    def position(self) -> np.ndarray:
        """Return the camera's centre in the world: (3,) metres."""
        centre: np.ndarray = self.world_from_camera[:3, 3]
        return centre

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project world points to pixels.

        Args:
            points: (..., 3) metres.

        Returns:
            pixels (..., 2) as (u, v), NaN behind the camera; and depth (...,) in metres.
        """
        return self.camera.project(transform_points(invert_transform(self.world_from_camera), points))

    def world_rays(self, pixels: np.ndarray) -> np.ndarray:
        """Return the directions of pixels in the world: (..., 3); a point at depth d lies at position + d * direction.

        Args:
            pixels: (..., 2) as (u, v).
        """
        rays: np.ndarray = self.camera.rays(pixels) @ self.world_from_camera[:3, :3].T
        return rays

    def flipped(self) -> "CameraGeometry":
        """Return the camera in the mirrored world (y negated), whose image is this one's, mirrored left to right."""
        mirror_world, mirror_camera = np.diag([1.0, -1, 1, 1]), np.diag([-1.0, 1, 1, 1])
        pose = mirror_world @ self.world_from_camera @ mirror_camera  # two mirrorings make a rotation
        return replace(self, camera=self.camera.flipped(), world_from_camera=pose)
