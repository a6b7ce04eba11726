"""A camera over time on the map: poses and rates at the times of images, with the errors that they may have."""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform, rotation_from_vector
from skyweave.locating.ground_points import CAMERA_ERRORS, CameraState, level_axes
from skyweave.locating.pose_error_model import PoseErrorConfig
from skyweave.telemetry import PosesOverTime, interpolate_poses, pose_rates, project_poses
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum

RATE_STEP_S = 0.5  # over which velocities are measured: logs round
MIN_STD = 1e-6  # of an error that a log calls none
FOCAL, CLOCK = CAMERA_ERRORS.index("focal"), CAMERA_ERRORS.index("clock")


@dataclass(frozen=True)
class CameraSample:
    """A camera at the time of one image.

    Attributes:
        state: pose and rates.
        factor: (8, 8) square root of the covariance of its errors.
    """

    state: CameraState
    factor: np.ndarray


@dataclass(frozen=True)
class CameraTrack:
    """A camera over time.

    Attributes:
        poses: of the log.
        camera: intrinsics.
        crs: of the map.
        datum: which of the log's heights is z.
        lift: metres that are added to them, from their zero to that of the ground.
        errors: of lens and clock, and of what the log states no accuracy of.
        stated: standard deviations that the user states, in the order of `CAMERA_ERRORS`; NaN: what the log says.
    """

    poses: PosesOverTime
    camera: PinholeCamera
    crs: str
    datum: HeightDatum
    lift: float
    errors: PoseErrorConfig
    stated: np.ndarray

    def samples(self, times: np.ndarray, correction: np.ndarray | None = None) -> list[CameraSample | None]:
        """Return the camera at the times of images; None where the log has no pose.

        Args:
            times: (n,) int64 nanoseconds on the clock of the log, growing.
            correction: (8,) errors in units of their standard deviations, which are added.
        """
        correction = np.zeros(len(CAMERA_ERRORS)) if correction is None else correction
        delay = correction[CLOCK] * self._clock_std()
        shifted = np.asarray(times, np.int64) + round(delay * NS_PER_S)
        between = interpolate_poses(self.poses, shifted)
        samples: list[CameraSample | None] = [None] * len(times)
        if not (between.knows("position") and between.knows("orientation") and between.knows("height")):
            return samples  # the log is of another time
        placed = project_poses(between, self.crs, self.datum)
        velocity, turn_rate = pose_rates(self.poses, shifted, RATE_STEP_S)
        each = zip(
            placed.indices, placed.world_from_camera, placed.covariance, placed.grid_from_enu, strict=True
        )  # fmt: skip
        for row, pose, covariance, grid in each:
            lifted = make_transform(pose[:3, :3], pose[:3, 3] + [0.0, 0.0, self.lift])
            factor = self._factor(lifted, covariance)
            state = self._corrected(lifted, factor @ correction, grid @ velocity[row], grid @ turn_rate[row])
            samples[row] = CameraSample(state, factor)
        return samples

    def _clock_std(self) -> float:
        if np.isfinite(self.stated[CLOCK]):
            return float(self.stated[CLOCK])
        return self.poses.time_std or self.errors.clock

    def _factor(self, pose: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """Return the square root of the covariance of all errors: the log's, or the user's."""
        axes = level_axes(pose)
        factor = np.zeros((len(CAMERA_ERRORS), len(CAMERA_ERRORS)))
        factor[:3, :3] = _square_root(covariance[:3, :3])
        factor[3:6, 3:6] = _square_root(axes.T @ covariance[3:, 3:] @ axes)
        factor[FOCAL, FOCAL], factor[CLOCK, CLOCK] = self.errors.focal, self._clock_std()
        for number in np.flatnonzero(np.isfinite(self.stated)):
            factor[number] = factor[:, number] = 0.0
            factor[number, number] = self.stated[number]
        return factor

    def _corrected(self, pose: np.ndarray, errors: np.ndarray, velocity: np.ndarray, rate: np.ndarray) -> CameraState:
        turn = rotation_from_vector(level_axes(pose) @ errors[3:6])
        corrected = make_transform(turn @ pose[:3, :3], pose[:3, 3] + errors[:3])
        camera = scale_focal(self.camera, 1 + errors[FOCAL])
        return CameraState(CameraGeometry(camera, corrected, self.crs, self.poses.platform), velocity, rate)


def scale_focal(camera: PinholeCamera, factor: float) -> PinholeCamera:
    """Return a camera with another focal length.

    Args:
        camera: intrinsics.
        factor: of the focal length.
    """
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2, :2] *= factor
    return replace(camera, intrinsics=intrinsics)


def _square_root(covariance: np.ndarray) -> np.ndarray:
    """Return a lower triangular square root; what a log says nothing of is without error."""
    known = np.nan_to_num(covariance)
    return np.asarray(np.linalg.cholesky(known + MIN_STD**2 * np.eye(len(known))))
