"""Skyweave: one model family for everything that looks at the Earth, and one map where what it sees comes together.

The names below are the front door; each is imported when it is asked for, so that ``import skyweave`` stays light. The
rooms behind it (``skyweave.mapping``, ``skyweave.wire``, ...) offer more: see the reference in the documentation.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
