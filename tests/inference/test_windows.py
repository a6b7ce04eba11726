"""Windows cover the map once, blending is a partition of unity, whatever the sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.inference.blending import BlendedStrip
from skyweave.inference.windows import Window, WindowPlan


@st.composite
def plans(draw: st.DrawFn) -> WindowPlan:
    size, sides = draw(st.integers(1, 9)), st.integers(1, 30)
    limits = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    return WindowPlan(draw(sides), draw(sides), size, draw(st.integers(0, size - 1)), *limits)


def part_of(window: Window) -> tuple[slice, slice]:
    return slice(window.row, window.bottom), slice(window.column, window.right)


@settings(max_examples=80, deadline=None)
@given(plans())
def test_blending_gives_back_what_every_window_agrees_on(plan: WindowPlan) -> None:
    truth = np.random.default_rng(0).normal(size=(2, plan.rows, plan.columns)).astype(np.float32)
    result, count = np.full_like(truth, np.nan), 0
    blended: BlendedStrip | None = None
    for strip in plan.strips():
        cells = strip.cells
        if blended is None or blended.first_column != cells.column:
            blended = BlendedStrip(2, (cells.column, cells.right), cells.row)
        for group in strip.groups:
            for window in group.windows:
                count += 1
                assert (window.rows, window.columns) == (min(plan.size, plan.rows), min(plan.size, plan.columns))
                blended.add(window, truth[:, *part_of(window)], plan.weight(window))
        values, valid = blended.finish(cells.bottom)
        assert valid.all() and np.isnan(result[:, *part_of(cells)]).all()
        result[:, *part_of(cells)] = values
    np.testing.assert_allclose(result, truth, rtol=1e-5, atol=1e-6)
    assert count == len(plan)


@settings(max_examples=80, deadline=None)
@given(plans())
def test_cores_cover_the_map_once(plan: WindowPlan) -> None:
    covered = np.zeros((plan.rows, plan.columns), int)
    windows = {window for strip in plan.strips() for group in strip.groups for window in group.windows}
    for window in windows:
        core = plan.core(window)
        assert window.row <= core.row and core.bottom <= window.bottom
        assert window.column <= core.column and core.right <= window.right
        covered[part_of(core)] += 1
    assert (covered == 1).all()


def test_a_single_window_is_untouched() -> None:
    plan = WindowPlan(5, 7, 8, 2)
    (strip,) = plan.strips()
    (group,) = strip.groups
    assert len(group.windows) == 1 and strip.cells == group.bounds == Window(0, 0, 5, 7)
    assert (plan.weight(group.windows[0]) == 1).all()


def test_weights_fall_towards_neighbours_only() -> None:
    plan = WindowPlan(4, 9, 6, 3)
    left, right = next(plan.strips()).groups[0].windows
    np.testing.assert_allclose(plan.weight(left)[0], [1, 1, 1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(plan.weight(right)[0], [0.25, 0.5, 0.75, 1, 1, 1])


@pytest.mark.parametrize(("size", "overlap"), [(4, 4), (4, -1), (0, 0)])
def test_impossible_overlap_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        WindowPlan(10, 10, size, overlap)
