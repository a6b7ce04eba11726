"""The request section: a small map of what the sender wants to know, as bits or as runs, whichever is shorter."""

import numpy as np

from skyweave.core.errors import WireError
from skyweave.wire.fields import FieldReader, pack_bits, unpack_bits, varint
from skyweave.wire.frame import Request, WireGrid

MAX_REQUEST_CELLS = 1 << 16  # cells
RUNS = 1 << 4


def encode_request(request: Request, grid: WireGrid) -> bytes:
    """Encode a request map as bits or as runs, whichever is shorter.

    Args:
        request: levels 0 to 15 on the coarser grid, at most 65536 cells.
        grid: the map grid of the frame.

    Raises:
        WireError: levels of another shape than the grid's, out of range, or too many.
    """
    levels = _check_levels(request, grid)
    width = _level_bits(levels)
    flat = levels.ravel().astype(np.int64)
    runs = _run_bytes(flat, width)
    bits = np.packbits(pack_bits(flat, np.full(flat.size, width))).tobytes()
    form, body = (width | RUNS, runs) if len(runs) < len(bits) else (width, bits)
    return bytes([request.factor, form]) + body


def _check_levels(request: Request, grid: WireGrid) -> np.ndarray:
    """Return the (rows, columns) levels of a request, or refuse a wrong factor, shape, size or value."""
    levels = np.asarray(request.levels)
    if not 1 <= request.factor <= 255:
        raise WireError(f"factor {request.factor} of a request must be 1 to 255")
    coarse = grid.coarser(request.factor)
    if levels.shape != (coarse.rows, coarse.columns):
        raise WireError(f"request levels {levels.shape} must be {(coarse.rows, coarse.columns)}: grid.coarser(factor)")
    if levels.size > MAX_REQUEST_CELLS:
        raise WireError(f"a request of {levels.size} cells is above {MAX_REQUEST_CELLS}; take a larger factor")
    _check_level_range(levels)
    return levels


def _check_level_range(levels: np.ndarray) -> None:
    """Refuse levels that are not whole numbers 0 to 15."""
    if levels.min() < 0 or levels.max() > 15 or levels.dtype.kind not in "biu":
        raise WireError(f"request levels {levels.min()} to {levels.max()} must be whole numbers 0 to 15")


def _level_bits(levels: np.ndarray) -> int:
    """Return the bits that the largest level takes: 1, 2 or 4."""
    return next(bits for bits in (1, 2, 4) if levels.max() < 1 << bits)


def _run_bytes(flat: np.ndarray, width: int) -> bytes:
    """Encode (cells,) levels as runs: length << width | level each."""
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=flat.size)
    return b"".join(varint(int(run) << width | int(flat[start])) for start, run in zip(starts, lengths, strict=True))


def decode_request(reader: FieldReader, grid: WireGrid) -> Request:
    """Decode the content of a request section, the inverse of `encode_request`.

    Args:
        reader: stands at the content.
        grid: the map grid of the frame.

    Raises:
        RejectedError: the section is cut off or holds values out of range.
    """
    factor, form = reader.integer(1), reader.integer(1)
    width = form & 15
    if _is_unknown_form(factor, width, form):
        raise reader.refuse(f"a request of factor {factor} and form {form}")
    coarse = grid.coarser(factor)
    if coarse.cells > MAX_REQUEST_CELLS:
        raise reader.refuse(f"a request of {coarse.cells} cells")
    read_levels = _read_runs if form & RUNS else _read_bits
    return Request(read_levels(reader, coarse.cells, width).reshape(coarse.rows, coarse.columns), factor)


def _is_unknown_form(factor: int, width: int, form: int) -> bool:
    """Return whether no request of this version has that factor and form."""
    return not factor or width not in (1, 2, 4) or form > (4 | RUNS)


def _read_bits(reader: FieldReader, cells: int, width: int) -> np.ndarray:
    """Read (cells,) levels of ``width`` bits each."""
    data = reader.take(-(-cells * width // 8))
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[cells * width :].any():
        raise reader.refuse("bits behind the last level")
    return unpack_bits(bits, np.full(cells, width)).astype(np.uint8)


def _read_runs(reader: FieldReader, cells: int, width: int) -> np.ndarray:
    levels = np.zeros(cells, np.uint8)
    done, before = 0, -1
    while done < cells:
        value = reader.varint(cells << width | 15)
        run, level = value >> width, value & ((1 << width) - 1)
        if not 1 <= run <= cells - done or level == before:
            raise reader.refuse(f"a run of {run} in a request")
        levels[done : done + run] = level
        done, before = done + run, level
    return levels
