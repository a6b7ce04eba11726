"""Forecast trajectories of objects."""

from dataclasses import dataclass

import numpy as np

from skyweave.perception.results.checks import check_lengths, check_scores, set_array
from skyweave.perception.results.vector import GeometryType, VectorFeature


@dataclass(frozen=True)
class Trajectories:
    """Forecast positions of objects: several modes each, with probabilities.

    Attributes:
        modes: (n, modes, steps, 2) world positions in metres, finite.
        probabilities: (n, modes), at least 0; of one object they sum to 1.
        times: (steps,) seconds from ``time``, above 0 and rising.
        categories: n class names.
        instances: n identifiers.
        crs: reference system of the world frame.
        time: UTC nanoseconds of the frame that is predicted from.

    Raises:
        ValueError: shapes that do not fit together, positions that are not finite, probabilities that are none.
    """

    modes: np.ndarray
    probabilities: np.ndarray
    times: np.ndarray
    categories: tuple[str, ...]
    instances: tuple[str, ...] | None = None
    crs: str | None = None
    time: int | None = None

    def __post_init__(self) -> None:
        for name in ("modes", "probabilities", "times"):
            set_array(self, name, np.asarray(getattr(self, name), np.float64))
        self._check_shapes()
        self._check_values()

    def _check_values(self) -> None:
        """Check that modes, probabilities and times can be."""
        if not np.isfinite(self.modes).all():
            raise ValueError("modes hold NaN or infinity; leave out objects whose future is not predicted")
        check_scores(self.probabilities, "probabilities of modes")
        if len(self) and not np.allclose(self.probabilities.sum(1), 1, atol=1e-3):
            raise ValueError(f"probabilities of an object's modes sum to 1, not {self.probabilities.sum(1).max():.4g}")
        if not (np.diff(self.times, prepend=0.0) > 0).all():
            raise ValueError(f"times must be seconds above 0 and rise, are {self.times.tolist()}")

    def _check_shapes(self) -> None:
        shape = self.modes.shape
        if len(shape) != 4 or shape[3] != 2 or not shape[1] or not shape[2]:
            raise ValueError(f"modes have shape {shape}; needed are (n, modes, steps, 2), at least one mode and step")
        if self.probabilities.shape != shape[:2] or self.times.shape != shape[2:3]:
            raise ValueError(
                f"modes of shape {shape} need probabilities {shape[:2]} and times {shape[2:3]}, got "
                f"{self.probabilities.shape} and {self.times.shape}"
            )
        check_lengths("modes", self.modes, self, ("categories", "instances"))

    def __len__(self) -> int:
        return len(self.modes)

    def best_modes(self) -> np.ndarray:
        """Return (n, steps, 2) the most probable mode of each object, metres."""
        return np.asarray(self.modes[np.arange(len(self)), self.probabilities.argmax(1)])

    def features(self) -> list[VectorFeature]:
        """Return one line a mode."""
        return [self._line(number, mode) for number in range(len(self)) for mode in range(self.modes.shape[1])]

    def _line(self, number: int, mode: int) -> VectorFeature:
        path = self.modes[number, mode]
        line = path if len(path) > 1 else np.repeat(path, 2, 0)  # a line has two points
        properties = {
            "category": self.categories[number],
            "instance": self.instances[number] if self.instances else None,
            "object": number,
            "mode": mode,
            "probability": float(self.probabilities[number, mode]),
            "time": self.time,
            "seconds": self.times.tolist(),
        }
        return VectorFeature(GeometryType.LINE_STRING, [[line]], properties)
