"""What a node perceives with: detections of its own, late or intermediate fusion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
