"""GEO-Bench v1.0: its twelve tasks as labelled data, read without trusting the files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
