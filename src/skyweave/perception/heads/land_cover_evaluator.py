"""Metrics of land cover."""

from collections.abc import Sequence

import numpy as np

from skyweave.perception.heads.base import EvaluatedSample, HeadEvaluator, HeadScores
from skyweave.recordings.recording import UNKNOWN_COVER


class LandCoverEvaluator(HeadEvaluator):
    """Intersection over union of each class over all cells of all samples, and its mean over the classes there are.

    Args:
        classes: names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.confusion = np.zeros((len(classes), len(classes)), np.int64)  # truth x prediction

    def add(self, sample: EvaluatedSample) -> None:
        """Add a sample.

        Args:
            sample: passed over if its truth is not known, or it has no land cover.
        """
        predicted, truth = sample.prediction.land_cover, sample.objects.land_cover
        if predicted is None or truth is None:
            return
        table = np.full(UNKNOWN_COVER + 1, -1)
        for number, name in enumerate(truth.classes):
            table[number] = self.classes.index(name) if name in self.classes else -1
        cells = table[truth.cells]
        known = cells >= 0
        pairs = cells[known] * len(self.classes) + predicted.classes[known]
        self.confusion += np.bincount(pairs, minlength=self.confusion.size).reshape(self.confusion.shape)

    def compute(self) -> HeadScores:
        """Return ``cover_mIoU``, ``cover_accuracy`` and ``cover_IoU/CLASS``; none where nothing was known."""
        if not self.confusion.any():
            return HeadScores({})
        right = np.diag(self.confusion)
        either = self.confusion.sum(0) + self.confusion.sum(1) - right
        there = self.confusion.sum(1) > 0
        overlap = right / np.maximum(either, 1)
        values = {
            f"cover_IoU/{name}": float(value)
            for name, value, known in zip(self.classes, overlap, there, strict=True)
            if known
        }
        accuracy = float(right.sum() / self.confusion.sum())
        return HeadScores({"cover_mIoU": float(overlap[there].mean()), "cover_accuracy": accuracy, **values})
