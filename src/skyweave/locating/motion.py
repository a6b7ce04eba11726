"""How objects move between images: constant velocity and coordinated turn, mixed (interacting multiple models).

A state is (east, north, velocity east, velocity north, turn rate). Beside its covariance it carries its covariance
with errors that are never estimated but considered: those of poses, boxes, elevations (Schmidt, 1966; of sensor biases
in tracking: Novoselov et al., Fusion 2005). So a hundred images by a camera with a wrong compass do not make an ellipse
ten times smaller. All arrays are (tracks, modes, ...). Models are mixed as Blom and Bar-Shalom do (1988).
"""

from dataclasses import dataclass

import numpy as np

NUM_STATES = 5
NUM_MODES = 2  # cruising, manoeuvring
CRUISE_SHARE = 0.15  # of the acceleration of a manoeuvre, which the cruising mode has
TURN_RATE_STD = 0.3  # rad/s by which a turn rate changes in a second of manoeuvring
TURN_MEMORY_S = 0.5  # in which cruising forgets a turn
MODE_TIMES_S = np.array([8.0, 3.0])  # mean durations of cruising and manoeuvring
INITIAL_MODES = np.array([0.7, 0.3])
MIN_TURN = 1e-4  # radians in a step, below which a turn is straight


@dataclass
class MotionStates:
    """States of many objects, in both modes each.

    Attributes:
        means: (t, m, 5).
        covariances: (t, m, 5, 5).
        crosses: (t, m, 5, q) covariances with the considered errors.
        modes: (t, m) probabilities.
    """

    means: np.ndarray
    covariances: np.ndarray
    crosses: np.ndarray
    modes: np.ndarray

    @classmethod
    def empty(cls, num_errors: int) -> "MotionStates":
        """Return the states of no objects.

        Args:
            num_errors: that are considered.
        """
        shape = (0, NUM_MODES, NUM_STATES)
        return cls(np.zeros(shape), np.zeros((*shape, 5)), np.zeros((*shape, num_errors)), np.zeros(shape[:2]))

    def select(self, rows: np.ndarray) -> "MotionStates":
        """Return the states of some objects.

        Args:
            rows: (k,) indices, or (t,) bool.
        """
        return MotionStates(self.means[rows], self.covariances[rows], self.crosses[rows], self.modes[rows])

    def replace_rows(self, rows: np.ndarray, states: "MotionStates") -> None:
        """Set the states of some objects.

        Args:
            rows: (k,) indices.
            states: of k objects.
        """
        self.means[rows], self.covariances[rows] = states.means, states.covariances
        self.crosses[rows], self.modes[rows] = states.crosses, states.modes

    def append(self, states: "MotionStates") -> "MotionStates":
        """Return these states and others.

        Args:
            states: of further objects.
        """
        names = ("means", "covariances", "crosses", "modes")
        return MotionStates(*[np.concatenate([getattr(self, name), getattr(states, name)]) for name in names])

    def merged(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean (t, 5), covariance (t, 5, 5) and cross-covariance (t, 5, q) over both modes."""
        mean = np.einsum("tm,tmi->ti", self.modes, self.means)
        left = self.means - mean[:, None]
        covariance = np.einsum("tm,tmij->tij", self.modes, self.covariances + left[..., None] * left[..., None, :])
        return mean, covariance, np.einsum("tm,tmiq->tiq", self.modes, self.crosses)


def predict_states(states: MotionStates, seconds: float, accelerations: np.ndarray, memory: np.ndarray) -> MotionStates:
    """Return states after some time.

    Args:
        states: of t objects.
        seconds: at least 0.
        accelerations: (t,) standard deviation of each object's when it manoeuvres, m/s^2.
        memory: (q,) share of each considered error that stays over this time.
    """
    mixed = _mixed(states, seconds)
    means, slopes = np.empty_like(mixed.means), np.empty_like(mixed.covariances)
    for mode in range(NUM_MODES):
        means[:, mode], slopes[:, mode] = _step(mixed.means[:, mode], seconds, mode)
    covariances = slopes @ mixed.covariances @ slopes.swapaxes(-1, -2) + _process_noise(seconds, accelerations)
    return MotionStates(means, covariances, slopes @ mixed.crosses * memory, mixed.modes)


def correct_states(
    states: MotionStates,
    points: np.ndarray,
    white: np.ndarray,
    by_errors: np.ndarray,
    error_covariance: np.ndarray,
) -> MotionStates:
    """Return states after a detection of each object (the update of a Schmidt-Kalman filter).

    Args:
        states: of t objects.
        points: (t, 2) where each was located.
        white: (t, 2, 2) covariance of its white errors.
        by_errors: (t, 2, q) how considered errors move it.
        error_covariance: (q, q) of these.
    """
    by, noise = by_errors[:, None], white[:, None]
    innovation = points[:, None] - states.means[..., :2]
    projected = by @ error_covariance
    with_errors = states.crosses @ by.swapaxes(-1, -2)  # (t, m, 5, 2)
    covariance = (
        states.covariances[..., :2, :2]
        + with_errors[..., :2, :]
        + with_errors[..., :2, :].swapaxes(-1, -2)
        + projected @ by.swapaxes(-1, -2)
        + noise
    )
    inverse = np.linalg.inv(covariance)
    gain = (states.covariances[..., :2] + with_errors) @ inverse
    means = states.means + (gain @ innovation[..., None])[..., 0]
    covariances = states.covariances - gain @ covariance @ gain.swapaxes(-1, -2)
    crosses = states.crosses - gain @ (states.crosses[..., :2, :] + projected)
    distance = np.einsum("tmi,tmij,tmj->tm", innovation, inverse, innovation)
    log_likelihood = -0.5 * (distance + np.log(np.linalg.det(covariance)))
    weights = states.modes * np.exp(log_likelihood - log_likelihood.max(1, keepdims=True)) + 1e-12
    covariances = (covariances + covariances.swapaxes(-1, -2)) / 2
    return MotionStates(means, covariances, crosses, weights / weights.sum(1, keepdims=True))


def start_states(
    points: np.ndarray, white: np.ndarray, by_errors: np.ndarray, error_covariance: np.ndarray, speeds: np.ndarray
) -> MotionStates:
    """Return states of objects that were located once.

    Args:
        points: (t, 2) where each was located.
        white: (t, 2, 2) covariance of its white errors.
        by_errors: (t, 2, q) how considered errors move it.
        error_covariance: (q, q) of these.
        speeds: (t,) standard deviation of a velocity of which nothing is known, m/s.
    """
    count, num_errors = len(points), by_errors.shape[-1]
    means = np.zeros((count, NUM_MODES, NUM_STATES))
    means[..., :2] = points[:, None]
    covariances = np.zeros((count, NUM_MODES, NUM_STATES, NUM_STATES))
    projected = by_errors @ error_covariance
    covariances[..., :2, :2] = (white + projected @ by_errors.swapaxes(-1, -2))[:, None]
    covariances[..., 2, 2] = covariances[..., 3, 3] = np.square(speeds)[:, None]
    covariances[..., 4, 4] = TURN_RATE_STD**2
    crosses = np.zeros((count, NUM_MODES, NUM_STATES, num_errors))
    crosses[..., :2, :] = -projected[:, None]
    return MotionStates(means, covariances, crosses, np.tile(INITIAL_MODES, (count, 1)))


def _mixed(states: MotionStates, seconds: float) -> MotionStates:
    """The interaction of modes: each mode begins from what all of them say."""
    leave = 1 - np.exp(-seconds / MODE_TIMES_S)
    transition = np.array([[1 - leave[0], leave[0]], [leave[1], 1 - leave[1]]])
    joint = states.modes[:, :, None] * transition  # (t, from, to)
    modes = joint.sum(1)
    weights = joint / modes[:, None]
    means = np.einsum("tab,tai->tbi", weights, states.means)
    left = states.means[:, :, None] - means[:, None]  # (t, from, to, 5)
    covariances = np.einsum("tab,taij->tbij", weights, states.covariances)
    covariances += np.einsum("tab,tabi,tabj->tbij", weights, left, left)
    return MotionStates(means, covariances, np.einsum("tab,taiq->tbiq", weights, states.crosses), modes)


def _step(means: np.ndarray, seconds: float, mode: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where objects are after some time, (t, 5), and how that depends on where they were, (t, 5, 5)."""
    slopes = np.broadcast_to(np.eye(NUM_STATES), (len(means), NUM_STATES, NUM_STATES)).copy()
    if mode == 0:
        slopes[:, 0, 2] = slopes[:, 1, 3] = seconds
        slopes[:, 4, 4] = np.exp(-seconds / TURN_MEMORY_S)
        return (slopes @ means[..., None])[..., 0], slopes
    velocity, rate = means[:, 2:4], means[:, 4]
    angle = rate * seconds
    straight = np.abs(angle) < MIN_TURN
    safe = np.where(straight, 1.0, angle)
    ahead = np.where(straight, 1 - angle**2 / 6, np.sin(angle) / safe) * seconds
    aside = np.where(straight, angle / 2, (1 - np.cos(angle)) / safe) * seconds
    ahead_slope = np.where(straight, -angle / 3, (np.cos(angle) - np.sin(angle) / safe) / safe) * seconds**2
    aside_slope = np.where(straight, 0.5, (np.sin(angle) - (1 - np.cos(angle)) / safe) / safe) * seconds**2
    turn = _turning(np.cos(angle), np.sin(angle))
    slopes[:, :2, 2:4] = _turning(ahead, aside)
    slopes[:, 2:4, 2:4] = turn
    slopes[:, :2, 4] = (_turning(ahead_slope, aside_slope) @ velocity[..., None])[..., 0]
    slopes[:, 2:4, 4] = seconds * (_turning(-np.sin(angle), np.cos(angle)) @ velocity[..., None])[..., 0]
    moved = means.copy()
    moved[:, :2] += (slopes[:, :2, 2:4] @ velocity[..., None])[..., 0]
    moved[:, 2:4] = (turn @ velocity[..., None])[..., 0]
    return moved, slopes


def _turning(c: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def _process_noise(seconds: float, accelerations: np.ndarray) -> np.ndarray:
    """Return (t, m, 5, 5): accelerations that last for a second, so that it hardly matters how often images come."""
    noise = np.zeros((len(accelerations), NUM_MODES, NUM_STATES, NUM_STATES))
    power = np.square(np.stack([CRUISE_SHARE * accelerations, accelerations], 1))
    for axis in (0, 1):
        noise[..., axis, axis] = power * seconds**3 / 3
        noise[..., axis, axis + 2] = noise[..., axis + 2, axis] = power * seconds**2 / 2
        noise[..., axis + 2, axis + 2] = power * seconds
    noise[:, 0, 4, 4] = (0.1 * TURN_RATE_STD) ** 2 * seconds
    noise[:, 1, 4, 4] = TURN_RATE_STD**2 * seconds
    return noise
