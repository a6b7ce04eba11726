"""Groups of windows: read at once, computed in batches, and what of them cannot be read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from skyweave.core.errors import DataError
from skyweave.data.raster_files import is_unreadable
from skyweave.inference.job import Observations, WindowSource
from skyweave.inference.journal import StripRecord
from skyweave.inference.windows import Window, WindowGroup

Result = TypeVar("Result")


@dataclass(frozen=True)
class ReadGroup:
    """Pixels of the windows of a group that are wanted.

    Attributes:
        windows: with their pixels.
        failures: why there are none of some, one a window.
    """

    windows: Sequence[tuple[Window, Observations]]
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComputedGroup(Generic[Result]):
    """What a model says of the windows of a group.

    Attributes:
        values: of each window with a valid pixel.
        failures: of reading, one a window.
    """

    values: Sequence[tuple[Window, Result]]
    failures: tuple[str, ...]


def read_group(source: WindowSource, group: WindowGroup) -> ReadGroup:
    """Read a group's windows; where that fails, one by one, and what cannot be read is named.

    Args:
        source: of the pixels.
        group: of windows.

    Raises:
        DataError: pixels contradict what is declared.
    """
    windows = [window for window in group.windows if _is_wanted(source.mask(window))]
    try:
        return ReadGroup(list(zip(windows, source.read(windows), strict=True)))
    except (DataError, OSError) as error:
        if not is_unreadable(error):
            raise
    pixels: list[tuple[Window, Observations]] = []
    failures: list[str] = []
    for window in windows:
        try:
            pixels += zip([window], source.read([window]), strict=True)
        except (DataError, OSError) as error:
            if not is_unreadable(error):
                raise
            failures.append(str(error))
    return ReadGroup(pixels, tuple(failures))


def compute_group(
    model: Callable[[Sequence[Observations]], Sequence[Result]], batch: int, group: ReadGroup
) -> ComputedGroup[Result]:
    """Compute windows in batches of one size; those without a valid pixel have no result.

    Args:
        model: from the pixels of windows of one size to a result of each.
        batch: windows that go through it at once.
        group: that is read.
    """
    by_shape: dict[tuple[int, int], list[tuple[Window, Observations]]] = {}
    for window, observations in group.windows:
        if any(observation.valid.any() for observation in observations):
            by_shape.setdefault(observations[0].shape, []).append((window, observations))
    results: list[tuple[Window, Result]] = []
    for members in by_shape.values():
        for first in range(0, len(members), batch):
            part = members[first : first + batch]
            values = model([observations for _, observations in part])
            results += zip([window for window, _ in part], values, strict=True)
    return ComputedGroup(results, group.failures)


def check_readable(records: Sequence[StripRecord], windows: int) -> None:
    """Refuse a scene of which nothing could be read.

    Args:
        records: of all strips.
        windows: in all.

    Raises:
        DataError: says why.
    """
    failures = [failure for record in records for failure in record.failures]
    if len(failures) == windows:
        raise DataError(failures[0])


def summarise_failures(records: Sequence[StripRecord]) -> tuple[str, ...]:
    """Return one line for each cause of a failure.

    Args:
        records: of all strips.
    """
    counts = Counter(failure for record in records for failure in record.failures)
    return tuple(f"{count} windows: {cause}" for cause, count in counts.items())


def _is_wanted(mask: np.ndarray | None) -> bool:
    return mask is None or bool(mask.any())
