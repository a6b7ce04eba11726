"""JSON that others wrote, with bounds on how deep and how large it may be."""

import json
from typing import Any

from skyweave.core.errors import DataError

MAX_DEPTH = 64  # of lists and objects in one another: Python's own limit is that of its stack


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text; what is nested deeper than `MAX_DEPTH` is an error, not a crash.

    Args:
        text: as read from a file.

    Raises:
        ValueError: it is no JSON (``json.JSONDecodeError``), or nested too deeply (`DataError`).
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise DataError(f"JSON nested more than {MAX_DEPTH} deep is not read") from None
    check_nesting(content, MAX_DEPTH)
    return content


def check_nesting(content: Any, max_depth: int, max_values: int | None = None) -> None:
    """Raise an error for plain data that is nested too deeply, or too large.

    Args:
        content: lists, mappings and what is in them.
        max_depth: of lists and mappings in one another.
        max_values: numbers, texts, lists and mappings together; None: any number.

    Raises:
        DataError: it is.
    """
    level, count = [content], 1
    for _ in range(max_depth + 1):
        level = [value for container in level for value in _values(container)]
        count += len(level)
        if max_values is not None and count > max_values:
            raise DataError(f"JSON of more than {max_values} values is not read")
        if not level:
            return
    raise DataError(f"JSON nested more than {max_depth} deep is not read")


def _values(value: Any) -> Any:
    """Return what is in a list or mapping; nothing for other values."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
