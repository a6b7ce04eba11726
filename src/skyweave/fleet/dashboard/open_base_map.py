"""What lies beneath the objects of the live page, by what whoever runs it names."""

import numpy as np

from skyweave.fleet.dashboard.base_map import BackgroundMap, TileArea

NOTHING = "none"


class EmptyBaseMap(BackgroundMap):
    """Nothing lies beneath: the page stays dark."""

    def extent(self, crs: str | None) -> None:
        """Return None: nothing is there.

        Args:
            crs: without effect.
        """

    def render(self, area: TileArea, crs: str | None) -> np.ndarray | None:
        """Return None: nothing is there.

        Args:
            area: without effect.
            crs: without effect.
        """
        return None


def open_base_map(name: str, credit: str = "") -> BackgroundMap:
    """Return a base map.

    Args:
        name: path of a raster, folder or address of XYZ tiles, or ``none``.
        credit: whom it is owed to.

    Raises:
        FleetError: it cannot be read.
        MissingExtraError: rasters need rasterio.
    """
    from pathlib import Path

    from skyweave.core.errors import MissingExtraError
    from skyweave.fleet.dashboard.xyz_base_map import XyzBaseMap

    if name == NOTHING:
        return EmptyBaseMap()
    if "{z}" in name or Path(name).is_dir():
        return XyzBaseMap(name, credit)
    try:
        from skyweave.fleet.dashboard.raster_base_map import RasterBaseMap
    except ImportError as error:
        raise MissingExtraError("a raster beneath the page needs rasterio; install skyweave[geo]") from error
    return RasterBaseMap(name, credit)
