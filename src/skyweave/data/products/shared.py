"""Rasters that stay open: GDAL keeps the blocks that it decoded, and those of a product are large and slow."""

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

MAX_OPEN = 8
"""Rasters, each with the files of its bands."""


class _OpenRaster:
    """A raster that one thread at a time may read."""

    def __init__(self, name: str) -> None:
        import rasterio

        self.lock = threading.RLock()
        self.dataset = rasterio.open(name)


@contextlib.contextmanager
def keep_open(name: str) -> Iterator[Any]:
    """Give a raster to the block, which may read it while no other thread does; it stays open for the next.

    Args:
        name: of GDAL, or a virtual raster as text.

    Raises:
        RasterioError: it cannot be opened.
    """
    opened = _open(name, os.getpid())
    try:
        with opened.lock:
            yield opened.dataset
    except Exception:
        _open.cache_clear()  # what failed is opened anew next time
        raise


@lru_cache(maxsize=MAX_OPEN)
def _open(name: str, process: int) -> _OpenRaster:
    """Return an open raster of this process: a process that was forked must not share the places in files."""
    return _OpenRaster(name)
