"""Adapting a backbone to a task: heads, fine-tuning, low-rank additions, reports."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
