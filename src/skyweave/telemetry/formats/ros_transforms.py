"""Transforms between the frames of a robot over time, as ROS publishes them on tf and tf_static."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import rotation_from_quaternion
from skyweave.telemetry.angles import multiply_quaternions
from skyweave.telemetry.interpolation import interpolate_orientations

MAX_CHAIN = 64  # frames from a camera to its root; a longer way goes in circles


@dataclass
class FrameTransforms:
    """The transforms of one frame to its parent.

    Attributes:
        parent: name of the parent.
        fixed: whether one holds for all times.
        samples: by nanoseconds, quaternion wxyz (4) and translation (3) of the parent from this frame.
    """

    parent: str
    fixed: bool
    samples: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def times(self) -> np.ndarray:
        """Return the times of the samples: (n,) nanoseconds, growing."""
        return np.array(sorted(self.samples), np.int64)

    def at(self, when: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return quaternions (k, 4) and translations (k, 3) at some times; NaN where no sample is near.

        Args:
            when: (k,) nanoseconds.
        """
        times = self.times()
        quaternions = np.stack([self.samples[time][0] for time in times.tolist()])
        shifts = np.stack([self.samples[time][1] for time in times.tolist()])
        if self.fixed:
            return np.tile(quaternions[-1], (len(when), 1)), np.tile(shifts[-1], (len(when), 1))
        moved = np.stack([np.interp(when, times, shifts[:, axis]) for axis in range(3)], -1)
        return interpolate_orientations(times, quaternions, when), moved


class TransformTree:
    """Frames by name, each with its parent."""

    def __init__(self) -> None:
        self.frames: dict[str, FrameTransforms] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def add(
        self, parent: str, child: str, time: int, quaternion: np.ndarray, shift: np.ndarray, *, fixed: bool
    ) -> None:
        """Add a transform; one that is no rotation is passed over, and of several parents all but the first.

        Args:
            parent: frame to whose axes it turns.
            child: frame from whose axes it turns.
            time: nanoseconds.
            quaternion: (4,) wxyz.
            shift: (3,) metres.
            fixed: whether it holds for all times.
        """
        length = float(np.linalg.norm(quaternion))
        if not (np.isfinite(length) and length > 0 and np.isfinite(shift).all()):
            return
        frame = self.frames.setdefault(child.lstrip("/"), FrameTransforms(parent.lstrip("/"), fixed))
        if frame.parent == parent.lstrip("/"):
            frame.samples[time] = (quaternion / length, shift)

    def chain(self, frame: str, stop: Collection[str]) -> tuple[list[FrameTransforms], str]:
        """Return the transforms from a frame upwards, and the frame they end at.

        Args:
            frame: to begin with.
            stop: frames to end at; without one of them the way ends at the root.

        Raises:
            DataError: the transforms go in a circle.
        """
        chain: list[FrameTransforms] = []
        name = frame.lstrip("/")
        while name in self.frames and name not in stop:
            chain.append(self.frames[name])
            name = self.frames[name].parent
            if len(chain) > MAX_CHAIN:
                raise DataError(f"the transforms (tf) above {frame} go in a circle")
        return chain, name


def chain_times(chain: Sequence[FrameTransforms]) -> np.ndarray:
    """Return the times of a chain's moving transforms: (n,) nanoseconds, those of the one that is sampled best.

    Args:
        chain: from a frame upwards.
    """
    moving = [link.times() for link in chain if not link.fixed]
    return max(moving, key=len, default=np.zeros(0, np.int64))


def compose(chain: Sequence[FrameTransforms], when: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the transforms of a chain's upper end from its lower one.

    Args:
        chain: from a frame upwards.
        when: (k,) nanoseconds.

    Returns:
        Quaternions (k, 4) wxyz and translations (k, 3) metres; NaN where a link has no sample near.
    """
    quaternions, shifts = np.tile([1.0, 0, 0, 0], (len(when), 1)), np.zeros((len(when), 3))
    for link in chain:
        turned, moved = link.at(when)
        known = np.isfinite(turned).all(1)
        shifts = np.where(known[:, None], shifts, np.nan)
        shifts[known] = np.einsum("kij,kj->ki", rotation_from_quaternion(turned[known]), shifts[known]) + moved[known]
        quaternions = multiply_quaternions(turned, quaternions)
    return quaternions, shifts
