"""Which sample a step has: a function of the seed and the step, so that a resumed run sees what it would have seen."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class ResumableSampler(Sampler[int]):
    """Yield the numbers of a run's samples from where it stands to its end.

    With a ``dataset_length``, each pass over the data is another permutation, and a number at or above the length says
    which pass it is, so that augmentation differs. Without, numbers are those of steps and come in order.

    Its length is that of the whole run, wherever it starts: Lightning counts the batches of a resumed run from the
    start of the run, and would end an epoch of the remaining length too early.

    Args:
        start: number of the first sample.
        stop: number behind the last sample of the run.
        dataset_length: samples of the dataset, to permute; None: in order.
        seed: of the permutations.
    """

    def __init__(self, start: int, stop: int, dataset_length: int | None = None, seed: int = 0) -> None:
        self.start, self.stop, self.dataset_length, self.seed = start, stop, dataset_length, seed

    def __iter__(self) -> Iterator[int]:
        if self.dataset_length is None:
            yield from range(self.start, self.stop)
            return
        order, order_epoch = torch.empty(0), -1
        for number in range(self.start, self.stop):
            epoch, index = divmod(number, self.dataset_length)
            if epoch != order_epoch:
                generator = torch.Generator().manual_seed(hash((self.seed, epoch)) % 2**63)
                order, order_epoch = torch.randperm(self.dataset_length, generator=generator), epoch
            yield epoch * self.dataset_length + int(order[index])

    def __len__(self) -> int:
        return self.stop
