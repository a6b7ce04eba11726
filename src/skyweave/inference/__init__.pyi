from .quantisation import Int8Quantisation
from .raster import FinishedRaster, Provenance, RasterDescription, RasterStatistics, Runtime
from .writer import RasterWriter
from .writers import WRITERS, get_writer, write_raster

__all__ = [
    "WRITERS",
    "FinishedRaster",
    "Int8Quantisation",
    "Provenance",
    "RasterDescription",
    "RasterStatistics",
    "RasterWriter",
    "Runtime",
    "get_writer",
    "write_raster",
]
