"""The delay of a log to its video and how the camera is mounted, from how the images move.

Between two images a patch of ground moves as the poses say, if they are those of the two times. The delay and a small
rotation of the camera (its boresight) are those under which predicted and measured motion agree best: the maximum a
posteriori, with the standard deviations that the log states as prior. Where the flight is too even to tell, the prior
stands, and the standard deviations say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_from_vector
from skyweave.core.geometry.ground import Ground
from skyweave.telemetry.angles import multiply_quaternions
from skyweave.telemetry.importing.image_motion import grey_image, patch_motion
from skyweave.telemetry.interpolation import interpolate_poses, pose_rates
from skyweave.telemetry.map_poses import project_poses
from skyweave.telemetry.poses_over_time import NS_PER_S, HeightDatum, PosesOverTime

MOTION_COLUMNS = 320  # width of the images that motion is measured in
RATE = 8.0  # images a second
WINDOW_S = 25.0  # of the video, where the motion varies
DELAY_STD_S = 0.5  # of a log that states nothing better
MAX_DELAY_S = 3.0
BORESIGHT_STD = np.radians([3.0, 3.0, 2.0])  # about the camera's right, down and forward axes
MIN_MATCHES = 60
MIN_NOISE_PIXELS = 0.15
MAX_NOISE_PIXELS = 2.0  # beyond it the motion is not that of the ground
HUBER = 1.5  # standard deviations from which a residual counts linearly
INDEPENDENT_SHARE = 1 / 16  # of the patches of two images: they share the errors of both poses
STEPS = 6
DIFFERENCES = np.array([0.02, *np.full(3, 1e-3)])  # seconds and radians, for derivatives


@dataclass(frozen=True)
class LogAlignment:
    """What was estimated.

    Attributes:
        delay: seconds to add to the time of an image to look up its pose in the log.
        delay_std: standard deviation in seconds.
        boresight: (3,) rotation vector about the camera's right, down and forward axes, radians.
        boresight_std: (3,) radians.
        noise: pixels, of the residuals in images `MOTION_COLUMNS` wide.
        matches: patches that were matched.
    """

    delay: float
    delay_std: float
    boresight: np.ndarray
    boresight_std: np.ndarray
    noise: float
    matches: int

    def apply(self, poses: PosesOverTime) -> PosesOverTime:
        """Return poses on the clock of the images, of the camera as it is mounted.

        Args:
            poses: of the log.
        """
        turn = quaternion_from_rotation(rotation_from_vector(self.boresight))
        return replace(
            poses,
            times=poses.times - round(self.delay * NS_PER_S),
            epoch=None if poses.epoch is None else poses.epoch + round(self.delay * NS_PER_S),
            enu_from_camera=multiply_quaternions(poses.enu_from_camera, turn),
            time_std=self.delay_std,
        )


@dataclass(frozen=True)
class MotionPair:
    """Two images and how patches moved between them.

    Attributes:
        times: of both, nanoseconds on the clock of the images.
        centres: (n, 2) pixels of the small image.
        shifts: (n, 2) pixels of the small image.
    """

    times: tuple[int, int]
    centres: np.ndarray
    shifts: np.ndarray


def measure_motion(
    image_at: Callable[[float], tuple[np.ndarray, float]], seconds: Sequence[float]
) -> tuple[list[MotionPair], int]:
    """Measure how patches move from image to image.

    Args:
        image_at: gives the image of a time and its exact time, seconds.
        seconds: of the images, growing.

    Returns:
        The pairs, and the width of the small images, pixels.
    """
    pairs: list[MotionPair] = []
    last: tuple[np.ndarray, float] | None = None
    columns = MOTION_COLUMNS
    for second in seconds:
        pixels, taken = image_at(second)
        grey = grey_image(pixels, MOTION_COLUMNS)
        columns = grey.shape[1]
        if last is not None and taken > last[1]:
            centres, shifts = patch_motion(last[0], grey)
            pairs.append(MotionPair((round(last[1] * NS_PER_S), round(taken * NS_PER_S)), centres, shifts))
        last = grey, taken
    return pairs, columns


def choose_window(poses: PosesOverTime, start: float, end: float) -> np.ndarray:
    """Return times of images where the motion varies: seconds, growing, `RATE` a second.

    Args:
        poses: on the clock of the images.
        start: of the images, seconds.
        end: of them, seconds.
    """
    if end - start > WINDOW_S:
        ticks = np.arange(start, end, 0.5)
        velocity, turning = pose_rates(poses, np.round(ticks * NS_PER_S).astype(np.int64), 0.5)
        signal = np.column_stack([velocity / 10.0, turning])
        change = np.concatenate([[0.0], np.linalg.norm(np.diff(signal, axis=0), axis=1)])
        width = int(WINDOW_S / 0.5)
        summed = np.convolve(change, np.ones(width), "valid")
        start = float(ticks[int(summed.argmax())])
        end = start + WINDOW_S
    return np.arange(start, end, 1 / RATE)


def align(
    poses: PosesOverTime, camera: PinholeCamera, ground: Ground, crs: str, datum: HeightDatum, pairs: list[MotionPair]
) -> LogAlignment | None:
    """Estimate delay and boresight.

    Args:
        poses: of the log, on the clock of the images but for the delay.
        camera: of the small images.
        ground: beneath the flight.
        crs: of the map.
        datum: which height is z.
        pairs: measured motion.

    Returns:
        The estimate; None where too little was matched, or the images do not move as ground does.
    """
    matches = sum(len(pair.centres) for pair in pairs)
    if matches < MIN_MATCHES:
        return None
    measured = np.concatenate([pair.shifts for pair in pairs])
    prior = np.array([poses.time_std or DELAY_STD_S, *BORESIGHT_STD])
    prior[0] = max(prior[0], DELAY_STD_S)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return np.asarray(measured - _predicted(poses, camera, ground, crs, datum, pairs, parameters))

    parameters = _best_delay(residuals)
    noise = MAX_NOISE_PIXELS
    for _ in range(STEPS):
        error = residuals(parameters)
        if not np.isfinite(error).any():  # no patch sees ground
            return None
        noise = max(1.4826 * float(np.nanmedian(np.abs(error))), MIN_NOISE_PIXELS)
        slopes = np.stack([_slope(residuals, parameters, k) for k in range(4)], -1)
        step, information = _gauss_newton(error, slopes, parameters, prior, noise)
        parameters = parameters + np.clip(step, -0.3, 0.3)
    if noise > MAX_NOISE_PIXELS or abs(parameters[0]) > MAX_DELAY_S:
        return None
    std = np.sqrt(np.diag(np.linalg.inv(information)))
    return LogAlignment(float(parameters[0]), float(std[0]), parameters[1:], std[1:], noise, matches)


def _best_delay(residuals: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The delay of a coarse search under which the motion agrees best."""
    delays = np.arange(-MAX_DELAY_S, MAX_DELAY_S + 0.05, 0.1)
    costs = []
    for delay in delays:
        error = residuals(np.array([delay, 0.0, 0.0, 0.0]))
        known = np.isfinite(error)
        costs.append(np.mean(np.minimum(np.abs(error[known]), 3.0)) if known.mean() > 0.5 else np.inf)
    # an even flight fits everywhere alike: then the delay nearest to none
    cost = np.array(costs) + 1e-3 * np.abs(delays)
    return np.array([delays[int(cost.argmin())] if np.isfinite(cost).any() else 0.0, 0.0, 0.0, 0.0])


