"""Multinomial logistic regression along a path of penalties, fast enough to run hundreds of times in a probe.

The problem is the usual one (cross-entropy plus L2 on the weights). Spectra and deep features are nearly collinear, on
which quasi-Newton methods crawl; so the inputs are rotated to their principal axes (none is dropped) and each axis is
scaled by the curvature expected along it. That changes the steps, not the solution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

MIN_VARIANCE_SHARE = 1e-9
"""Axes with less than this share of the largest variance hold rounding errors only."""


@dataclass(frozen=True)
class LogisticModel:
    """What was fitted.

    Attributes:
        weights: (values, classes).
        intercepts: (classes,).
        classes: (classes,) those that were trained.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    classes: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return (samples,) the most probable class.

        Args:
            features: (samples, values), standardised.
        """
        predicted: np.ndarray = self.classes[(features @ self.weights + self.intercepts).argmax(axis=1)]
        return predicted


def fit_logistic(
    features: np.ndarray,
    target: np.ndarray,
    strengths: Sequence[float],
    balanced: bool,
    iterations: int = 60,
    tolerance: float = 1e-4,
) -> list[LogisticModel]:
    """Fit one model per inverse penalty strength, each started from the one before.

    Minimises ``mean(weight * cross_entropy) + |w|^2 / (2 * strength * N)``; the intercept is not penalised.

    Args:
        features: (samples, values), standardised.
        target: (samples,) int.
        strengths: inverse penalties, as scikit-learn's ``C``; ascending is fastest.
        balanced: weigh samples by the inverse frequency of their class.
        iterations: of the optimiser at most.
        tolerance: largest entry of the gradient at which to stop.
    """
    classes, index = np.unique(target, return_inverse=True)
    count = len(target)
    hot = np.eye(len(classes), dtype=np.float32)[index]
    share = (count / (len(classes) * np.bincount(index)))[index] if balanced else np.ones(count)
    weight = (share / count).astype(np.float32)[:, None]
    variance, axes = _principal_axes(features, weight)
    rotated = features @ axes
    curvature = 1 / len(classes)

    models = []
    solution: np.ndarray = np.zeros((len(variance), len(classes)))
    intercepts: np.ndarray = np.log((hot * weight).sum(axis=0))
    for strength in strengths:
        penalty = 1 / (strength * count)
        scale = 1 / np.sqrt(curvature * variance + penalty)
        inputs = (rotated * scale).astype(np.float32)

        def loss(
            flat: np.ndarray, inputs: np.ndarray = inputs, scale: np.ndarray = scale, penalty: float = penalty
        ) -> tuple[float, np.ndarray]:
            values = flat.reshape(-1, len(classes))
            logits = inputs @ values[:-1].astype(np.float32) + values[-1].astype(np.float32)
            logits -= logits.max(axis=1, keepdims=True)
            exponents = np.exp(logits)
            total = exponents.sum(axis=1, keepdims=True)
            true_logit = (logits * hot).sum(axis=1, keepdims=True)
            error = (exponents / total - hot) * weight
            shrunk = scale[:, None] * values[:-1]
            value = float(
                (weight * (np.log(total) - true_logit)).sum(dtype=np.float64) + penalty / 2 * (shrunk**2).sum()
            )
            slope = np.concatenate([inputs.T @ error + penalty * scale[:, None] * shrunk, error.sum(axis=0)[None]])
            return value, slope.astype(np.float64).ravel()

        start = np.concatenate([solution / scale[:, None], intercepts[None]]).ravel()
        options = {"maxiter": iterations, "gtol": tolerance, "ftol": 1e-7}
        flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.reshape(-1, len(classes))
        solution, intercepts = flat[:-1] * scale[:, None], flat[-1]
        models.append(LogisticModel((axes @ solution).astype(np.float32), intercepts.astype(np.float32), classes))
    return models


def _principal_axes(features: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (axes,) variances and (values, axes) of weighted features, by the smaller of their two products."""
    weighted = features * np.sqrt(weight)
    is_wide = features.shape[1] > len(features)
    product = weighted @ weighted.T if is_wide else weighted.T @ weighted
    variance, vectors = np.linalg.eigh(product.astype(np.float64))
    keep = variance > MIN_VARIANCE_SHARE * variance[-1]
    variance, vectors = variance[keep], vectors[:, keep]
    axes = (weighted.T @ vectors) / np.sqrt(variance) if is_wide else vectors
    return variance, axes.astype(np.float32)
