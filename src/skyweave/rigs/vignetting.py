"""How much darker an image is towards its edges, as the camera's XMP states it in the namespace of Pix4D.

Two forms: a polynomial of the distance from a centre (``VignettingPolynomial``: 1 + k0 r + k1 r^2 .. in pixels), and
one of both shares of the image's sides (``VignettingPolynomial2D`` with its exponents). MicaSense, "RedEdge Camera
Radiometric Calibration Model"; Parrot, "Vignetting correction" of the Sequoia's developer documentation.
"""

import numpy as np

from skyweave.core.errors import DataError
from skyweave.rigs.band_file import BandFile


def vignetting(band: BandFile) -> np.ndarray | None:
    """Return (rows, columns) by what share light arrives at each pixel, 1 where it is not dimmed; None: not stated.

    Args:
        band: of the rig.

    Raises:
        DataError: a polynomial whose parts do not belong together, or that is not positive in the image.
    """
    share = _radial(band) if band.read_xmp_sequence("VignettingPolynomial") else _planar(band)
    if share is not None and not (np.isfinite(share).all() and share.min() > 0):
        raise DataError(f"{band.path.name} states a vignetting that leaves no light in parts of the image")
    return share


def _radial(band: BandFile) -> np.ndarray:
    column, row = band.require_xmp_sequence("VignettingCenter", 2)[:2]
    rows, columns = np.ogrid[: band.stored.shape[0], : band.stored.shape[1]]
    radius = np.hypot(columns - column, rows - row)
    return np.polynomial.polynomial.polyval(radius, (1.0, *band.require_xmp_sequence("VignettingPolynomial")))


def _planar(band: BandFile) -> np.ndarray | None:
    coefficients = band.read_xmp_sequence("VignettingPolynomial2D")
    if coefficients is None:
        return None
    exponents = band.require_xmp_sequence("VignettingPolynomial2DName", 2)
    if len(exponents) != 2 * len(coefficients):
        raise DataError(
            f"{band.path.name} states {len(coefficients)} coefficients of vignetting and {len(exponents)} exponents, "
            "and there are two for each"
        )
    table = np.zeros((int(max(exponents)) + 1,) * 2)
    for coefficient, across, down in zip(coefficients, exponents[::2], exponents[1::2], strict=True):
        table[int(down), int(across)] += coefficient
    rows, columns = band.stored.shape
    share: np.ndarray = np.polynomial.polynomial.polygrid2d(np.arange(rows) / rows, np.arange(columns) / columns, table)
    return share
