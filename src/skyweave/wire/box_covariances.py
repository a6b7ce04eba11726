"""The section of the covariances of boxes: 3 bytes a box of the same chunk, where they are known."""

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.fields import FieldReader

COVARIANCE_BYTES = 3  # a box
STD_STEPS, STD_ZERO = 8, 160  # an octave: 9 %; the code of 1 metre
MAX_CODE = 255  # 3770 metres
CORRELATION_STEPS = 127
MAX_CORRELATION = 126  # of these: what is certain in some direction has no covariance


def encode_box_covariances(covariances: np.ndarray) -> bytes:
    """Encode covariances of boxes as the content of a section.

    Args:
        covariances: (n, 2, 2) of places east and north, square metres; NaN: not known. Quantised to 9 % of each
            standard deviation and a hundredth of the correlation.

    Raises:
        WireError: infinity, or what is no covariance.
    """
    covariances = np.asarray(covariances, np.float64).reshape(-1, 2, 2)
    known = np.asarray(~np.isnan(covariances).any((1, 2)))
    if not np.isfinite(covariances[known]).all():
        raise WireError("covariances of boxes hold infinity")
    variances = np.where(known[:, None], np.diagonal(covariances, axis1=1, axis2=2), 1.0)
    if (variances <= 0).any():
        raise WireError("variances of boxes must be square metres > 0; leave out what is not known")
    stds = np.sqrt(variances)
    codes = np.rint(np.log2(stds) * STD_STEPS + STD_ZERO).clip(1, MAX_CODE)
    correlations = np.where(known, covariances[:, 0, 1], 0.0) / stds.prod(1)
    steps = np.rint(correlations * CORRELATION_STEPS).clip(-MAX_CORRELATION, MAX_CORRELATION)
    columns = np.column_stack([codes, steps + CORRELATION_STEPS]) * known[:, None]
    return bytes(columns.astype(np.uint8).tobytes())


def decode_box_covariances(reader: FieldReader, count: int) -> np.ndarray:
    """Decode the content of a section of covariances, the inverse of `encode_box_covariances`.

    Args:
        reader: stands at the content.
        count: boxes of the chunk.

    Returns:
        (count, 2, 2) square metres; NaN: not known.

    Raises:
        RejectedError: it is cut off, says nothing of any box, or holds what is no covariance.
    """
    columns = np.frombuffer(reader.take(COVARIANCE_BYTES * count), np.uint8).reshape(count, COVARIANCE_BYTES)
    known = np.asarray(columns.any(1))
    steps = columns[:, 2].astype(np.float64) - CORRELATION_STEPS
    if not known.any() or (columns[known, :2] == 0).any() or (np.abs(steps[known]) > MAX_CORRELATION).any():
        raise reader.refuse("covariances that no box has")
    stds = np.where(known[:, None], 2.0 ** ((columns[:, :2] - float(STD_ZERO)) / STD_STEPS), np.nan)
    covariances = stds[:, :, None] * stds[:, None]
    covariances[:, [0, 1], [1, 0]] *= (steps / CORRELATION_STEPS)[:, None]
    return np.asarray(covariances)
