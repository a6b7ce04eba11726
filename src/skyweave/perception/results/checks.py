"""Checks that results share."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_lengths(name: str, values: Any, result: object, columns: Sequence[str]) -> None:
    """Check that columns of a result are as long as its main one.

    Args:
        name: of the main column, for the message.
        values: the main column.
        result: has the columns as attributes; those that are None are not checked.
        columns: names of the others.

    Raises:
        ValueError: one is longer or shorter.
    """
    lengths = _column_lengths(columns, result)
    wrong = [f"{length} {column}" for column, length in lengths.items() if length != len(values)]
    if wrong:
        raise ValueError(f"{len(values)} {name}, but {', '.join(wrong)}")


def _column_lengths(columns: Sequence[str], result: object) -> dict[str, int]:
    """Return the lengths of the columns that are there."""
    return {column: len(getattr(result, column)) for column in columns if getattr(result, column) is not None}


def check_scores(scores: np.ndarray, name: str) -> None:
    """Check that scores are confidences.

    Args:
        scores: any shape.
        name: what they are called in the message.

    Raises:
        ValueError: one is negative or not finite.
    """
    valid = np.isfinite(scores) & (scores >= 0)
    if not valid.all():
        raise ValueError(
            f"{name} must be finite and at least 0, found {scores[~valid][0]}; take the sigmoid or softmax of logits"
        )


def select_names(names: tuple[str, ...], selection: np.ndarray) -> tuple[str, ...]:
    """Return the names at some indices, or where a mask is true.

    Args:
        names: n names.
        selection: (m,) indices or (n,) bool.
    """
    return tuple(np.array(names, object)[selection].tolist())


def set_array(result: object, name: str, value: np.ndarray) -> None:
    """Set an attribute of a frozen dataclass while it is made.

    Args:
        result: the dataclass.
        name: of the attribute.
        value: its normalised array.
    """
    object.__setattr__(result, name, value)
