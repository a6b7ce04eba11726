"""Tiles cover the scene once, blending is a partition of unity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.embedding.tiles import BlendedRows, TilePlan


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    size = draw(st.integers(1, 9))
    return TilePlan(draw(st.integers(1, 30)), draw(st.integers(1, 30)), size, draw(st.integers(0, size - 1)))


@settings(max_examples=60, deadline=None)
@given(plans())
def test_blending_gives_back_what_every_tile_agrees_on(plan: TilePlan) -> None:
    truth = np.random.default_rng(0).normal(size=(2, plan.rows, plan.columns)).astype(np.float32)
    blended = BlendedRows(2, min(plan.size, plan.rows), plan.columns)
    rows, count = [], 0
    for tiles, following in plan.tile_rows():
        for tile in tiles:
            count += 1
            part = truth[:, tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns]
            assert part.shape[1:] == (min(plan.size, plan.rows), min(plan.size, plan.columns))
            blended.add(tile, part, plan.weight(tile))
        features, valid = blended.finish(following)
        assert valid.all()
        rows.append(features)
    np.testing.assert_allclose(np.concatenate(rows, axis=1), truth, rtol=1e-5, atol=1e-6)
    assert count == len(plan)


def test_a_single_tile_is_untouched() -> None:
    plan = TilePlan(5, 7, 8, 2)
    ((tiles, following),) = plan.tile_rows()
    assert len(tiles) == 1 and following == 5
    assert (plan.weight(tiles[0]) == 1).all()


def test_weights_fall_towards_neighbours_only() -> None:
    plan = TilePlan(4, 9, 6, 3)
    left, right = next(plan.tile_rows())[0]
    np.testing.assert_allclose(plan.weight(left)[0], [1, 1, 1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(plan.weight(right)[0], [0.25, 0.5, 0.75, 1, 1, 1])


@pytest.mark.parametrize(("size", "overlap"), [(4, 4), (4, -1), (0, 0)])
def test_impossible_overlap_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        TilePlan(10, 10, size, overlap)
