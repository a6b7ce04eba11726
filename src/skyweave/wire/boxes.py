"""The boxes section: about 12 bytes a box, readable by every peer, whatever its model."""

import math

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.box_covariances import COVARIANCE_BYTES
from skyweave.wire.fields import FieldReader, pack_bits, unpack_bits, varint, zigzag
from skyweave.wire.frame import BoxList, WireGrid

POSITION_STEP_UM = 50_000  # micrometres of a position east and north
HEIGHT_STEP_M = 0.1  # metres
SIZE_STEPS_PER_OCTAVE, MIN_SIZE_M = 20, 0.1  # an octave (3.5 %), metres: up to 690 m
YAW_STEPS = 256
SCORE_STEPS = 63
SPEED_STEP_M_S, SPEED_ZERO = 0.25, 256  # metres a second, up to 64
MAX_BOXES = 4096
MAX_HEAD_BYTES = 6  # bytes before the boxes, at most
MAX_COVARIANCES_HEAD_BYTES = 7  # of the section of covariances, and of that of cells, which is not the last then
MAX_HEIGHT_STEPS = 1 << 20  # steps, above or below 0


def count_boxes_that_fit(boxes: BoxList, grid: WireGrid, size: int) -> int:
    """Return how many of the boxes, from the first, fit into a section.

    Args:
        boxes: in the order in which they are sent.
        grid: the map grid of the frame.
        size: bytes that the section may take.
    """
    _, height_bits = _heights(boxes)
    each = sum(_widths(grid, height_bits, boxes.velocities is not None))
    if boxes.covariances is not None:
        each, size = each + 8 * COVARIANCE_BYTES, size - MAX_COVARIANCES_HEAD_BYTES
    return min(max(size - MAX_HEAD_BYTES, 0) * 8 // each, len(boxes), MAX_BOXES)


def encode_boxes(boxes: BoxList, grid: WireGrid) -> bytes:
    """Encode boxes as the content of a boxes section.

    Args:
        boxes: at most 4096; quantised to 5 cm, 3.5 % of size, 1.4 degrees and 0.25 m/s.
        grid: the map grid of the frame, beside which boxes may lie by an eighth of its extent.

    Raises:
        WireError: NaN, infinity, values out of range, or a box far outside the grid.
    """
    _check_boxes(boxes)
    place = _place_steps(boxes, grid)
    heights, height_bits = _heights(boxes)
    base = int(heights.min()) if len(boxes) else 0
    moving = boxes.velocities is not None
    columns = [
        place,
        heights[:, None] - base,
        np.rint(np.log2(boxes.sizes / MIN_SIZE_M) * SIZE_STEPS_PER_OCTAVE).clip(0, 255),
        np.rint(boxes.yaws[:, None] / math.tau * YAW_STEPS) % YAW_STEPS,
        np.asarray(boxes.classes)[:, None],
        np.rint(boxes.scores[:, None].clip(0, 1) * SCORE_STEPS),
    ]
    if boxes.velocities is not None:
        columns.append(np.rint(boxes.velocities / SPEED_STEP_M_S).clip(-SPEED_ZERO, SPEED_ZERO - 1) + SPEED_ZERO)
    values = np.concatenate(columns, 1).astype(np.int64)
    bits = pack_bits(values.ravel(), np.tile(_widths(grid, height_bits, moving), len(boxes)))
    head = varint(len(boxes)) + bytes([height_bits << 1 | moving]) + varint(zigzag(base))
    return head + np.packbits(bits).tobytes()


def _check_boxes(boxes: BoxList) -> None:
    """Refuse NaN, infinity, and classes and sizes out of range."""
    _check_finite(boxes)
    if not len(boxes):
        return
    classes = np.asarray(boxes.classes)
    if classes.min() < 0 or classes.max() > 63:
        raise WireError(f"classes {classes.min()} to {classes.max()} of boxes must be 0 to 63")
    if not (boxes.sizes > 0).all():
        raise WireError("sizes of boxes must be metres > 0")


def _check_finite(boxes: BoxList) -> None:
    """Refuse boxes with NaN or infinity in any of their real numbers."""
    for name in ("centres", "sizes", "yaws", "scores", "velocities"):
        values = getattr(boxes, name)
        if values is not None and not np.isfinite(values).all():
            raise WireError(f"{name} of boxes hold NaN or infinity")


def _place_steps(boxes: BoxList, grid: WireGrid) -> np.ndarray:
    """Return (n, 2) steps east and south from where boxes may lie; refuse boxes beyond."""
    margins, limits = _reach(grid)
    offset = (np.asarray(boxes.centres, np.float64)[:, :2] - _corner(grid)) * [1, -1] * 1e6 / POSITION_STEP_UM
    place = np.asarray(np.rint(offset).astype(np.int64) + margins)
    outside = np.flatnonzero(((place < 0) | (place > limits)).any(1))
    if len(outside):
        raise WireError(f"box {outside[0]} at {boxes.centres[outside[0]]} lies outside the grid; leave it out")
    return place


def decode_boxes(reader: FieldReader, grid: WireGrid) -> BoxList:
    """Decode the content of a boxes section, the inverse of `encode_boxes`.

    Args:
        reader: stands at the content.
        grid: the map grid of the frame.

    Raises:
        RejectedError: the section is cut off or holds values out of range.
    """
    count = reader.varint(MAX_BOXES)
    form = reader.integer(1)
    height_bits, moving = form >> 1, bool(form & 1)
    base = reader.zigzag(MAX_HEIGHT_STEPS)
    widths = _read_widths(reader, grid, height_bits, moving)
    size = count * sum(widths)
    data = reader.take(-(-size // 8))  # refused before anything is allocated
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[size:].any():
        raise reader.refuse("bits behind the last box")
    values = unpack_bits(bits, np.tile(widths, count)).reshape(count, len(widths))
    margins, limits = _reach(grid)
    if (values[:, :2] > limits).any():
        raise reader.refuse("a box outside the grid")
    place = _corner(grid) + (values[:, :2] - margins) * [1, -1] * (POSITION_STEP_UM / 1e6)
    return BoxList(
        centres=np.concatenate([place, (values[:, 2:3] + base) * HEIGHT_STEP_M], 1),
        sizes=MIN_SIZE_M * 2.0 ** (values[:, 3:6] / SIZE_STEPS_PER_OCTAVE),
        yaws=values[:, 6] * (math.tau / YAW_STEPS),
        classes=values[:, 7],
        scores=values[:, 8] / SCORE_STEPS,
        velocities=(values[:, 9:11] - SPEED_ZERO) * SPEED_STEP_M_S if moving else None,
    )


def _read_widths(reader: FieldReader, grid: WireGrid, height_bits: int, moving: bool) -> list[int]:
    """Return the bits of each number of a box as the section states them, or refuse the section."""
    if not 1 <= height_bits <= 21:
        raise reader.refuse(f"heights of {height_bits} bits")
    try:
        return _widths(grid, height_bits, moving)
    except ValueError as error:
        raise reader.refuse(str(error)) from None


def _heights(boxes: BoxList) -> tuple[np.ndarray, int]:
    """(n,) steps, and bits that their range takes."""
    steps = np.asarray(boxes.centres, np.float64)[:, 2] / HEIGHT_STEP_M
    if len(boxes) and not np.abs(steps).max() <= MAX_HEIGHT_STEPS // 2:
        raise WireError(f"boxes {np.abs(steps).max() * HEIGHT_STEP_M} m above or below 0 do not fit")
    heights = np.rint(steps).astype(np.int64)
    return heights, max(int(np.ptp(heights)).bit_length(), 1) if len(boxes) else 1


def _widths(grid: WireGrid, height_bits: int, moving: bool) -> list[int]:
    """Bits of each number of a box."""
    across = [int(limit).bit_length() for limit in _reach(grid)[1]]
    if max(across) > 32:
        raise WireError(f"a grid of {grid.rows} x {grid.columns} cells of {grid.metres} m is too large for boxes")
    return [*across, height_bits, 8, 8, 8, 8, 6, 6, *([9, 9] if moving else [])]


def _reach(grid: WireGrid) -> tuple[np.ndarray, np.ndarray]:
    """(2,) steps by which a box may lie outside on each side, and the (2,) largest place, east and south."""
    extent = np.array([grid.columns, grid.rows], np.int64) * grid.resolution // POSITION_STEP_UM + 1
    margin = extent // 8 + 20
    return margin, extent + 2 * margin


def _corner(grid: WireGrid) -> np.ndarray:
    return np.array([grid.west, grid.north]) * grid.metres
