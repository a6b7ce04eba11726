"""Where a band's camera of a rig sees a direction: perspective and fisheye lenses as Pix4D's namespace states them.

Fisheye: Pix4D, "How are the internal and external camera parameters defined?": with the angle t between a ray and the
optical axis, as a share of 90 degrees, r = p0 + p1 t + p2 t^2 + p3 t^3, stretched by an affine matrix about the
principal point.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import ExifTags

from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.rigs.band_file import BandFile
from skyweave.telemetry.image_metadata.lens import read_lens


class BandLens(Protocol):
    """A camera of a rig.

    Attributes:
        intrinsics: (3, 3) of the undistorted image with the same scale in its middle, pixels.
    """

    @property
    def intrinsics(self) -> np.ndarray:
        """Return the matrix of the undistorted image."""

    def project(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (..., 2) as (u, v), NaN behind the camera, and depths of (..., 3) points of its frame.

        Args:
            rays: (..., 3) in its frame.
        """


@dataclass(frozen=True)
class FisheyeLens:
    """A fisheye.

    Attributes:
        affine: (2, 2) pixels of a ray 90 degrees off the axis.
        centre: (2,) principal point (u, v) in pixels.
        polynomial: p0 to p3.
    """

    affine: np.ndarray
    centre: np.ndarray
    polynomial: tuple[float, ...]

    @property
    def intrinsics(self) -> np.ndarray:
        """Return the matrix of the undistorted image."""
        focal = self.affine.diagonal() * self.polynomial[1] * 2 / np.pi
        return np.array([[focal[0], 0, self.centre[0]], [0, focal[1], self.centre[1]], [0, 0, 1.0]])

    def project(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (..., 2) as (u, v), NaN behind the camera, and depths.

        Args:
            rays: (..., 3) in its frame.
        """
        across = np.hypot(rays[..., 0], rays[..., 1])
        angle = np.arctan2(across, rays[..., 2]) * 2 / np.pi
        radius = np.polynomial.polynomial.polyval(angle, self.polynomial)
        direction = rays[..., :2] / np.maximum(across, 1e-12)[..., None]
        pixels = (radius[..., None] * direction) @ self.affine.T + self.centre
        return np.where(rays[..., 2:] > 0, pixels, np.nan), rays[..., 2]


def band_lens(band: BandFile) -> BandLens:
    """Return the lens that a band states.

    Args:
        band: of the rig.

    Raises:
        DataError: it states none.
    """
    return _fisheye(band) if band.text("ModelType").lower() == "fisheye" else _perspective(band)


def _perspective(band: BandFile) -> PinholeCamera:
    rows, columns = band.stored.shape
    lens = read_lens(band.xmp, band.tags, columns, rows)
    if lens.focal_pixels is None:
        raise DataError(
            f"{band.path.name} does not state its lens (PerspectiveFocalLength and the focal plane's resolution), "
            "without which bands cannot be laid over each other; take the files as the camera wrote them"
        )
    (across, down), (right, below) = lens.focal_pixels, lens.centre_offset
    matrix = np.array([[across, 0, columns / 2 + right], [0, down, rows / 2 + below], [0, 0, 1.0]])
    return PinholeCamera(matrix, rows, columns, lens.distortion)


def _fisheye(band: BandFile) -> FisheyeLens:
    affine = np.array(band.require_xmp_sequence("FisheyeAffineMatrix", 4)[:4]).reshape(2, 2)
    scale = [band.tag(ExifTags.Base.FocalPlaneXResolution), band.tag(ExifTags.Base.FocalPlaneYResolution)]
    centre = np.array(band.require_xmp_sequence("PrincipalPoint", 2)[:2]) * scale  # millimetres, pixels a millimetre
    return FisheyeLens(affine, centre, band.require_xmp_sequence("FisheyePolynomial", 4)[:4])
