"""The bytes of version 1. A change here is a new version of the format: see docs/wire-format.md.

``python tests/wire/test_golden.py`` writes the files anew.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from fabricated_frames import GRID, TIME, as_dict, boxes, frame, numbers, tables, uncertain_boxes
from skyweave.wire.chunks import decode_frame, split_stream
from skyweave.wire.frame import FrameContent, WireGrid
from skyweave.wire.frame_encoder import encode_frame
from skyweave.wire.rans import decode_symbols as decode_symbols
from skyweave.wire.rans import encode_symbols
from skyweave.wire.tables import EntropyTables, gap_frequencies

FOLDER = Path(__file__).parent / "golden"
EVERYTHING = tables()
WIDE = tables(channels=(8, 32), contexts=(2, 1), factor=8, symbols=31, precision=14)


def cases() -> dict[str, tuple[FrameContent, EntropyTables | None, int]]:
    return {
        "empty": (FrameContent(7, 1234, TIME, GRID, 0xA1B2C3D4, 1, 2), None, 1200),
        "local": (FrameContent(300, 1 << 31, -1, WireGrid(-100, 100, 781_250, 200, 129)), None, 1200),
        "boxes": (FrameContent(1, 5, TIME, GRID, boxes=boxes(3)), None, 1200),
        "everything": (frame(EVERYTHING, 40, 60, 9), EVERYTHING, 400),
        "covariances": (frame(EVERYTHING, 40, 60, boxes=uncertain_boxes(5)), EVERYTHING, 400),
        "wide": (frame(WIDE, 50, 50, boxes=None, request=None), WIDE, 1200),
    }


@pytest.mark.parametrize("name", cases())
def test_frames_have_these_bytes(name: str) -> None:
    content, made, mtu = cases()[name]
    golden = bytes.fromhex((FOLDER / f"{name}.hex").read_text())
    assert b"".join(encode_frame(content, made, mtu)) == golden
    found = decode_frame(split_stream(golden), made or ())
    assert as_dict(found.low) == as_dict(content.low)
    assert as_dict(found.high) == as_dict(content.high)
    assert (found.boxes is None) == (content.boxes is None)


def symbols() -> tuple[np.ndarray, np.ndarray]:
    of = np.arange(3000) % len(EVERYTHING.coder)
    sizes = (EVERYTHING.coder.frequencies > 0).sum(1)[of]
    return numbers(3000, 1 << 30, 3) % sizes, of


def test_the_coder_has_these_bytes() -> None:
    golden = bytes.fromhex((FOLDER / "coder.hex").read_text())
    found, of = symbols()
    assert encode_symbols(found, of, EVERYTHING.coder) == golden
    assert (decode_symbols(golden, of, EVERYTHING.coder) == found).all()


def test_the_tables_of_distances_are_these() -> None:
    assert gap_frequencies(12)[[0, 5, 42, 95]].tolist() == [
        [int(f) for f in line.split()] for line in (FOLDER / "distances.txt").read_text().splitlines()
    ]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, (content, made, mtu) in cases().items():
        text = "\n".join(chunk.hex() for chunk in encode_frame(content, made, mtu))
        (FOLDER / f"{name}.hex").write_text(text + "\n")
    (FOLDER / "coder.hex").write_text(encode_symbols(*symbols(), EVERYTHING.coder).hex() + "\n")
    rows = gap_frequencies(12)[[0, 5, 42, 95]]
    (FOLDER / "distances.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows.tolist()))
