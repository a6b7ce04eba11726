"""One job over thousands of scenes: a list, workers that load the model once, a journal, a report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
