"""A band resampled to the undistorted image of the rig's reference band."""

from dataclasses import dataclass

import numpy as np

from skyweave.core.geometry.frames import rotation_from_vector
from skyweave.rigs.band_file import BandFile
from skyweave.rigs.lens import BandLens

IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


@dataclass(frozen=True)
class Target:
    """The image that all bands are brought to: the reference band's, without its distortion.

    Attributes:
        intrinsics: (3, 3) pixels.
        shape: (rows, columns).
        rotation: (3, 3) from the reference camera to the rig's frame.
    """

    intrinsics: np.ndarray
    shape: tuple[int, int]
    rotation: np.ndarray

    def pixels(self) -> np.ndarray:
        """Return (rows, columns, 2) centres of its pixels as (u, v)."""
        return np.stack(np.meshgrid(np.arange(self.shape[1]) + 0.5, np.arange(self.shape[0]) + 0.5), -1)


def rig_rotation(band: BandFile) -> np.ndarray | None:
    """Return (3, 3) from a band's camera to the rig's frame, as it is calibrated; None where it is not.

    ``RigRelatives`` are the angles, in degrees, about x, y and z, applied in the order z, y, x (MicaSense's published
    processing code).

    Args:
        band: of the rig.
    """
    angles = band.read_xmp_sequence("RigRelatives", 3)
    if angles is None:
        return None
    about_x, about_y, about_z = (rotation_from_vector(axis) for axis in np.diag(np.radians(angles[:3])))
    rotation: np.ndarray = about_x @ about_y @ about_z
    return rotation


def resample_band(
    values: np.ndarray, lens: BandLens, rotation: np.ndarray, target: Target, correction: np.ndarray = IDENTITY
) -> np.ndarray:
    """Return a band on the target's pixels: (rows, columns) float32, bilinear, NaN where it sees nothing.

    Args:
        values: (rows, columns) of the band, NaN where invalid.
        lens: of the band.
        rotation: (3, 3) from its camera to the rig's frame.
        target: to which it is brought.
        correction: (2, 3) affine: where on the target the band, by its calibration alone, shows what the target
            shows at (u, v).
    """
    places = target.pixels() @ correction[:, :2].T + correction[:, 2]
    homogeneous = np.concatenate([places, np.ones_like(places[..., :1])], -1)
    rays = homogeneous @ (rotation.T @ target.rotation @ np.linalg.inv(target.intrinsics)).T
    return sample(values, lens.project(rays)[0])


def sample(values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return values between pixels, bilinear: (...) float32, NaN outside and beside what is invalid.

    Args:
        values: (rows, columns), NaN where invalid.
        pixels: (..., 2) as (u, v); NaN for none.
    """
    rows, columns = values.shape
    x, y = pixels[..., 0] - 0.5, pixels[..., 1] - 0.5
    inside = (x >= -0.5) & (x <= columns - 0.5) & (y >= -0.5) & (y <= rows - 0.5)
    x, y = (np.clip(np.where(inside, v, 0), 0, n - 1) for v, n in ((x, columns), (y, rows)))
    left, top = np.minimum(x.astype(int), columns - 2), np.minimum(y.astype(int), rows - 2)
    across, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
    flat, index = values.astype(np.float32).ravel(), top * columns + left
    upper = flat[index] * (1 - across) + flat[index + 1] * across
    lower = flat[index + columns] * (1 - across) + flat[index + columns + 1] * across
    return np.where(inside, upper * (1 - down) + lower * down, np.float32(np.nan))
