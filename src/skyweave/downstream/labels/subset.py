"""A share of the training labels."""

from collections.abc import Sequence

import numpy as np

from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.sample import LabelledSample

STREAM = 3
"""Second word of the seed, so that the subset is independent of whatever else is drawn with it."""


def stratified_subset(
    samples: Sequence[LabelledSample], kind: LabelKind, num_classes: int, fraction: float, seed: int
) -> list[LabelledSample]:
    """Return a random share of the samples, at least one, in which every class occurs while there is room for it.

    Rare classes come first: for each class that is still missing, rarest first, a random sample that shows it is
    taken. The rest is drawn at random. A smaller share of the same seed is part of a larger one only by chance.

    Args:
        samples: to choose from.
        kind: of their labels.
        num_classes: of the task; 0: nothing is to be spread.
        fraction: above 0, up to 1.
        seed: of the choice.
    """
    count = max(1, round(fraction * len(samples)))
    order = np.random.default_rng([seed, STREAM]).permutation(len(samples)).tolist()
    chosen: list[int] = []
    if num_classes:
        shows = np.stack([kind.class_counts(sample.label, num_classes) > 0 for sample in samples])
        for column in np.argsort(shows.sum(0)):
            if len(chosen) < count and not shows[chosen, column].any():
                chosen += [i for i in order if shows[i, column]][:1]
    chosen += [i for i in order if i not in set(chosen)][: count - len(chosen)]
    return [samples[i] for i in sorted(chosen)]
