"""Training, validation and test parts that neighbours do not leak between."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from skyweave.core.errors import DataError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class HoldoutConfig:
    """How samples are dealt to training, validation and test.

    Attributes:
        kind: ``groups``: whole groups of files; a group is what ``pattern`` captures in the file name, by default the
            file. ``blocks``: squares of ``block`` pixels inside every image; labels of training pixels nearer than
            ``gap`` pixels to a held-out block do not count. ``given``: the group ``part`` of ``pattern`` in the path
            below the data folder, or ``column`` of the table of labels, says train, validation (val) or test.
        validation: share of the samples. test: the same.
        minimum_groups: classes that fewer groups (or blocks) show are left out, with a note; three are needed for one
            in each part.
        seed: of the dealing; other seeds give other parts.
    """

    kind: Literal["groups", "blocks", "given"] = "groups"
    pattern: str | None = None
    column: str | None = None
    block: int = 64
    gap: int = 8
    validation: float = 0.2
    test: float = 0.2
    minimum_groups: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1 or not 0 < self.test < 1 or self.validation + self.test >= 1:
            raise DataError(
                f"split: validation {self.validation} and test {self.test} must be shares whose sum is below 1"
            )
        if self.kind == "given" and not self.column and "(?P<part>" not in (self.pattern or ""):
            raise DataError("split: given needs a `column` of the table, or a `pattern` with a group (?P<part>...)")


def stratified_group_split(counts: np.ndarray, group: Sequence[str], split: HoldoutConfig) -> np.ndarray:
    """Deal whole groups so that every class is spread by the shares: iterative stratification, rarest class first.

    After Sechidis et al. 2011 (doi:10.1007/978-3-642-23808-6_10), with groups instead of samples.

    Args:
        counts: (samples, classes) how much of each class a sample shows.
        group: (samples,) names.

    Returns:
        (samples,) int, index into `PARTS`.

    Raises:
        ValueError: fewer than three groups.
    """
    names, index = np.unique(np.asarray(group), return_inverse=True)
    if len(names) < 3:
        raise DataError(
            f"{len(names)} groups cannot be split into training, validation and test; use more images, a split.pattern "
            "that tells more groups apart, or split.kind: blocks"
        )
    totals = np.zeros((len(names), counts.shape[1] + 1))
    np.add.at(totals[:, :-1], index, counts)
    totals[:, -1] = np.bincount(index)  # samples, whatever they show
    totals /= np.maximum(totals.sum(0), 1e-9)
    shares = np.array([1 - split.validation - split.test, split.validation, split.test])
    wanted = np.repeat(shares[:, None], totals.shape[1], axis=1)
    part = np.full(len(names), -1)
    random = np.random.default_rng(split.seed)
    while (left := np.flatnonzero(part < 0)).size:
        shown = (totals[left, :-1] > 0).sum(0)
        rarest = int(np.where(shown > 0, shown, np.iinfo(int).max).argmin()) if shown.any() else -1
        members = [number for number in random.permutation(left) if totals[number, rarest] > 0]
        members.sort(key=lambda number: -totals[number, rarest])
        for number in members:
            short = wanted[:, rarest] + 1e-3 * wanted[:, -1]
            part[number] = int(short.argmax())
            wanted[part[number]] -= totals[number]
    _fill(part, totals[:, -1])
    dealt: np.ndarray = part[index]
    return dealt


def group_name(split: HoldoutConfig, path: Path) -> str:
    """The part of the file name that must stay together. Raises ``ValueError`` where the pattern does not match."""
    if split.pattern is None:
        return path.stem
    match = re.search(split.pattern, path.name)
    if match is None:
        raise DataError(f"split.pattern {split.pattern!r} does not match the file name {path.name!r}; correct it")
    return match.group(1) if match.groups() else match.group(0)


def parse_part(text: str, where: str) -> int:
    """Index into `PARTS` of a name people use. Raises ``ValueError`` for others."""
    known = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}
    if text.strip().lower() not in known:
        raise DataError(f"{where}: {text!r} is no part; use train, validation or test")
    return known[text.strip().lower()]


def gap_mask(window: tuple[int, int, int, int], held_out: Sequence[tuple[int, int, int, int]], gap: int) -> np.ndarray:
    """Pixels of a training window that lie nearer than ``gap`` to a held-out window of the same image.

    Args:
        window: top, left, rows, columns. held_out: the same.

    Returns:
        (rows, columns) bool of the window.
    """
    top, left, rows, columns = window
    mask = np.zeros((rows, columns), bool)
    for other_top, other_left, other_rows, other_columns in held_out:
        first_row, first_column = other_top - gap - top, other_left - gap - left
        last_row, last_column = other_top + other_rows + gap - top, other_left + other_columns + gap - left
        mask[max(0, first_row) : max(0, last_row), max(0, first_column) : max(0, last_column)] = True
    return mask


def _fill(part: np.ndarray, size: np.ndarray) -> None:
    """Give a part that went empty the smallest group of the largest part."""
    for number in range(3):
        if not (part == number).any():
            largest = int(np.bincount(part, weights=size, minlength=3).argmax())
            members = np.flatnonzero(part == largest)
            part[members[size[members].argmin()]] = number
