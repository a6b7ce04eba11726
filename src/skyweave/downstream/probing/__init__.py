"""Using frozen features: probes on image and dense labels, with baselines in the same table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
