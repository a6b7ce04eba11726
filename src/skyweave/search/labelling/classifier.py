"""A classifier of patches that learns from a few examples while somebody waits."""

from dataclasses import dataclass

import numpy as np

from skyweave.search.archive import DECODED_AT_ONCE, PatchArchive

INVERSE_PENALTY = 0.1
"""Of the logistic regression on standardised channels: with fewer examples than channels a weak penalty overfits."""
MIN_DISTANCE_PATCHES = 2.0  # between a question and any example


@dataclass(frozen=True)
class PatchPrediction:
    """The classes of all patches.

    Attributes:
        classes: (patches,) int64, indices of the classes.
        margins: (patches,) float32, probability of the best class minus that of the second, 0 (unsure) to 1.
    """

    classes: np.ndarray
    margins: np.ndarray


class PatchClassifier:
    """Logistic regression on the vectors of patches.

    Args:
        archive: whose patches are classified.
    """

    def __init__(self, archive: PatchArchive) -> None:
        self._archive = archive
        sample = archive.decode(np.unique(np.linspace(0, len(archive.levels) - 1, DECODED_AT_ONCE).astype(np.int64)))
        self._deviations = np.maximum(sample.std(0), 1e-6)

    def predict(self, numbers: np.ndarray, labels: np.ndarray) -> PatchPrediction:
        """Learn from examples and classify all patches.

        Args:
            numbers: of the examples' patches, (examples,).
            labels: classes of the examples, (examples,) int64.
        """
        count = len(self._archive.levels)
        if len(np.unique(labels)) < 2:
            return PatchPrediction(np.full(count, labels[0]), np.ones(count, np.float32))
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, class_weight="balanced")
        model.fit(self._vectors(numbers), labels)
        classes, margins = np.empty(count, np.int64), np.empty(count, np.float32)
        for first in range(0, count, DECODED_AT_ONCE):
            part = np.arange(first, min(first + DECODED_AT_ONCE, count))
            probabilities = model.predict_proba(self._vectors(part))
            best = np.sort(probabilities, axis=1)[:, -2:]
            classes[part], margins[part] = model.classes_[probabilities.argmax(1)], best[:, 1] - best[:, 0]
        return PatchPrediction(classes, margins)

    def _vectors(self, numbers: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = self._archive.decode(numbers) / self._deviations
        return scaled


def choose_question(prediction: PatchPrediction, cells: np.ndarray, columns: int, examples: np.ndarray) -> int | None:
    """Return the number of the patch where the classifier is least certain, away from the examples; None where none is.

    Args:
        prediction: of all patches.
        cells: of all patches in the grid, row times columns plus column.
        columns: of the grid.
        examples: numbers of the examples' patches.
    """
    places = np.stack(np.divmod(cells, columns), 1)
    margins = prediction.margins.copy()
    for place in places[examples]:
        margins[np.abs(places - place).max(1) < MIN_DISTANCE_PATCHES] = np.inf
    number = int(margins.argmin())
    return number if np.isfinite(margins[number]) else None
