"""Whether a raster that was written is on the disk: GDAL writes late, and reports a full disk in its log alone."""

from pathlib import Path

import numpy as np

from skyweave.core.quiet import ignore_warnings


def check_written(path: Path, values: np.ndarray) -> None:
    """Read a raster and compare it with what was written; call it when the file is closed.

    Args:
        path: of the file.
        values: (bands, rows, columns) that were written.

    Raises:
        OSError: it holds something else.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with ignore_warnings(NotGeoreferencedWarning), rasterio.open(path) as file:
            stored = file.read()
    except RasterioError:
        stored = None
    if stored is None or not np.array_equal(stored, values, equal_nan=np.issubdtype(values.dtype, np.inexact)):
        raise OSError(f"{path} cannot be read back as it was written; the disk may be full: free some space")
