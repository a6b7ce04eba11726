"""Platforms on a network: nodes that see, tell each other and publish one picture; the tools to run and watch them.

Start with docs/fleet.md. `Client` reads a fleet's results from any Python program.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyweave.fleet.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    if name == "Client":  # on demand: importing the room must not import Zenoh
        from skyweave.fleet.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
