"""Errors that a user can mend: one base, so that callers and the command line know them from bugs.

Each is also the built-in exception that Python programmers expect (``ValueError``, ``KeyError``, ``ImportError``).
What is raised as a plain ``ValueError`` is the misuse of a function by code: the command line shows its traceback.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache


class SkyweaveError(Exception):
    """Base of all errors whose message tells the user what is wrong and what helps."""


class DataError(SkyweaveError, ValueError):
    """A file, an observation, a label or a recording cannot be used as it is."""


class ConfigError(SkyweaveError, ValueError):
    """A configuration or an option is not valid."""


class WeightsError(SkyweaveError, ValueError):
    """Weights are damaged, of another model, or do not fit what they are asked to do."""


class WireError(SkyweaveError, ValueError):
    """A message cannot be written within its budget, or bytes are not a message."""


class FleetError(SkyweaveError, ValueError):
    """A fleet cannot be started, joined or observed."""


class TrainingError(SkyweaveError, ArithmeticError):
    """A training cannot go on, such as after a loss that is not finite."""


class UnknownNameError(SkyweaveError, KeyError):
    """A name is not among the valid ones."""

    def __str__(self) -> str:
        """Return the message itself: a plain ``KeyError`` puts it in quotes."""
        return str(self.args[0]) if self.args else ""


class MissingExtraError(SkyweaveError, ImportError):
    """An optional library is not installed."""


def did_you_mean(name: str, valid: Iterable[str] | Mapping[str, str]) -> str:
    """Return ``, did you mean 'x'?`` for the valid name that is spelled most like ``name``, or nothing.

    Args:
        name: the name as given.
        valid: the names that exist, or a mapping from their spellings to them.
    """
    spellings = {normalise_name(spelling): spelling for spelling in valid}
    nearest = difflib.get_close_matches(normalise_name(name), list(spellings), n=1)
    if not nearest:
        return ""
    spelling = spellings[nearest[0]]
    return f", did you mean {(valid[spelling] if isinstance(valid, Mapping) else spelling)!r}?"


@lru_cache(maxsize=65536)  # opening one hyperspectral file asks some hundred thousand times
def normalise_name(name: str) -> str:
    """Return a spelling without case, punctuation and leading zeros: ``B04``, ``b4`` and ``B_4`` are one name.

    Args:
        name: a name as somebody wrote it.
    """
    letters = re.sub(r"[^0-9a-z]+", "", name.casefold())
    return re.sub(r"(?<!\d)0+(?=\d)", "", letters)
