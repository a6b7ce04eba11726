"""Platforms on a network: nodes that see, tell each other and publish one picture; the tools to run and watch them.

Start with docs/fleet.md. `Client` reads a fleet's results from any Python program.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
