"""Fields of a JSON object against a table of what a standard asks of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from skyweave.core.errors import did_you_mean
from skyweave.inference.validation.finding import Finding

Check = Callable[[Any], str | None]
"""From a value to what is wrong with it; None: nothing."""


@dataclass(frozen=True)
class Field:
    """What a standard asks of a field.

    Attributes:
        name: with its prefix.
        check: of its value.
        remedy: how to mend it.
        is_required: the standard says must.
    """

    name: str
    check: Check
    remedy: str
    is_required: bool = False


def check_fields(content: Mapping[str, Any], fields: Sequence[Field], within: str = "") -> Iterator[Finding]:
    """Yield what is missing or wrong.

    Args:
        content: the object.
        fields: that the standard knows.
        within: name of the object, for nested ones.
    """
    for field in fields:
        name = f"{within}.{field.name}" if within else field.name
        if field.name not in content:
            if field.is_required:
                yield Finding("error", name, "is missing", field.remedy)
            continue
        problem = field.check(content[field.name])
        if problem is not None:
            yield Finding("error", name, f"{problem}, but is {_shorten(content[field.name])}", field.remedy)


def check_unknown(content: Mapping[str, Any], prefix: str, known: Sequence[str], within: str = "") -> Iterator[Finding]:
    """Yield fields that have a standard's prefix and are not among its fields.

    Args:
        content: the object.
        prefix: of the standard; empty: every field.
        known: names that it has.
        within: name of the object, for nested ones.
    """
    for name in content:
        if name.startswith(prefix) and name not in known:
            full = f"{within}.{name}" if within else name
            remedy = f"remove it, or name it otherwise{did_you_mean(name, known)}"
            yield Finding("error", full, "is no field of the standard, which allows no others", remedy)


def is_text(value: Any) -> str | None:
    """Return what is wrong if a value is no text.

    Args:
        value: of a field.
    """
    return None if isinstance(value, str) and value else "must be text"


def is_object(value: Any) -> str | None:
    """Return what is wrong if a value is no object.

    Args:
        value: of a field.
    """
    return None if isinstance(value, Mapping) else "must be an object"


def is_count(value: Any) -> str | None:
    """Return what is wrong if a value is no integer of at least one.

    Args:
        value: of a field.
    """
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return None if is_integer and value >= 1 else "must be an integer of 1 or more"


def is_number(value: Any) -> str | None:
    """Return what is wrong if a value is no number.

    Args:
        value: of a field.
    """
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number"


def is_positive(value: Any) -> str | None:
    """Return what is wrong if a value is no number above zero.

    Args:
        value: of a field.
    """
    return None if is_number(value) is None and value > 0 else "must be a number above 0"


def is_not_negative(value: Any) -> str | None:
    """Return what is wrong if a value is no number of at least zero.

    Args:
        value: of a field.
    """
    return None if is_number(value) is None and value >= 0 else "must be a number of 0 or more"


def is_address(value: Any) -> str | None:
    """Return what is wrong if a value is no URI.

    Args:
        value: of a field.
    """
    has_scheme = isinstance(value, str) and bool(urlsplit(value).scheme) and " " not in value
    return None if has_scheme else "must be a URI with a scheme, such as https://... or urn:..."


def one_of(values: Sequence[str]) -> Check:
    """Return a check for one of some words.

    Args:
        values: that are allowed.
    """
    return lambda value: None if value in values else f"must be one of {', '.join(values)}"


def list_of(check: Check, length: int | None = None) -> Check:
    """Return a check for a list whose every element passes one.

    Args:
        check: of an element.
        length: of the list; None: one or more.
    """

    def check_list(value: Any) -> str | None:
        expected = f"{length} elements" if length else "one element or more"
        if not isinstance(value, list | tuple) or (len(value) != length if length else not value):
            return f"must be a list of {expected}"
        return next((f"has an element that {wrong}" for wrong in map(check, value) if wrong is not None), None)

    return check_list


def text_or_null(value: Any) -> str | None:
    """Return what is wrong if a value is neither text nor null.

    Args:
        value: of a field.
    """
    return None if value is None or isinstance(value, str) else "must be text or null"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
