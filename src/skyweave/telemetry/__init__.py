"""What drones and cameras log of where they were and where they looked: readers by format, and poses over time."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
