"""How far patches of one image have moved in the next: phase correlation, to a part of a pixel."""

import numpy as np

PATCH = 48  # pixels along a side
PATCHES = 4  # along a side of the image, at most
MIN_PEAK = 0.12  # of the correlation, below which two patches do not show the same
MAX_SHIFT = PATCH // 3  # pixels; what moves farther is not matched


def grey_image(pixels: np.ndarray, columns: int) -> np.ndarray:
    """Return a small grey image: (rows, columns) float32, averaged over blocks.

    Args:
        pixels: (rows, columns, 3) uint8.
        columns: width at most.
    """
    step = max(pixels.shape[1] // columns, 1)
    rows, width = (size // step * step for size in pixels.shape[:2])
    blocks = pixels[:rows, :width].mean(2, dtype=np.float32).reshape(rows // step, step, width // step, step)
    return np.asarray(blocks.mean((1, 3)))


def patch_motion(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where patches of an image are and how far they have moved.

    Args:
        before: (rows, columns) grey image.
        after: the next one.

    Returns:
        (n, 2) centres (u, v) of the patches and (n, 2) shifts, pixels; only of those that were matched.
    """
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    corners = [(row, column) for row in _starts(before.shape[0]) for column in _starts(before.shape[1])]
    centres, shifts = [], []
    for row, column in corners:
        pair = [image[row : row + PATCH, column : column + PATCH] for image in (before, after)]
        shift = _shift(*((patch - patch.mean()) * window for patch in pair))
        if shift is not None:
            centres.append((column + PATCH / 2, row + PATCH / 2))
            shifts.append(shift)
    return np.array(centres).reshape(-1, 2), np.array(shifts).reshape(-1, 2)


def _starts(size: int) -> list[int]:
    """Where patches begin along a side."""
    count = min(PATCHES, size // PATCH)
    return [] if count == 0 else np.linspace(0, size - PATCH, count).astype(int).tolist()


def _shift(first: np.ndarray, second: np.ndarray) -> tuple[float, float] | None:
    """Columns and rows that a patch has moved; None where it is not the same."""
    spectrum = np.conj(np.fft.rfft2(first)) * np.fft.rfft2(second)
    magnitude = np.abs(spectrum)
    if not magnitude.max() > 0:
        return None
    correlation = np.fft.irfft2(spectrum / (magnitude + 1e-3 * magnitude.max()), first.shape)
    row, column = (int(k) for k in np.unravel_index(correlation.argmax(), correlation.shape))
    if correlation[row, column] < MIN_PEAK:
        return None
    down = row + _vertex(correlation[(row + np.arange(-1, 2)) % PATCH, column])
    across = column + _vertex(correlation[row, (column + np.arange(-1, 2)) % PATCH])
    across, down = (value - PATCH if value > PATCH / 2 else value for value in (across, down))
    return None if max(abs(across), abs(down)) > MAX_SHIFT else (float(across), float(down))


def _vertex(values: np.ndarray) -> float:
    """Where a parabola through three values is greatest, from the middle one."""
    left, middle, right = values
    curvature = left - 2 * middle + right
    return float((left - right) / (2 * curvature)) if curvature < 0 else 0.0
