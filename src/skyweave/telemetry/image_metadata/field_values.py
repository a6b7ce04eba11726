"""Values of EXIF and XMP fields, which vendors write as numbers, fractions and text, as what they mean."""

import math
from typing import Any


def parse_number(value: Any) -> float | None:
    """Return a finite number; None for what is none.

    Args:
        value: a number, a rational, or text such as ``+39.80``, ``39,80`` and ``527/100``.
    """
    if isinstance(value, str) and value.count(",") == 1 and "." not in value:  # of programs in some countries
        value = value.replace(",", ".")
    if isinstance(value, str) and value.count("/") == 1:
        return _parse_fraction(value)
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def parse_positive(value: Any) -> float | None:
    """Return a finite number above 0; None for anything else.

    Args:
        value: as of `parse_number`.
    """
    number = parse_number(value)
    return number if number is not None and number > 0 else None


def parse_whole(value: Any) -> int | None:
    """Return a whole number above 0; None for anything else.

    Args:
        value: as of `parse_number`.
    """
    number = parse_positive(value)
    return int(number) if number is not None else None


def _parse_fraction(text: str) -> float | None:
    """Return ``527/100`` as a number; None where a part is none, or the lower one 0."""
    above, below = map(parse_number, text.split("/"))
    return above / below if above is not None and below else None


def parse_numbers(text: str | None, count: int) -> tuple[float, ...] | None:
    """Return a list of numbers that are separated by commas; None where there are not as many.

    Args:
        text: such as ``0.1,-0.2,0``.
        count: of the numbers.
    """
    numbers = [parse_number(part.strip()) for part in (text or "").split(",")]
    known = tuple(number for number in numbers if number is not None)
    return known if len(known) == len(numbers) == count else None


def parse_text(value: Any) -> str:
    """Return text without what pads it.

    Args:
        value: text or bytes of ASCII.
    """
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value or "").strip("\0 ")
