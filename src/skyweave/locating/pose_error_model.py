"""How wrong poses, cameras, clocks and elevations may be: the standard deviations that ellipses are made of."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PoseErrorConfig:
    """Standard deviations of what stays the same, or nearly, during a flight.

    The defaults are those of a consumer drone without real-time kinematics: what its log says is not used where the
    log states its accuracy.

    Attributes:
        horizontal: of the camera's position east and north, metres.
        height: of the camera's height, metres.
        heading: degrees; compasses are the weakest sensor of a drone.
        pitch: of the gimbal and its mount, degrees.
        roll: degrees.
        focal: relative to the focal length.
        clock: between the images and the log, seconds.
        elevation: of the ground, metres.
        position_jitter: of each pose by itself, metres.
        angle_jitter: of each pose by itself, degrees: logs round, gimbals vibrate.
        drift_time: seconds in which position, heading, pitch and roll forget their error; the others never do.
    """

    horizontal: float = 1.5
    height: float = 2.0
    heading: float = 3.0
    pitch: float = 1.0
    roll: float = 0.5
    focal: float = 0.01
    clock: float = 0.2
    elevation: float = 2.0
    position_jitter: float = 0.1
    angle_jitter: float = 0.1
    drift_time: float = 600.0

    def camera_covariance(self) -> np.ndarray:
        """Return the (8, 8) covariance of `skyweave.locating.ground_points.CAMERA_ERRORS`."""
        angles = np.radians([self.heading, self.pitch, self.roll])
        stds = [self.horizontal, self.horizontal, self.height, *angles, self.focal, self.clock]
        return np.diag(np.square(np.array(stds, np.float64)))

    def jitter(self) -> np.ndarray:
        """Return the (8,) standard deviations of what differs from image to image, in the same order."""
        angle = np.radians(self.angle_jitter)
        return np.array([*[self.position_jitter] * 3, *[angle] * 3, 0.0, 0.0])
