"""What every training shares: the Lightning module, its optimiser, sampler, run folder, export and trainer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
