"""A share of the training labels."""

from collections.abc import Sequence

import numpy as np

from skyweave.downstream.finetuning.tasks import count_classes
from skyweave.downstream.labels.labelled_data import LabelledSample, Task


def stratified_subset(
    samples: Sequence[LabelledSample], task: Task, fraction: float, seed: int
) -> list[LabelledSample]:
    """A random share of the samples, at least one, in which every class occurs while there is room for it.

    Rare classes come first: for each class that is still missing, rarest first, a random sample that shows it is
    taken. The rest is drawn at random. A smaller share of the same seed is part of a larger one only by chance.
    """
    count = max(1, round(fraction * len(samples)))
    order = np.random.default_rng([seed, 3]).permutation(len(samples)).tolist()
    if task.kind == "regression":
        return [samples[i] for i in sorted(order[:count])]
    shows = np.stack([count_classes(task, [own]) > 0 for own in samples])
    taken: list[int] = []
    for kind in np.argsort(shows.sum(0)):
        if len(taken) < count and not shows[taken, kind].any():
            taken += [i for i in order if shows[i, kind]][:1]
    taken += [i for i in order if i not in set(taken)][: count - len(taken)]
    return [samples[i] for i in sorted(taken)]
