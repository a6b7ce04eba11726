"""Patches, positions and attention against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skyweave.backbone.encoder import attend, attention_mask
from skyweave.backbone.patches import patchify, resize_matrix, unpatchify
from skyweave.backbone.positions import Positions


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_unpatchify_undoes_patchify(size: int, rows: int, columns: int, channels: int) -> None:
    images = torch.arange(2 * channels * rows * columns * size * size, dtype=torch.float32)
    images = images.view(2, channels, rows * size, columns * size)
    patches = patchify(images, size)
    assert patches.shape == (2, rows * columns, channels, size, size)
    assert torch.equal(patches[0, columns - 1, 0], images[0, 0, :size, -size:])
    assert torch.equal(unpatchify(patches, (rows, columns)), images)


@pytest.mark.parametrize(("source", "target"), [(2, 8), (8, 2), (4, 4), (1, 3)])
def test_resizing_keeps_constants(source: int, target: int) -> None:
    matrix = resize_matrix(source, target)
    assert torch.allclose(matrix @ torch.ones(source**2), torch.ones(target**2), atol=1e-6)


def test_positions_follow_the_published_formula() -> None:
    positions = Positions(16, "ignored")((3, 5), torch.tensor([80.0]))[0]
    row, column = 2, 4
    for channel in range(4):
        scale = 10_000 ** (channel / 4)
        assert positions[row * 5 + column, channel] == pytest.approx(math.sin(row / scale), abs=1e-5)
        assert positions[row * 5 + column, 4 + channel] == pytest.approx(math.cos(row / scale), abs=1e-5)
        assert positions[row * 5 + column, 8 + channel] == pytest.approx(math.sin(column / scale), abs=1e-5)


def test_positions_and_the_ground() -> None:
    near, far = torch.tensor([80.0]), torch.tensor([160.0])
    ignored, scaled, embedded = Positions(32, "ignored"), Positions(32, "scaled"), Positions(32, "embedded")
    assert torch.equal(ignored((4, 4), near), ignored((4, 4), far))
    assert torch.allclose(scaled((4, 4), near), ignored((4, 4), near), atol=1e-6)
    assert torch.allclose(scaled((2, 2), far)[0, 1], ignored((1, 3), near)[0, 2], atol=1e-6)
    assert not torch.allclose(embedded((4, 4), near), embedded((4, 4), far), atol=1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_both_ways_of_attention_agree(masked: bool) -> None:
    query, key, value = torch.randn(3, 2, 3, 20, 16)
    valid = torch.ones(2, 20, dtype=torch.bool)
    valid[0, 5:] = not masked
    mask = attention_mask(valid)
    assert (mask is None) is not masked
    exact = attend(query, key, value, mask)
    half = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask)
    assert torch.allclose(exact, half.float(), atol=0.05)
    if masked:
        assert torch.allclose(exact[0], attend(query, key[:, :, :5], value[:, :, :5])[0], atol=1e-6)


def test_a_row_without_valid_tokens_is_no_nan() -> None:
    valid = torch.tensor([[False, False], [True, False]])
    tokens = torch.randn(2, 1, 2, 4)
    assert torch.isfinite(attend(tokens, tokens, tokens, attention_mask(valid))).all()
