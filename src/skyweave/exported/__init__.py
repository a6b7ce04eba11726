"""Models that ``skyweave export`` wrote, over scenes: NumPy and ONNX Runtime, neither PyTorch nor GDAL."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
