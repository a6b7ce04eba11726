"""False colours: the first three principal components of features, gathered window by window."""

from dataclasses import dataclass

import numpy as np

FULL_COLOUR_STD = 2.5  # standard deviations from the mean to full colour


@dataclass(frozen=True)
class PrincipalComponents:
    """A projection of features to red, green and blue.

    Attributes:
        mean: (channels,).
        axes: (channels, 3), unit vectors; zero for a component that does not exist.
        deviations: (3,) standard deviation along each axis.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray

    def colours(self, features: np.ndarray) -> np.ndarray:
        """Colour features by their projections: the mean is mid grey, `FULL_COLOUR_STD` deviations are full colour.

        Args:
            features: (samples, channels).

        Returns:
            (samples, 3) uint8.
        """
        projected = (features.astype(np.float64) - self.mean) @ self.axes
        scaled = projected / np.where(self.deviations > 0, self.deviations, 1) / (2 * FULL_COLOUR_STD) + 0.5
        image: np.ndarray = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
        return image


class RunningCovariance:
    """Covariance of features, accumulated window by window in float64; memory does not grow with the scene.

    Args:
        channels: of the features.

    Attributes:
        count: samples so far.
        smallest, largest: (channels,) range of the features.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.shift: np.ndarray | None = None  # the first window's mean keeps the products small and so accurate
        self.total = np.zeros(channels)
        self.products = np.zeros((channels, channels))
        self.smallest = np.full(channels, np.inf)
        self.largest = np.full(channels, -np.inf)

    def add(self, features: np.ndarray) -> None:
        """Accumulate the features of one window.

        Args:
            features: (samples, channels); no sample is no error.
        """
        if not len(features):
            return
        values = features.astype(np.float64)
        if self.shift is None:
            self.shift = values.mean(0)
        self.smallest = np.minimum(self.smallest, values.min(0))
        self.largest = np.maximum(self.largest, values.max(0))
        values -= self.shift
        self.count += len(values)
        self.total += values.sum(0)
        self.products += values.T @ values

    def principal_components(self) -> PrincipalComponents:
        """Return the three axes of largest variance; each points to where its largest coefficient is positive."""
        channels = len(self.total)
        if self.shift is None:
            return PrincipalComponents(np.zeros(channels), np.zeros((channels, 3)), np.zeros(3))
        offset = self.total / self.count
        covariance = self.products / self.count - np.outer(offset, offset)
        variances, vectors = np.linalg.eigh(covariance)
        axes = np.zeros((channels, 3))
        deviations = np.zeros(3)
        kept = min(3, channels)
        axes[:, :kept] = vectors[:, ::-1][:, :kept]
        deviations[:kept] = np.sqrt(np.maximum(variances[::-1][:kept], 0))
        signs = np.sign(axes[np.abs(axes).argmax(0), range(3)])
        return PrincipalComponents(self.shift + offset, axes * np.where(signs == 0, 1, signs), deviations)
