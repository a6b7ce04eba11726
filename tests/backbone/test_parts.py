"""Patches, positions and attention against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skyweave.backbone.patches import downsample_pixels, edge_correction, patchify, resize_matrix, unpatchify
from skyweave.backbone.positions import Positions
from skyweave.backbone.transformer import (
    TransformerEncoder,
    apply_rotary,
    attention_mask,
    dot_product_attention,
    initialise_weights,
    rotary_factors,
)


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


@given(st.integers(2, 5), st.integers(2, 8), st.integers(1, 4))
def test_shrinking_is_resizing(factor: int, size: int, channels: int) -> None:
    pixels = torch.randn(2, 3, factor * size, factor * size, channels)
    resized = resize_matrix(factor * size, size) @ pixels.flatten(2, 3)
    shrunk = downsample_pixels(pixels, factor).flatten(2, 3) * edge_correction(factor, size).unsqueeze(1)
    assert torch.allclose(shrunk, resized, atol=1e-5)


def test_who_asks_first_changes_no_edges() -> None:
    edge_correction.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        first = edge_correction(2, 8)
    edge_correction.cache_clear()
    assert torch.equal(first, edge_correction(2, 8))
    assert first[0] == pytest.approx((8 / 7) ** 2)


def test_rotary_positions_follow_the_published_formula() -> None:
    coordinates = torch.tensor([[[3.0, 5.0]]])
    vector = torch.randn(1, 1, 1, 16)
    turned = apply_rotary(vector, rotary_factors(coordinates, 16))[0, 0, 0]
    for pair in range(8):
        place = 3.0 if pair < 4 else 5.0
        angle = place * 100 ** -((pair % 4) / 4)
        turn = complex(math.cos(angle), math.sin(angle))
        expected = complex(vector[0, 0, 0, pair], vector[0, 0, 0, pair + 8]) * turn
        assert complex(turned[pair], turned[pair + 8]) == pytest.approx(expected, abs=1e-5)


def test_only_relative_places_matter() -> None:
    encoder = TransformerEncoder(32, 2, 2).eval()
    initialise_weights(encoder)
    tokens, coordinates = torch.randn(1, 6, 32), torch.rand(1, 6, 2) * 10
    with torch.no_grad():
        here, _ = encoder(tokens, None, coordinates)
        there, _ = encoder(tokens, None, coordinates + torch.tensor([30.0, -7.0]))
        other, _ = encoder(tokens, None, coordinates * 2)
    assert torch.allclose(here, there, atol=1e-4)
    assert (here - other).abs().max() > 1e-3


def test_positions_and_the_ground() -> None:
    near, far = torch.tensor([80.0]), torch.tensor([160.0])
    ignored, scaled, embedded = Positions(32, "ignored"), Positions(32, "scaled"), Positions(32, "embedded")
    assert ignored.coordinates((2, 3), near)[0].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert torch.equal(ignored.coordinates((4, 4), near), ignored.coordinates((4, 4), far))
    assert torch.equal(scaled.coordinates((4, 4), near), ignored.coordinates((4, 4), near))
    assert torch.equal(scaled.coordinates((4, 4), far), 2 * ignored.coordinates((4, 4), near))
    assert torch.equal(ignored(near), torch.zeros(1, 1, 32))
    assert not torch.allclose(embedded(near), embedded(far), atol=1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_both_ways_of_attention_agree(masked: bool) -> None:
    query, key, value = torch.randn(3, 2, 3, 20, 16)
    valid = torch.ones(2, 20, dtype=torch.bool)
    valid[0, 5:] = not masked
    mask = attention_mask(valid)
    assert (mask is None) is not masked
    exact = dot_product_attention(query, key, value, mask)
    half = dot_product_attention(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask)
    assert torch.allclose(exact, half.float(), atol=0.05)
    if masked:
        assert torch.allclose(exact[0], dot_product_attention(query, key[:, :, :5], value[:, :, :5])[0], atol=1e-6)


def test_a_row_without_valid_tokens_is_no_nan() -> None:
    valid = torch.tensor([[False, False], [True, False]])
    tokens = torch.randn(2, 1, 2, 4)
    assert torch.isfinite(dot_product_attention(tokens, tokens, tokens, attention_mask(valid))).all()
