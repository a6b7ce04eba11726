"""A platform that finds itself on a map over time: errors of navigation drift slowly, and each match narrows them.

A Kalman filter of the six errors of a stated pose, whose measurement is `skyweave.locating.map_matching.match_pose`:
between matches the covariance grows as navigation drifts, a match that is to be believed replaces it by its posterior,
and one that is not leaves it as it is. Matches of one view share their errors, so they do not count as independent: the
covariance never falls below that of a single one.
"""

from dataclasses import dataclass, replace

import numpy as np

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import quaternion_from_rotation, rotation_from_vector
from skyweave.core.geometry.ground import Ground
from skyweave.locating.map_matching import PoseEstimate, apply_pose_error, match_pose, prior_covariance
from skyweave.locating.reference_image import Reference

NS_PER_S = 1e9
MAX_STDS = (60.0, 60.0, 30.0, *np.radians([20.0, 20.0, 45.0]))  # beyond which nothing is looked for anyway
SHARED_STD = np.array([0.2, 0.2, 0.3, *np.radians([0.2, 0.2, 0.2])])  # of what matches of one view have in common


@dataclass(frozen=True)
class NavigationErrorConfig:
    """How wrong the poses are that a platform navigates by.

    Attributes:
        horizontal: standard deviation of the position at the start, metres.
        height: likewise of the height above the ground.
        heading: likewise, degrees.
        tilt: of roll and pitch, degrees.
        drift: by which the position becomes less certain, metres in the first second, and as the root of time.
        turn: likewise of the heading, degrees.
        seed: of the hypotheses.
    """

    horizontal: float = 1.5
    height: float = 2.0
    heading: float = 3.0
    tilt: float = 1.0
    drift: float = 0.2
    turn: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("horizontal", "height", "heading", "tilt"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"errors: {name} {getattr(self, name)} must be above 0")
        if min(self.drift, self.turn) < 0:
            raise ConfigError(f"errors: drift {self.drift} and turn {self.turn} must be 0 or more")

    def start(self) -> np.ndarray:
        """Return the (6, 6) covariance at the start."""
        return prior_covariance([self.horizontal, self.height, self.heading, self.tilt])

    def growth(self) -> np.ndarray:
        """Return the (6, 6) covariance that a second adds."""
        return prior_covariance([self.drift, self.drift / 2, self.turn, self.turn / 5])


class PoseFilter:
    """The error of a platform's navigation, from all images so far.

    Args:
        reference: image of the place.
        config: how wrong navigation is.

    Attributes:
        estimate: of the last image; what is assumed before the first.
    """

    def __init__(self, reference: Reference, config: NavigationErrorConfig | None = None) -> None:
        self.reference, self.config = reference, config or NavigationErrorConfig()
        self.estimate = PoseEstimate(np.zeros(6), self.config.start(), reason="nothing was seen yet")
        self._time: int | None = None
        self._steps = 0

    def update(self, image: np.ndarray, geometry: CameraGeometry, ground: Ground, time: int) -> PoseEstimate:
        """Return the error of an image's stated pose; images come in order of their time.

        Args:
            image: (rows, columns) grey values, NaN where unknown.
            geometry: camera and stated pose.
            ground: under it.
            time: UTC nanoseconds.
        """
        before = self._predicted(time)
        stated = apply_pose_error(geometry, before.error)
        seed = self.config.seed + self._steps
        matched = match_pose(image, stated, ground, self.reference, before.covariance, seed)
        self._steps += 1
        if not matched.known:
            self.estimate = replace(matched, error=before.error, covariance=before.covariance)
            return self.estimate
        east_north = np.diag([self.reference.std**2] * 2 + [0.0] * 4)
        covariance = matched.covariance + np.diag(SHARED_STD**2)
        self.estimate = replace(matched, error=joined_errors(before.error, matched.error), covariance=covariance)
        return replace(self.estimate, covariance=covariance + east_north)

    def _predicted(self, time: int) -> PoseEstimate:
        """Return what is known at a time before anything is seen."""
        seconds = 0.0 if self._time is None else max(time - self._time, 0) / NS_PER_S
        self._time = time
        grown = self.estimate.covariance + seconds * self.config.growth()
        limit = np.minimum(1.0, np.array(MAX_STDS) / np.sqrt(np.diag(grown)))
        return replace(self.estimate, covariance=grown * limit[:, None] * limit[None])


def joined_errors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the error that is one after the other.

    Args:
        first: (6,) as of `PoseEstimate`.
        second: (6,) of the pose that the first was applied to.
    """
    rotation = rotation_from_vector(second[3:]) @ rotation_from_vector(first[3:])
    scalar, *vector = quaternion_from_rotation(rotation).tolist()
    length = float(np.linalg.norm(vector))
    angle = 2 * np.arctan2(length, scalar)
    angle -= 2 * np.pi * round(angle / (2 * np.pi))
    turn = np.array(vector) * (angle / length if length > 1e-12 else 2.0)
    return np.concatenate([first[:3] + second[:3], turn])
