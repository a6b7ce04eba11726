"""Where one raster lies on another: normalised cross-correlation by FFT, over masks, to a fraction of a cell.

Whole pictures: Padfield, "Masked object registration in the Fourier domain" (IEEE TIP 2012), in the short form that
holds once local means are removed. Patches: Lewis, "Fast normalized cross-correlation" (1995).
"""

from dataclasses import dataclass

import numpy as np

from skyweave.core.images.edge_directions import box_sums


@dataclass(frozen=True)
class Peak:
    """The best of all shifts.

    Attributes:
        shift: (rows, columns) in cells: b at cell x shows what a shows at cell x + shift.
        score: normalised correlation there, -1 to 1.
        significance: how many standard deviations of the correlation at other shifts it stands above them.
    """

    shift: tuple[float, float]
    score: float
    significance: float


def flatten(values: np.ndarray, radius: int) -> np.ndarray:
    """Local mean removed and local contrast made equal, over the known cells only; unknown ones become 0.

    Light, shadow of clouds and exposure go; what stays is texture.

    Args:
        values: (rows, columns), NaN where unknown.
        radius: of the neighbourhood, cells.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0).astype(np.float64)
    count = np.maximum(box_sums(known.astype(np.float64), radius), 1)
    mean = box_sums(filled, radius) / count
    centred = np.where(known, filled - mean, 0)
    contrast = np.sqrt(box_sums(centred**2, radius) / count)
    floor = 0.3 * np.median(contrast[known]) if known.any() else 1.0  # noise on bare ground is not blown up
    flat: np.ndarray = (centred / (contrast + floor + 1e-6)).astype(np.float32)
    return flat


def correlate(
    a: np.ndarray,
    b: np.ndarray,
    known_a: np.ndarray,
    known_b: np.ndarray,
    min_overlap: float,
    reach: np.ndarray | None,
) -> Peak | None:
    """Best shift between two flattened rasters.

    Args:
        a: (rows, columns), 0 where unknown.
        b: the same for the other raster, of equal shape.
        known_a: (rows, columns) bool.
        known_b: the same for ``b``.
        min_overlap: known cells that must overlap, as a share of the fewer known ones.
        reach: (row, column, radius) of allowed shifts in cells; None for all.

    Returns:
        None where no shift has that overlap.
    """
    rows, columns = a.shape
    size = _fast(2 * rows), _fast(2 * columns)
    fa, fb = np.fft.rfft2(a, size), np.fft.rfft2(b, size)
    ma, mb = np.fft.rfft2(known_a.astype(np.float32), size), np.fft.rfft2(known_b.astype(np.float32), size)
    ea, eb = np.fft.rfft2(a * a, size), np.fft.rfft2(b * b, size)
    product = np.fft.irfft2(fa * fb.conj(), size)
    overlap = np.fft.irfft2(ma * mb.conj(), size)
    energy = np.fft.irfft2(ea * mb.conj(), size) * np.fft.irfft2(ma * eb.conj(), size)
    enough = overlap >= max(min_overlap * min(known_a.sum(), known_b.sum()), 64)
    if reach is not None:
        row = np.fft.fftfreq(size[0], 1 / size[0])[:, None] - reach[0]
        column = np.fft.fftfreq(size[1], 1 / size[1])[None] - reach[1]
        enough &= row**2 + column**2 <= reach[2] ** 2
    if not enough.any():
        return None
    surface = np.where(enough, product / np.sqrt(np.maximum(energy, 1e-6)), 0)
    # a small overlap correlates by chance: what counts is the score against what so many cells reach by chance
    trusted = surface * np.sqrt(np.where(enough, overlap, 0))
    best = np.unravel_index(int(trusted.argmax()), size)
    std = float(np.sqrt(np.mean(trusted[enough] ** 2))) + 1e-9
    shift = [(int(best[k]) + size[k] // 2) % size[k] - size[k] // 2 for k in range(2)]
    around = surface[np.ix_(*[(best[k] + np.arange(-1, 2)) % size[k] for k in range(2)])]
    offset = _vertex(around[None])[0]
    return Peak(
        (shift[0] + float(offset[0]), shift[1] + float(offset[1])),
        float(surface[best]),
        float(trusted[best]) / std,
    )


def match_patches(patches: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each patch lies in its window.

    Args:
        patches: (n, p, p) with NaN where unknown; one unknown cell gives up the patch.
        windows: (n, w, w), w > p; likewise.

    Returns:
        shifts (n, 2) (rows, columns) of the patch's centre from the window's, in cells to a fraction; scores (n,)
        normalised correlation, NaN where given up or where the best shift lies on the border of the search; and
        margins (n,) by which the score beats the best one elsewhere.
    """
    p, w = patches.shape[-1], windows.shape[-1]
    span = w - p + 1
    if len(patches) == 0:
        return np.zeros((0, 2)), np.zeros(0), np.zeros(0)
    whole = np.isfinite(patches).all((1, 2)) & np.isfinite(windows).all((1, 2))
    a = np.where(whole[:, None, None], patches, 0).astype(np.float32)
    b = np.where(whole[:, None, None], windows, 0).astype(np.float32)
    a = a - a.mean((1, 2), keepdims=True)
    b = b - b.mean((1, 2), keepdims=True)
    size = (_fast(w), _fast(w))
    product = np.fft.irfft2(np.fft.rfft2(b, size) * np.fft.rfft2(a, size).conj(), size)[:, :span, :span]
    exact = b.astype(np.float64)
    variance = _window_sums(exact * exact, p) - _window_sums(exact, p) ** 2 / p**2
    energy = (a * a).sum((1, 2), dtype=np.float64)
    textured = energy > 4.0 * p * p  # less than two grey levels of contrast is noise
    surface = product / np.sqrt(np.maximum(variance * energy[:, None, None], 1e-3))
    flat = surface.reshape(len(surface), -1)
    best = flat.argmax(1)
    row, column = np.divmod(best, span)
    inner = (row > 0) & (row < span - 1) & (column > 0) & (column < span - 1)
    r, c = np.clip(row, 1, span - 2), np.clip(column, 1, span - 2)
    n = np.arange(len(surface))[:, None, None]
    around = surface[n, (r[:, None] + np.arange(-1, 2))[:, :, None], (c[:, None] + np.arange(-1, 2))[:, None, :]]
    shifts = np.stack([r, c], -1) + _vertex(around) - (span - 1) / 2
    scores = flat[np.arange(len(flat)), best]
    # beside the peak, not on its slope
    grid = np.arange(span)
    near = (np.abs(grid[None, :, None] - r[:, None, None]) <= p // 6) & (
        np.abs(grid[None, None] - c[:, None, None]) <= p // 6
    )
    elsewhere = np.where(near, -1, surface).max((1, 2))
    scores = np.where(whole & textured & inner, scores, np.nan)
    return shifts, scores, scores - elsewhere


def _vertex(around: np.ndarray) -> np.ndarray:
    """(n, 2) top of the parabolas through the middle row and column of (n, 3, 3) values, within half a cell."""

    def offset(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
        bend = before - 2 * at + after
        return np.clip(np.where(bend < -1e-12, (before - after) / (2 * np.minimum(bend, -1e-12)), 0), -0.5, 0.5)

    return np.stack(
        [
            offset(around[:, 0, 1], around[:, 1, 1], around[:, 2, 1]),
            offset(around[:, 1, 0], around[:, 1, 1], around[:, 1, 2]),
        ],
        -1,
    )


def _window_sums(values: np.ndarray, side: int) -> np.ndarray:
    """(n, rows - side + 1, columns - side + 1) sums over every square of that side."""
    total = np.pad(values.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    return np.asarray(
        total[:, side:, side:] - total[:, :-side, side:] - total[:, side:, :-side] + total[:, :-side, :-side]
    )


def _fast(length: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5, which FFTs like."""
    while _rest(length) != 1:
        length += 1
    return length


def _rest(number: int) -> int:
    """Return what remains of a number without its factors 2, 3 and 5."""
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number