def _slope(residuals: Callable[[np.ndarray], np.ndarray], parameters: np.ndarray, k: int) -> np.ndarray:
    step = np.zeros(4)
    step[k] = DIFFERENCES[k]
    return np.asarray((residuals(parameters + step) - residuals(parameters - step)) / (2 * DIFFERENCES[k]))


def _gauss_newton(
    error: np.ndarray, slopes: np.ndarray, parameters: np.ndarray, prior: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the step of the maximum a posteriori and its information matrix; residuals beyond Huber's count less."""
    known = np.isfinite(error).all(1) & np.isfinite(slopes).all((1, 2))
    residual, jacobian = error[known].ravel() / noise, slopes[known].reshape(-1, 4) / noise
    weight = INDEPENDENT_SHARE * np.minimum(1.0, HUBER / np.maximum(np.abs(residual), 1e-9))
    information = jacobian.T @ (weight[:, None] * jacobian) + np.diag(prior**-2)
    gradient = jacobian.T @ (weight * residual) + parameters / prior**2
    return -np.linalg.solve(information, gradient), information


def _predicted(
    poses: PosesOverTime,
    camera: PinholeCamera,
    ground: Ground,
    crs: str,
    datum: HeightDatum,
    pairs: list[MotionPair],
    parameters: np.ndarray,
) -> np.ndarray:
    """Shifts (n, 2) of all patches under a delay and a boresight; NaN where there is no pose or no ground."""
    delay = round(float(parameters[0]) * NS_PER_S)
    turn = rotation_from_vector(parameters[1:])
    times = np.array(sorted({time for pair in pairs for time in pair.times}), np.int64)
    sampled = interpolate_poses(poses, times + delay)
    # a patch that is matched in place shows in the first image what lies half the shift before its centre
    centres = np.concatenate([pair.centres - pair.shifts / 2 for pair in pairs])
    shifts = np.full(centres.shape, np.nan)
    if not _any_whole(sampled, datum):
        return shifts
    placed = project_poses(sampled, crs, datum)
    poses_at = np.full((len(times), 4, 4), np.nan)
    poses_at[placed.indices] = placed.world_from_camera
    rows = [np.repeat(np.searchsorted(times, pair.times)[None], len(pair.centres), 0) for pair in pairs]
    first, second = poses_at[np.concatenate(rows)].swapaxes(0, 1)
    known = np.isfinite(first).all((1, 2)) & np.isfinite(second).all((1, 2))
    shifts[known] = _moved(camera, ground, first[known], second[known], turn, centres[known])
    return shifts


def _any_whole(poses: PosesOverTime, datum: HeightDatum) -> bool:
    values = np.column_stack([poses.places, poses.heights[datum].values, poses.enu_from_camera])
    return bool(np.isfinite(values).all(1).any())


def _moved(
    camera: PinholeCamera, ground: Ground, first: np.ndarray, second: np.ndarray, turn: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """Shifts (n, 2) of the ground at pixels (n, 2) from cameras (n, 4, 4) to others, both turned by their boresight."""
    rays = np.einsum("nij,nj->ni", first[:, :3, :3], camera.rays(centres) @ turn.T)
    points = first[:, :3, 3] + ground.depth(first[:, :3, 3], rays)[:, None] * rays
    seen = np.einsum("nji,nj->ni", second[:, :3, :3], points - second[:, :3, 3]) @ turn
    return np.asarray(camera.project(seen)[0] - centres)
