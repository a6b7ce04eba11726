import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.boxes import (
    Boxes,
    intersection_area,
    intersection_over_union_3d,
    intersection_over_union_bev,
)


def box(x: float, y: float, length: float, width: float, yaw: float, z: float = 0.0, height: float = 1.0) -> Boxes:
    return Boxes(np.array([[x, y, z]]), np.array([[length, width, height]]), np.array([yaw]))


def clipped_area(first: np.ndarray, second: np.ndarray) -> float:
    """Sutherland-Hodgman, one pair at a time: an independent way to the same number."""
    polygon = [tuple(p) for p in first]
    for a, b in zip(second, np.roll(second, -1, 0), strict=True):
        side = b - a
        kept: list[tuple[float, float]] = []
        for here, there in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            d1 = side[0] * (here[1] - a[1]) - side[1] * (here[0] - a[0])
            d2 = side[0] * (there[1] - a[1]) - side[1] * (there[0] - a[0])
            if d1 >= 0:
                kept.append(here)
            if d1 * d2 < 0:
                t = d1 / (d1 - d2)
                kept.append((here[0] + t * (there[0] - here[0]), here[1] + t * (there[1] - here[1])))
        polygon = kept
        if not polygon:
            return 0.0
    x, y = np.array(polygon).T
    return float(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)


def test_known_overlaps() -> None:
    square = box(0, 0, 2, 2, 0)
    assert intersection_area(square, box(1, 0, 2, 2, 0)).item() == pytest.approx(2)
    assert intersection_over_union_bev(square, box(1, 0, 2, 2, 0)).item() == pytest.approx(1 / 3)
    octagon = 8 * (np.sqrt(2) - 1)  # a square of side 2 with itself turned by 45 degrees
    assert intersection_area(square, box(0, 0, 2, 2, np.pi / 4)).item() == pytest.approx(octagon)
    assert intersection_area(square, box(2, 0, 2, 2, 0)).item() == pytest.approx(0)  # they touch
    assert intersection_area(square, box(0, 0, 1, 1, 0.3)).item() == pytest.approx(1)  # contained
    assert intersection_over_union_3d(square, box(0, 0, 2, 2, 0, z=0.5)).item() == pytest.approx(1 / 3)
    assert intersection_over_union_3d(square, box(0, 0, 2, 2, 0, z=5)).item() == 0


@pytest.mark.parametrize("turn", [0, np.pi / 2, np.pi, -np.pi / 2, 2 * np.pi])
@pytest.mark.parametrize("far", [0.0, 5e6])
def test_a_box_and_itself_turned_share_all_they_can(turn: float, far: float) -> None:
    one = box(far, far, 4.5, 2, 0.7)
    shared = 4.5 * 2 if turn in (0, np.pi, 2 * np.pi) else 4.0
    assert intersection_area(one, box(far, far, 4.5, 2, 0.7 + turn)).item() == pytest.approx(shared, rel=1e-6)


def test_no_boxes_have_no_overlap() -> None:
    none = box(0, 0, 1, 1, 0).select(np.zeros(0, int))
    assert intersection_over_union_bev(none, box(0, 0, 1, 1, 0)).shape == (0, 1)


place = st.floats(-3, 3)
side = st.floats(0.05, 5)
yaw = st.floats(-7, 7)
shape = st.tuples(place, place, side, side, yaw)


@given(st.lists(shape, min_size=1, max_size=4), st.lists(shape, min_size=1, max_size=4))
def test_overlap_is_that_of_clipping(first: list[tuple[float, ...]], second: list[tuple[float, ...]]) -> None:
    a, b = (
        Boxes(
            np.array([[x, y, 0] for x, y, *_ in boxes]),
            np.array([[length, width, 1] for _, _, length, width, _ in boxes]),
            np.array([turn for *_, turn in boxes]),
        )
        for boxes in (first, second)
    )
    found = intersection_area(a, b)
    wanted = [[clipped_area(p, q) for q in b.footprints()] for p in a.footprints()]
    assert found == pytest.approx(np.array(wanted), abs=1e-6)
    overlap = intersection_over_union_bev(a, b)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    assert pytest.approx(intersection_over_union_bev(b, a), abs=1e-6) == overlap.T


def test_corners_go_round_from_the_front_left() -> None:
    corners = box(1, 2, 4, 2, np.pi / 2, z=3, height=2).corners()[0]
    assert corners[0] == pytest.approx([0, 4, 2])  # heading north: the left is west
    assert corners[6] == pytest.approx([2, 0, 4])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((np.array([[0, 0, np.nan]]), np.ones((1, 3)), np.zeros(1)), "centres of boxes hold NaN"),
        ((np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(1)), "metres > 0"),
        ((np.zeros((2, 3)), np.ones((1, 3)), np.zeros(1)), "2 centres, 1 sizes"),
    ],
)
def test_impossible_boxes_are_named(fields: tuple[np.ndarray, np.ndarray, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Boxes(*fields)
