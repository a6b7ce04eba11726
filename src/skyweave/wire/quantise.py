"""Real numbers to whole ones and back: a uniform quantiser with a dead zone, a step for each channel."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.errors import WireError


@dataclass(frozen=True)
class Quantiser:
    """``q = sign(x) * floor(|x| / step + rounding)``, clipped; back: ``q * step``.

    With rounding 0.5 numbers go to the nearest level; less widens the zone that becomes 0, which is where a Laplacian
    source saves the most bits (Sullivan 1996, doi 10.1109/18.532878).

    Attributes:
        step: (channels,) > 0, in the unit of the features.
        rounding: 0.05 to 0.5.
        smallest, largest: (channels,) whole numbers that can be sent (``EntropyTables.limits``), 0 among them.
    """

    step: np.ndarray
    rounding: float = 0.5
    smallest: np.ndarray | int = -32767
    largest: np.ndarray | int = 32767

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", self._check_step())
        if not 0.05 <= self.rounding <= 0.5:
            raise WireError(f"rounding {self.rounding} must be 0.05 to 0.5")
        self._check_limits()

    def _check_step(self) -> np.ndarray:
        """Return the (channels,) float32 steps, or refuse them."""
        step = np.atleast_1d(np.asarray(self.step, np.float32))
        if step.ndim != 1 or not np.isfinite(step).all() or not (step > 0).all():
            raise WireError(f"step {self.step} must be (channels,) finite and > 0")
        return step

    def _check_limits(self) -> None:
        """Refuse limits that leave out 0 or do not fit into 16 bits."""
        if (np.asarray(self.smallest) > 0).any() or (np.asarray(self.largest) < 0).any():
            raise WireError("0 must lie within the limits of every channel")
        if np.abs(self.smallest).max() > 32767 or np.abs(self.largest).max() > 32767:
            raise WireError("limits must be within 32767")

    def quantise(self, features: np.ndarray) -> np.ndarray:
        """Quantise features to integer levels.

        Args:
            features: (..., channels), finite.

        Returns:
            (..., channels) int16 levels.

        Raises:
            WireError: NaN or infinity.
        """
        features = np.asarray(features, np.float32)
        if not np.isfinite(features).all():
            bad = int((~np.isfinite(features)).sum())
            raise WireError(f"{bad} of {features.size} features are NaN or infinite; mask those cells")
        with np.errstate(over="ignore"):
            scaled = np.minimum(np.abs(features) / self.step, np.float32(1 << 20))
        levels = np.copysign(np.floor(scaled + np.float32(self.rounding)), features)
        return np.asarray(levels.clip(self.smallest, self.largest).astype(np.int16))

    def restore(self, levels: np.ndarray) -> np.ndarray:
        """Return the features that levels stand for; `quantise` gives the same levels again.

        Args:
            levels: (..., channels) whole numbers.

        Returns:
            (..., channels) float32.
        """
        return np.asarray(np.asarray(levels).astype(np.float32) * self.step)
