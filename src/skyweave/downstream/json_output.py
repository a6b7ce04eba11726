"""JSON for the command line."""

from typing import Any


def finite_json(value: Any) -> Any:
    """Return plain content with None for NaN, which has no place in JSON.

    Args:
        value: mappings, lists, numbers and text.
    """
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(item) for item in value]
    return None if isinstance(value, float) and value != value else value
