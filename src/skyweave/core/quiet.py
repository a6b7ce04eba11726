"""Warnings of other libraries that are none here, ignored in any number of threads at once."""

import contextlib
import threading
import warnings
from collections import Counter
from collections.abc import Iterator

_lock = threading.Lock()
_uses: Counter[type[Warning]] = Counter()
_of_others: set[type[Warning]] = set()
"""Kinds that were ignored before: their filter is another's, and stays."""


@contextlib.contextmanager
def ignore_warnings(category: type[Warning]) -> Iterator[None]:
    """Ignore a kind of warning, in all threads, until the last that asked for it is done.

    `warnings.catch_warnings` restores the filters that it found: of two threads the one that leaves first takes the
    other's filter away, and the one that leaves last may put back what the first had set.

    Args:
        category: of the warnings.
    """
    filter_of_category = ("ignore", None, category, None, 0)
    with _lock:
        if not _uses[category] and filter_of_category in warnings.filters:
            _of_others.add(category)
        _uses[category] += 1
        warnings.simplefilter("ignore", category)  # again, as others may have restored filters without it
    try:
        yield
    finally:
        with _lock:
            _uses[category] -= 1
            if not _uses[category] and category in _of_others:
                _of_others.remove(category)
            elif not _uses[category]:
                with contextlib.suppress(ValueError):
                    warnings.filters.remove(filter_of_category)  # type: ignore[attr-defined]
