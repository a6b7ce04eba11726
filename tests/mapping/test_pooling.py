"""The kernel against a naive loop, and its gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skyweave.mapping.pooling import CSRPattern, PoolingPlan, pool_features, weighted_sum


def example(seed: int, pixels: int, bins: int, cells: int, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cell index (pixels, bins) with runs, gaps and returns; weights; features."""
    generator = np.random.default_rng(seed)
    index = np.repeat(generator.integers(-1, cells, (pixels, bins)), generator.integers(1, 4), axis=1)[:, :bins]
    weights, features = generator.random((pixels, bins)), generator.normal(size=(pixels, channels))
    return torch.as_tensor(index.astype(np.int32)), torch.as_tensor(weights), torch.as_tensor(features)


def naive(index: Tensor, weights: Tensor, features: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    out, weight = features.new_zeros(cells, features.shape[1]), features.new_zeros(cells)
    for pixel in range(index.shape[0]):
        for node in range(index.shape[1]):
            cell = int(index[pixel, node])
            if cell >= 0:
                out[cell] += weights[pixel, node] * features[pixel]
                weight[cell] += weights[pixel, node]
    return out, weight


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    pixels=st.integers(1, 12),
    bins=st.integers(1, 9),
    cells=st.integers(1, 15),
    channels=st.integers(1, 5),
)
def test_it_is_the_naive_loop(seed: int, pixels: int, bins: int, cells: int, channels: int) -> None:
    index, weights, features = example(seed, pixels, bins, cells, channels)
    out, weight = pool_features(weights, features, PoolingPlan.from_cells(index, cells))
    for found, expected in zip((out, weight), naive(index, weights, features, cells), strict=True):
        torch.testing.assert_close(found, expected)


def test_its_gradients_are_right() -> None:
    index, weights, features = example(3, 7, 6, 9, 4)
    plan = PoolingPlan.from_cells(index, 9)
    weights.requires_grad_()
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda w, f: pool_features(w, f, plan), (weights, features))
    assert torch.autograd.gradcheck(lambda w: pool_features(w, features.detach(), plan)[1], (weights,))
    assert torch.autograd.gradcheck(lambda f: pool_features(weights.detach(), f, plan)[0], (features,))


def test_its_gradients_are_those_of_single_precision_also_under_autocast() -> None:
    index, weights, features = example(4, 7, 6, 9, 4)
    plan, inputs = (
        PoolingPlan.from_cells(index, 9),
        (weights.float().requires_grad_(), features.float().requires_grad_()),
    )
    expected = torch.autograd.grad(pool_features(*inputs, plan)[0].square().sum(), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(pool_features(*inputs, plan)[0].square().sum(), inputs)
    torch.testing.assert_close(found, expected)


def test_fixed_weights_have_the_gradient_of_the_features() -> None:
    pattern = CSRPattern.from_entries(torch.tensor([0, 0, 1, 3]), torch.tensor([1, 2, 1, 0]), 4, 3)
    values, features = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64), torch.randn(4, 2).double()
    expected = torch.stack([3 * features[3], 0.5 * features[0] + 2 * features[1], features[0]])
    torch.testing.assert_close(weighted_sum(values, features, pattern), expected)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: weighted_sum(values, f, pattern), (features,))


def test_a_plan_of_nothing_gives_nothing() -> None:
    plan = PoolingPlan.from_cells(torch.full((4, 3), -1, dtype=torch.int32), 5)
    weights, features = torch.rand(4, 3, requires_grad=True), torch.rand(4, 2, requires_grad=True)
    out, weight = pool_features(weights, features, plan)
    (out.sum() + weight.sum()).backward()
    assert out.shape == (5, 2) and not out.any() and not weight.any()
    assert weights.grad is not None and not weights.grad.any()
    assert features.grad is not None and not features.grad.any()


def test_the_same_twice() -> None:
    index, weights, features = example(1, 200, 40, 60, 16)
    plan = PoolingPlan.from_cells(index, 60)
    results = []
    for _ in range(3):
        w, f = weights.float().requires_grad_(), features.float().requires_grad_()
        out, weight = pool_features(w, f, plan)
        (out.square().sum() + weight.sum()).backward()
        results.append((out, weight, w.grad, f.grad))
    for again in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(kind: torch.dtype) -> None:
    index, weights, features = example(2, 30, 8, 20, 6)
    plan = PoolingPlan.from_cells(index, 20)
    w, f = weights.to(kind).requires_grad_(), features.to(kind).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out, weight = pool_features(w, f, plan)
    assert out.dtype == weight.dtype == torch.float32
    torch.testing.assert_close(out, pool_features(w.double(), f.double(), plan)[0].float())
    out.sum().backward()
    assert w.grad is not None and w.grad.dtype == kind


def test_never_pixels_times_bins_times_channels() -> None:
    index, weights, features = example(5, 300, 64, 100, 48)
    plan = PoolingPlan.from_cells(index, 100)
    w, f = weights.float().requires_grad_(), features.float().requires_grad_()
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            sizes.extend(r.numel() for r in [result] if isinstance(r, Tensor) and r.layout == torch.strided)
            return result

    with Watch():
        pool_features(w, f, plan)[0].sum().backward()
    assert sizes and max(sizes) <= 300 * 64


def test_shapes_that_do_not_fit_are_named() -> None:
    plan = PoolingPlan.from_cells(torch.zeros(4, 3, dtype=torch.int32), 5)
    with pytest.raises(ValueError, match=r"weights \(4, 2\).*4 pixels x 3 bins"):
        pool_features(torch.rand(4, 2), torch.rand(4, 2), plan)
    with pytest.raises(ValueError, match=r"features \(3, 2\)"):
        pool_features(torch.rand(4, 3), torch.rand(3, 2), plan)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_same_on_a_gpu() -> None:
    index, weights, features = example(4, 200, 40, 60, 16)
    results = []
    for device in ("cpu", "cuda"):
        w, f = weights.float().to(device).requires_grad_(), features.float().to(device).requires_grad_()
        out, weight = pool_features(w, f, PoolingPlan.from_cells(index.to(device), 60))
        (out.square().sum() + weight.sum()).backward()
        results.append([t.detach().cpu() for t in (out, weight, w.grad, f.grad) if t is not None])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
