"""Parts keep groups whole and spread the classes; what is near held-out blocks is known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.downstream.labels import ClassLabel, LabelledSample, SplitConfig, stratified_group_split
from skyweave.downstream.labels.splits import gap_mask, group_name, parse_part
from skyweave.downstream.labels.subset import stratified_subset


@settings(max_examples=50, deadline=None)
@given(groups=st.integers(3, 20), classes=st.integers(1, 5), seed=st.integers(0, 999))
def test_groups_stay_whole_and_no_part_is_empty(groups: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    group = [f"g{own}" for own in random.integers(0, groups, 60)] + [f"g{own}" for own in range(3)]
    counts = random.poisson(0.7, (63, classes)).astype(float)
    part = stratified_group_split(counts, group, SplitConfig(seed=seed))
    assert set(part) == {0, 1, 2}
    for name in set(group):
        assert len({part[i] for i, own in enumerate(group) if own == name}) == 1
    assert np.array_equal(part, stratified_group_split(counts, group, SplitConfig(seed=seed)))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999))
def test_rare_classes_are_in_every_part(seed: int) -> None:
    """Thirty groups of one class each, the rarest class in five."""
    kinds = np.repeat([0, 1, 2], [15, 10, 5])
    counts = np.eye(3)[np.random.default_rng(seed).permutation(kinds)]
    part = stratified_group_split(counts, [str(i) for i in range(30)], SplitConfig(seed=seed))
    for kind in range(3):
        shares = np.array([counts[part == number, kind].sum() for number in range(3)])
        assert (shares >= 1).all()
        np.testing.assert_allclose(shares / shares.sum(), [0.6, 0.2, 0.2], atol=0.1)


def test_too_few_groups_are_told() -> None:
    with pytest.raises(ValueError, match=r"2 groups cannot be split .*split.kind: blocks"):
        stratified_group_split(np.ones((4, 1)), ["a", "a", "b", "b"], SplitConfig())


def test_near_held_out_by_hand() -> None:
    """A window of 4 x 4 right of a held-out one: with a gap of 2 its first two columns are near."""
    near = gap_mask((0, 4, 4, 4), [(0, 0, 4, 4)], gap=2)
    assert near[:, :2].all()
    assert not near[:, 2:].any()
    assert not gap_mask((8, 8, 4, 4), [(0, 0, 4, 4)], gap=2).any()


def test_names_of_parts_and_groups() -> None:
    assert [parse_part(name, "x") for name in ("Train", "val", "testing")] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"row 3: 'holdout' is no part; use train, validation or test"):
        parse_part("holdout", "row 3")
    assert group_name(SplitConfig(pattern="^([A-Z]+)_"), Path("AB_12.tif")) == "AB"
    with pytest.raises(ValueError, match=r"does not match the file name 'x.tif'"):
        group_name(SplitConfig(pattern="^([A-Z]+)_"), Path("x.tif"))
    with pytest.raises(ValueError, match=r"shares above 0, their sum below 1"):
        SplitConfig(validation=0.5, test=0.5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), fraction=st.floats(0.05, 1.0), count=st.integers(8, 60))
def test_a_share_has_its_size_and_every_class_while_there_is_room(seed: int, fraction: float, count: int) -> None:
    labels = np.random.default_rng(seed).choice(3, count, p=[0.8, 0.15, 0.05])
    samples = [LabelledSample((), int(own), str(i)) for i, own in enumerate(labels)]
    chosen = stratified_subset(samples, ClassLabel(), 3, fraction, seed)
    assert len(chosen) == max(1, round(fraction * count))
    assert len({own.name for own in chosen}) == len(chosen)
    if len(chosen) >= 3:
        assert {own.label for own in chosen} == set(labels.tolist())
