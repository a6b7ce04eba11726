"""What calibrated angles leave between two bands, measured on the ground that both show, and its correction.

Rigs bend with heat, and bands see the near ground from a few centimetres apart. Bands differ in brightness, and their
contrast may be reversed (leaves in red and infrared), so edges are compared: the magnitude of the gradient, with local
mean and contrast removed. Patches over the image are found in the other band by normalised cross-correlation
(`skyweave.orthomosaic.correlation`); an affine transform through those that are sure, weighted against outliers, is the
correction.
"""

from dataclasses import dataclass

import numpy as np

from skyweave.orthomosaic.correlation import correlate, flatten, match_patches

MIN_SCORE, MIN_MARGIN = 0.3, 0.05  # of a correlation, and of what it is better by than elsewhere
MIN_PATCHES, MIN_PATCHES_AFFINE = 6, 16
PATCH_SHARE, MIN_PATCH, MAX_PATCH = 12, 16, 64  # a patch's side is this part of the image's shorter side
PATCHES_ALONG = 10  # an image side
CONTRAST = 100.0  # brings flattened values to the scale of grey levels that the matching expects
COARSE_SIDE = 256
MAX_COARSE_SHARE = 0.15  # of an image's side that uncalibrated cameras may be off by
MIN_SIGNIFICANCE = 6.0


@dataclass(frozen=True)
class Shifts:
    """How far a band lies off the reference.

    Attributes:
        places: (n, 2) pixels (u, v) of the reference.
        offsets: (n, 2) by which the band shows them further right and down, pixels.
    """

    places: np.ndarray
    offsets: np.ndarray

    @property
    def median(self) -> float:
        """Return the median distance in pixels; NaN without any."""
        return float(np.median(np.hypot(*self.offsets.T))) if len(self.offsets) else float("nan")


def edges(values: np.ndarray) -> np.ndarray:
    """Return (rows, columns) what is compared: flattened magnitudes of the gradient, NaN where unknown.

    Args:
        values: of a band, NaN where unknown.
    """
    down, across = np.gradient(values)
    magnitude = np.sqrt(np.hypot(down, across))  # the root: one bright roof is not all there is to match
    flat = flatten(magnitude, max(min(values.shape) // 24, 4)) * CONTRAST
    return np.where(np.isfinite(magnitude), flat, np.nan)


def coarse_shift(reference: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Return (2,) by how many pixels (u, v) a band lies off as a whole, to a pixel in 256; 0 where that is unsure.

    Args:
        reference: edges of the reference.
        band: edges of the band.
    """
    step = max(min(reference.shape) // COARSE_SIDE, 1)
    a, b = (_averaged(values, step) for values in (reference, band))
    known_a, known_b = np.isfinite(a), np.isfinite(b)
    limits = np.array([0.0, 0.0, MAX_COARSE_SHARE * max(a.shape)])
    peak = correlate(np.nan_to_num(a), np.nan_to_num(b), known_a, known_b, 0.5, limits)
    if peak is None or peak.significance < MIN_SIGNIFICANCE:
        return np.zeros(2)
    return np.array(peak.shift[::-1]) * -float(step)


def _averaged(values: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of pixels."""
    rows, columns = (side // step * step for side in values.shape)
    return np.asarray(values[:rows, :columns].reshape(rows // step, step, columns // step, step).mean((1, 3)))


def measure_shifts(reference: np.ndarray, band: np.ndarray, search_radius: int) -> Shifts:
    """Measure how far a band lies off, patch by patch.

    Args:
        reference: edges of the reference.
        band: edges of the band.
        search_radius: pixels.
    """
    side = int(np.clip(min(reference.shape) // PATCH_SHARE, MIN_PATCH, MAX_PATCH))
    window = side + 2 * search_radius
    rests = np.subtract(reference.shape, window)
    corners = [np.arange(0, rest + 1, max(side // 2, rest // PATCHES_ALONG)) for rest in rests]
    origin = np.stack(np.meshgrid(*corners, indexing="ij"), -1).reshape(-1, 2)
    patches = np.array([_cut(reference, corner + search_radius, side) for corner in origin])
    windows = np.array([_cut(band, corner, window) for corner in origin])
    if not len(origin):
        return Shifts(np.zeros((0, 2)), np.zeros((0, 2)))
    shifts, scores, margins = match_patches(patches, windows)
    sure = (scores > MIN_SCORE) & (margins > MIN_MARGIN)
    return Shifts((origin + window / 2)[sure][:, ::-1], shifts[sure][:, ::-1])


def _cut(values: np.ndarray, corner: np.ndarray, side: int) -> np.ndarray:
    return values[corner[0] : corner[0] + side, corner[1] : corner[1] + side]


def fit_shifts(shifts: Shifts) -> np.ndarray | None:
    """Return the (2, 3) affine from places of the reference to those of the band; None where too few are sure.

    Args:
        shifts: as measured.
    """
    count = len(shifts.offsets)
    if count < MIN_PATCHES:
        return None
    centre = shifts.places.mean(0)
    terms = np.concatenate([shifts.places - centre, np.ones((count, 1))], 1)
    terms = terms if count >= MIN_PATCHES_AFFINE else terms[:, 2:]
    weights = _agreement(shifts.offsets - np.median(shifts.offsets, 0))
    for _ in range(10):
        solution = np.linalg.lstsq(terms * weights[:, None], shifts.offsets * weights[:, None], rcond=None)[0]
        weights = _agreement(shifts.offsets - terms @ solution)
    affine = np.zeros((2, 3))
    affine[:, 3 - terms.shape[1] :] = solution.T
    affine[:, 2] -= affine[:, :2] @ centre
    affine[:, :2] += np.eye(2)
    return affine


def _agreement(errors: np.ndarray) -> np.ndarray:
    """Weights (n,) of errors (n, 2): small where they are larger than usual (Geman and McClure)."""
    size = np.hypot(*errors.T)
    usual = max(1.5 * float(np.median(size)), 0.2)
    return np.asarray(1.0 / (1.0 + (size / usual) ** 2))


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the (2, 3) affine that applies ``inner``, then ``outer``.

    Args:
        outer: (2, 3).
        inner: (2, 3).
    """
    joined: np.ndarray = np.vstack([outer, [0, 0, 1]]) @ np.vstack([inner, [0, 0, 1]])
    return joined[:2]
