"""A suite of labelled tasks: encoders, peers and baselines on the same samples, splits and readouts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
