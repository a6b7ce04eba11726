"""Splits that neighbours do not leak between: three stratified parts of whole groups, or folds."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.downstream.labels.config import SplitConfig
from skyweave.downstream.labels.image_files import match_name
from skyweave.downstream.labels.tiles import Window

PARTS = ("train", "validation", "test")
PART_SPELLINGS = {
    **dict.fromkeys(["train", "training"], 0),
    **dict.fromkeys(["val", "valid", "validation", "dev"], 1),
    **dict.fromkeys(["test", "testing"], 2),
}
TIE_SHARE = 1e-3
"""Of the number of samples, added to the need for a class: it decides between parts that need as much."""


def stratified_group_split(counts: np.ndarray, group: Sequence[str], split: SplitConfig) -> np.ndarray:
    """Assign whole groups to parts so that every class is spread by the shares.

    Iterative stratification, rarest class first (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10), with groups
    instead of samples.

    Args:
        counts: (samples, classes) how much of each class a sample shows.
        group: (samples,) names.
        split: shares and seed.

    Returns:
        (samples,) int, index into `PARTS`.

    Raises:
        DataError: fewer than three groups.
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
    needed = np.repeat(shares[:, None], totals.shape[1], axis=1)
    part = np.full(len(names), -1)
    random = np.random.default_rng(split.seed)
    while (left := np.flatnonzero(part < 0)).size:
        column = _rarest(totals[left, :-1])
        members = [number for number in random.permutation(left) if totals[number, column] > 0]
        members.sort(key=lambda number: -totals[number, column])
        for number in members:
            part[number] = int((needed[:, column] + TIE_SHARE * needed[:, -1]).argmax())
            needed[part[number]] -= totals[number]
    _fill_empty_parts(part, totals[:, -1])
    assigned: np.ndarray = part[index]
    return assigned


def stratified_group_folds(
    strata: np.ndarray, group: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return indices of training and test samples of stratified folds that keep groups whole.

    Args:
        strata: (samples,) int, what folds are balanced over.
        group: (samples,) int.
        folds: how many.
        seed: of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if np.bincount(strata).max() < folds:  # nothing to balance
        strata = np.zeros_like(strata)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class in fewer groups than folds is reported by the probe
        parts = list(splitter.split(np.zeros(len(strata)), strata, group))
    return [(train, test) for train, test in parts if len(test) and len(train)]


def group_name(split: SplitConfig, relative: Path) -> str:
    """Return the part of the file name, or of the path for a pattern with ``/``, that stays on one side of a split.

    Args:
        split: with the pattern; without one, a group is an image.
        relative: path of the image below the data folder.

    Raises:
        DataError: the pattern does not match.
    """
    if split.pattern is None:
        return relative.with_suffix("").as_posix()
    return match_name(split.pattern, relative, "split.pattern")


def block_name(split: SplitConfig, place: str, top: int, left: int) -> str:
    """Return the name of the block that a pixel lies in.

    Args:
        split: with the side of a block.
        place: name of the image.
        top: row of the pixel.
        left: column of the pixel.
    """
    return f"{place}:{top // split.block}:{left // split.block}"


def parse_part(text: str, source: str) -> int:
    """Return the index into `PARTS` of a name that people use.

    Args:
        text: the name.
        source: where it stands, for messages.

    Raises:
        DataError: it is none.
    """
    if text.strip().lower() not in PART_SPELLINGS:
        raise DataError(f"{source}: {text!r} is no part; use train, validation or test")
    return PART_SPELLINGS[text.strip().lower()]


def gap_mask(window: Window, held_out: Sequence[Window], gap: int) -> np.ndarray:
    """Return which pixels of a training window lie nearer than ``gap`` to a held-out window of the same image.

    Args:
        window: top, left, rows, columns.
        held_out: windows.
        gap: pixels.

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


def _rarest(totals: np.ndarray) -> int:
    """Return the class that fewest of the groups show; -1, the number of samples, where none shows any."""
    shown = (totals > 0).sum(0)
    return int(np.where(shown > 0, shown, np.iinfo(int).max).argmin()) if shown.any() else -1


def _fill_empty_parts(part: np.ndarray, size: np.ndarray) -> None:
    """Give a part that went empty the smallest group of the largest part."""
    for number in range(len(PARTS)):
        if not (part == number).any():
            largest = int(np.bincount(part, weights=size, minlength=len(PARTS)).argmax())
            members = np.flatnonzero(part == largest)
            part[members[size[members].argmin()]] = number
