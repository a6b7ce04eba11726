"""Features of several origins side by side, such as a network's and the bands' own values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np


@dataclass(frozen=True)
class FeatureBlocks:
    """Blocks of features, each of which has the same say in a penalised model, whatever its number of values.

    A penalty on the sum of squared weights gives a block with ten times the values ten times the prior variance; with
    blocks of equal variance in sum, fifty values of the bands are not lost among a thousand of a network.

    Attributes:
        values: (samples, values) of all blocks.
        widths: values of each block, in order.
    """

    values: np.ndarray
    widths: tuple[int, ...]

    @classmethod
    def join(cls, blocks: Sequence[np.ndarray]) -> "FeatureBlocks":
        """Return blocks of the same samples side by side.

        Args:
            blocks: (samples, values) each.
        """
        return cls(np.concatenate(blocks, axis=1), tuple(block.shape[1] for block in blocks))

    def __getitem__(self, rows: Any) -> "FeatureBlocks":
        return FeatureBlocks(self.values[rows], self.widths)

    def __len__(self) -> int:
        return len(self.values)


FeatureValues: TypeAlias = np.ndarray | FeatureBlocks
"""(samples, values) of one origin, or blocks of several."""


def split_blocks(features: FeatureValues) -> list[np.ndarray]:
    """Return the blocks, (samples, values) each; the whole as one where there are none.

    Args:
        features: of one origin or several.
    """
    if isinstance(features, FeatureBlocks):
        return np.split(features.values, np.cumsum(features.widths)[:-1], axis=1)
    return [features]


def count_values(features: FeatureValues) -> int:
    """Return the values of a sample.

    Args:
        features: of one origin or several.
    """
    return int((features.values if isinstance(features, FeatureBlocks) else features).shape[1])


def absolute_difference(before: FeatureValues, after: FeatureValues) -> FeatureValues:
    """Return by how much the features of the same samples differ between two dates.

    Args:
        before: of the first date.
        after: of the second, of the same kind.
    """
    if isinstance(before, FeatureBlocks) and isinstance(after, FeatureBlocks):
        return FeatureBlocks(np.abs(before.values - after.values), before.widths)
    difference: np.ndarray = np.abs(np.asarray(before) - np.asarray(after))
    return difference
