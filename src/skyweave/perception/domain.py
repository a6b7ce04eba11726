"""What a model was trained on, as far as it can tell later: what its images are like, and how large its classes are.

The images' part is a Gaussian of the backbone's pooled features (arXiv 1807.03888), its covariance of low rank with an
equal rest (probabilistic principal components). An image's novelty is its squared Mahalanobis distance over that which
99 % of the images of other training scenes stay below: above 1 it is unlike what the model knows, and what is detected
there means little.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyweave.core.errors import WeightsError

COMPONENTS = 32
QUANTILE = 0.99
SIZE_MARGIN = 2.0  # by which a box may be smaller or larger than any of its class in training
MIN_VARIANCE = 1e-8


@dataclass(frozen=True)
class TrainingDomain:
    """What a model knows.

    Attributes:
        mean: (channels,) float32 of the pooled features.
        axes: (components, channels) float32 orthonormal directions of largest variance.
        variances: (components,) float32 along them.
        rest: variance along every other direction.
        limit: squared distance that one in a hundred training images exceeds.
        sizes: by class the least and the largest length, width and height, (2, 3) metres.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float
    sizes: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, features: np.ndarray, held: np.ndarray, sizes: Mapping[str, np.ndarray]) -> "TrainingDomain":
        """Fit a domain to some images of the training, and its limit to others.

        Args:
            features: (images, channels) pooled features of at least 2 images.
            held: (others, channels) those of images of other scenes: images of one scene are too much alike.
            sizes: by class the sizes of its training objects, (objects, 3) metres.
        """
        fitted = features.astype(np.float64)
        mean = fitted.mean(0)
        _, singular, axes = np.linalg.svd(fitted - mean, full_matrices=False)
        variances = np.maximum(singular**2 / len(fitted), MIN_VARIANCE)
        count = min(COMPONENTS, len(variances) - 1)
        rest = max(float(variances[count:].sum() / max(features.shape[1] - count, 1)), MIN_VARIANCE)
        ranges = {name: np.stack([values.min(0), values.max(0)]) for name, values in sizes.items() if len(values)}
        mean, axes, variances = (part.astype(np.float32) for part in (mean, axes[:count], variances[:count]))
        unscaled = cls(mean, axes, variances, rest, 1.0, ranges)
        distances = unscaled.novelty(torch.from_numpy(np.ascontiguousarray(held, np.float32)))
        limit = float(np.quantile(distances.numpy(), QUANTILE))
        return cls(mean, axes, variances, rest, limit, ranges)

    def novelty(self, pooled: Tensor) -> Tensor:
        """Return (images,) how unlike training images are: above 1 hardly any of these was.

        Args:
            pooled: (images, channels) features.
        """
        device = pooled.device
        mean, axes, variances = (torch.from_numpy(a).to(device) for a in (self.mean, self.axes, self.variances))
        offset = pooled.float() - mean
        along = offset @ axes.T
        beside = (offset.square().sum(1) - along.square().sum(1)).clamp(min=0)
        return ((along.square() / variances).sum(1) + beside / self.rest) / self.limit

    def plausible(self, sizes: np.ndarray, categories: Sequence[str]) -> np.ndarray:
        """Return (boxes,) bool: whether boxes are of a size that their class can have.

        Args:
            sizes: (boxes, 3) length, width, height in metres.
            categories: of each box; one that training had no object of may have any size.
        """
        anything = np.array([[0.0] * 3, [np.inf] * 3])
        bounds = np.array([self.sizes.get(name, anything) for name in categories]).reshape(-1, 2, 3)
        return np.asarray(((sizes >= bounds[:, 0] / SIZE_MARGIN) & (sizes <= bounds[:, 1] * SIZE_MARGIN)).all(1))

    def to_card(self) -> dict[str, Any]:
        """Return plain types for a card; arrays as base64 of little-endian float32."""
        arrays = {name: _packed(getattr(self, name)) for name in ("mean", "axes", "variances")}
        sizes = {name: np.round(bounds, 3).tolist() for name, bounds in self.sizes.items()}
        return {**arrays, "rest": self.rest, "limit": self.limit, "sizes": sizes}

    @classmethod
    def from_card(cls, content: Mapping[str, Any]) -> "TrainingDomain":
        """Return what `to_card` stored.

        Args:
            content: of the card.

        Raises:
            WeightsError: entries that are missing, or arrays that do not fit together.
        """
        try:
            mean, axes, variances = (_unpacked(content[name]) for name in ("mean", "axes", "variances"))
            sizes = {name: np.array(bounds, float).reshape(2, 3) for name, bounds in content["sizes"].items()}
            axes = axes.reshape(len(variances), len(mean))
            return cls(mean, axes, variances, float(content["rest"]), float(content["limit"]), sizes)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"the card's part `domain` is damaged ({error}); train the weights again") from error


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
