"""Lines and polygons are cut at 180 degrees, and nothing is lost."""

import numpy as np
import pytest

from skyweave.core.geometry.antimeridian import cut_line, cut_polygon


def area(ring: np.ndarray) -> float:
    return float((ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum() / 2)


@pytest.mark.parametrize("east", [179.5, -179.5, 10.0])
def test_polygons_with_holes(east: float) -> None:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]], float)
    rings = [scale * square[::step] + [east, 0] for scale, step in ((1.0, 1), (0.8, -1))]
    wrapped = [np.stack([(ring[:, 0] + 180) % 360 - 180, ring[:, 1]], 1) for ring in rings]
    parts = cut_polygon(wrapped)
    assert len(parts) == (1 if east == 10 else 2)
    assert sum(area(part[0]) for part in parts) == pytest.approx(4.0)
    assert sum(area(part[1]) for part in parts) == pytest.approx(-4 * 0.64)
    for part in parts:
        assert all((ring[0] == ring[-1]).all() and np.abs(ring[:, 0]).max() <= 180 for ring in part)


def test_a_hole_on_the_other_side_stays_in_its_part() -> None:
    outer = np.array([[179.0, 0], [-179.0, 0], [-179.0, 1], [179.0, 1], [179.0, 0]])
    hole = np.array([[-179.8, 0.2], [-179.8, 0.4], [-179.6, 0.4], [-179.8, 0.2]])
    west, east = cut_polygon([outer, hole])
    assert len(west) == 1 and sorted(east[1][1:].tolist()) == [
        pytest.approx(point) for point in sorted(hole[1:].tolist())
    ]


def test_lines() -> None:
    there_and_back = np.array([[179.0, 0], [-179.0, 2], [179.0, 4]])
    pieces = cut_line(there_and_back)
    assert [piece.tolist() for piece in pieces] == [
        [[179, 0], [180, 1]],
        [[-180, 1], [-179, 2], [-180, 3]],
        [[180, 3], [179, 4]],
    ]
    (whole,) = cut_line(np.array([[10.0, 0], [11.0, 2]]))
    assert whole.tolist() == [[10, 0], [11, 2]]
