"""Windows over an image, in which small objects are large enough to be seen (SAHI, arXiv 2202.06934)."""


def slices_of(rows: int, columns: int, side: int, overlap: float) -> list[tuple[int, int, int, int]]:
    """Return overlapping windows: (top, left, rows, columns) each; the last ones end with the image.

    Args:
        rows: of the image in pixels.
        columns: of the image in pixels.
        side: of a window in pixels.
        overlap: share of a window that the next one repeats, below 1.
    """
    height, width = min(side, rows), min(side, columns)
    if (height, width) == (rows, columns):
        return []
    step = max(int(side * (1 - overlap)), 1)
    return [(top, left, height, width) for top in _starts(rows, height, step) for left in _starts(columns, width, step)]


def _starts(size: int, window: int, step: int) -> list[int]:
    return sorted({min(start, size - window) for start in range(0, size - window + step, step)})
