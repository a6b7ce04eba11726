"""What must hold whatever a hostile member sends."""

import json
from typing import Any


class Violation(AssertionError):
    """An invariant that does not hold."""


def strict_json(text: str) -> Any:
    """Parse JSON as a browser does."""

    def refuse(constant: str) -> None:
        raise Violation(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
