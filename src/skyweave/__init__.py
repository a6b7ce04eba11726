"""Skyweave: one model family for everything that looks at the Earth, and one map where what it sees comes together.

``skyweave.load(name_or_path)`` returns a ready backbone. Importing this package imports nothing heavy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyweave.backbone import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # torch is imported when a model is asked for, not when the package is
        from skyweave.backbone import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "load"])
