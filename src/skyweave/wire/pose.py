"""The pose section: 15 to 40 bytes."""

import math

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.fields import FieldReader, pack_bits, unpack_bits, varint, zigzag
from skyweave.wire.frame import Pose, WireGrid

CM_PER_METRE = 100
MAX_OFFSET_CM = 1 << 40  # centimetres that fit
QUATERNION_STEPS = (1 << 15) - 1  # of a component between -sqrt(1/2) and sqrt(1/2): 0.005 degrees
SIGMA_STEPS = 8  # an octave: 9 %
SIGMA_ZERO = 160  # the code of 1 metre or radian
CORRELATION_STEPS = 127
BELOW_DIAGONAL = np.tril_indices(6, -1)


def encode_pose(pose: Pose, grid: WireGrid) -> bytes:
    """Encode position, orientation and covariance as the content of a pose section.

    Args:
        pose: quantised to 1 cm, 0.005 degrees and 9 % of each standard deviation.
        grid: the map grid of the frame, whose corner positions count from.

    Raises:
        WireError: NaN, infinity, a quaternion that is no rotation, or a position too far from the grid.
    """
    section = _position_bytes(pose, grid) + _quaternion_bytes(_check_quaternion(pose))
    return section + (bytes([0]) if pose.covariance is None else _covariance_bytes(pose.covariance))


def _check_quaternion(pose: Pose) -> np.ndarray:
    """Return the (4,) quaternion of a pose, or refuse one that is no rotation."""
    quaternion = np.asarray(pose.quaternion, np.float64)
    if quaternion.shape != (4,) or not abs(np.linalg.norm(quaternion) - 1) < 1e-3:
        raise WireError(f"quaternion {quaternion} must be wxyz of length 1")
    return quaternion


def _position_bytes(pose: Pose, grid: WireGrid) -> bytes:
    """Encode a position in centimetres from the grid's corner; refuse one that is not finite or too far."""
    position = np.asarray(pose.position, np.float64)
    if position.shape != (3,) or not np.isfinite(position).all():
        raise WireError(f"position {position} must be three finite metres")
    offset = np.rint((position - _corner(grid)) * CM_PER_METRE)
    if np.abs(offset).max() > MAX_OFFSET_CM:
        raise WireError(f"position {position} is too far from the grid at {_corner(grid)[:2]}")
    return b"".join(varint(zigzag(int(c))) for c in offset)


def decode_pose(reader: FieldReader, grid: WireGrid) -> Pose:
    """Decode the content of a pose section, the inverse of `encode_pose`.

    Args:
        reader: stands at the content.
        grid: the map grid of the frame.

    Raises:
        RejectedError: the section is cut off or is no pose.
    """
    offset = [reader.zigzag(MAX_OFFSET_CM) for _ in range(3)]
    position = _corner(grid) + np.array(offset, np.float64) / CM_PER_METRE
    quaternion = _read_quaternion(reader)
    form = reader.integer(1)
    if form > 2:
        raise reader.refuse(f"covariance form {form}")
    return Pose(position, quaternion, _read_covariance(reader, form) if form else None)


def _corner(grid: WireGrid) -> np.ndarray:
    return np.array([grid.west * grid.metres, grid.north * grid.metres, 0.0])


def _quaternion_bytes(quaternion: np.ndarray) -> bytes:
    """The three smaller components in 15 bits each, and which one is left out: it is positive, the rest follows."""
    largest = int(np.abs(quaternion).argmax())
    others = np.delete(quaternion, largest) / np.linalg.norm(quaternion) * (1 if quaternion[largest] > 0 else -1)
    codes = np.rint((others * math.sqrt(2) + 1) / 2 * QUATERNION_STEPS).clip(0, QUATERNION_STEPS)
    bits = pack_bits(np.array([0, largest, *codes.astype(np.int64)]), np.array([1, 2, 15, 15, 15]))
    return np.packbits(bits).tobytes()


def _read_quaternion(reader: FieldReader) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(reader.take(6), np.uint8))
    empty, largest, *codes = unpack_bits(bits, np.array([1, 2, 15, 15, 15]))
    others = (np.array(codes) / QUATERNION_STEPS * 2 - 1) / math.sqrt(2)
    rest = 1 - float(others @ others)
    if empty or rest < 0.2:  # the largest of four is at least a half
        raise reader.refuse("no rotation")
    return np.insert(others, int(largest), math.sqrt(rest))


def _covariance_bytes(covariance: np.ndarray) -> bytes:
    covariance = np.asarray(covariance, np.float64)
    _check_covariance(covariance)
    sigma = np.sqrt(np.diag(covariance))
    codes = np.rint(np.log2(np.maximum(sigma, 1e-30)) * SIGMA_STEPS + SIGMA_ZERO).clip(0, 255)
    codes = np.where(sigma > 0, np.maximum(codes, 1), 0).astype(np.uint8)
    steps = _correlation_steps(covariance, sigma)
    if not steps.any():
        return bytes([1]) + codes.tobytes()
    return bytes(bytes([2]) + codes.tobytes() + steps.tobytes())


def _check_covariance(covariance: np.ndarray) -> None:
    """Refuse a matrix that cannot be the covariance of a pose."""
    if covariance.shape != (6, 6) or not np.isfinite(covariance).all() or (np.diag(covariance) < 0).any():
        raise WireError("the covariance of a pose must be (6, 6), finite and not negative on its diagonal")


def _correlation_steps(covariance: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the (15,) int8 correlations below the diagonal, reduced until they are those of a covariance."""
    scale = np.where(sigma > 0, sigma, 1)
    correlation = (covariance / scale / scale[:, None])[BELOW_DIAGONAL]
    steps = np.rint(correlation.clip(-1, 1) * CORRELATION_STEPS).astype(np.int8)
    while steps.any() and not _is_covariance(steps):  # rounding may break it when things are nearly certain
        steps = np.trunc(steps * 0.95).astype(np.int8)
    return np.asarray(steps)


def _read_covariance(reader: FieldReader, form: int) -> np.ndarray:
    codes = np.frombuffer(reader.take(6), np.uint8).astype(np.float64)
    sigma = np.where(codes > 0, 2.0 ** ((codes - SIGMA_ZERO) / SIGMA_STEPS), 0.0)
    steps = _read_correlations(reader) if form == 2 else np.zeros(15, np.int8)
    return _correlation(steps) * sigma * sigma[:, None]


def _read_correlations(reader: FieldReader) -> np.ndarray:
    """Read the (15,) int8 correlations below the diagonal, or refuse those that no covariance has."""
    steps = np.frombuffer(reader.take(15), np.int8)
    if not steps.any() or steps.min() < -CORRELATION_STEPS or not _is_covariance(steps):
        raise reader.refuse("correlations that no covariance has")
    return steps


def _is_covariance(steps: np.ndarray) -> bool:
    return bool(np.linalg.eigvalsh(_correlation(steps)).min() > 1e-6)


def _correlation(steps: np.ndarray) -> np.ndarray:
    matrix = np.zeros((6, 6))
    matrix[BELOW_DIAGONAL] = steps / CORRELATION_STEPS
    return np.asarray(matrix + matrix.T + np.eye(6))
