"""Platforms on a network: nodes that observe, publish, receive and fuse; the tools to run and watch them.

Start with docs/fleet.md. `FleetClient` reads a fleet's results in any Python program.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
