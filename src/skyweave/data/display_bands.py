"""Which bands of a file are shown as red, green and blue."""

from skyweave.core.images.true_color import MAX_WAVELENGTH_OFFSET_NM, RGB_WAVELENGTHS_NM
from skyweave.data.band_header import COLOURS, BandHeader
from skyweave.data.header import RasterHeader


def choose_bands(header: RasterHeader) -> list[int]:
    """Return the 0-based bands of a file that are shown as red, green and blue, or one that is shown as grey.

    Args:
        header: of the file.
    """
    measured = measured_bands(header)
    bands = [header.bands[band] for band in measured]
    return [measured[index] for index in choose_display_bands(bands, [band.name for band in bands])]


def measured_bands(header: RasterHeader) -> list[int]:
    """Return the 0-based bands that are no transparency.

    Args:
        header: of the file.
    """
    return [band for band in range(header.count) if band != header.alpha]


def _nearest(known: list[tuple[float, int]], target: float) -> tuple[float, int]:
    """Return how many nanometres the nearest of (wavelength, channel) is off, and its channel."""
    return min((abs(wavelength - target), channel) for wavelength, channel in known)


def choose_display_bands(bands: list[BandHeader], names: list[str | None]) -> list[int]:
    """Return the channels nearest to red, green and blue or called so, else the first three, else the first.

    Args:
        bands: to choose from.
        names: of the bands, None where they have none.
    """
    known = [(band.wavelength, channel) for channel, band in enumerate(bands) if band.wavelength]
    if known:
        nearest = [_nearest(known, target) for target in RGB_WAVELENGTHS_NM]
        if max(nearest)[0] <= MAX_WAVELENGTH_OFFSET_NM:
            return [channel for _, channel in nearest]
    return _choose_by_name(names, bands)


def _choose_by_name(names: list[str | None], bands: list[BandHeader]) -> list[int]:
    """Choose the bands that are named for colours, or the first ones."""
    called = [(name or "").casefold() for name in names]
    if _have_colours(called):
        return [called.index(colour) for colour in COLOURS]
    return [0, 1, 2] if len(bands) >= 3 else [0]


def _have_colours(called: list[str]) -> bool:
    """Return whether bands are named for all colours."""
    return all(colour in called for colour in COLOURS)
