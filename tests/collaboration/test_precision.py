"""What is quantised is worked out in float32, whatever precision a trainer has switched on."""

from collections.abc import Callable

import pytest
import torch

from skyweave.collaboration.batches import CollaborationDataset
from skyweave.collaboration.cache import FeatureCache
from skyweave.collaboration.codec import DualBranchCodec, Latents
from skyweave.collaboration.config import ImpairmentConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.messages import build_message
from skyweave.collaboration.model import CollaborativeModel

Make = Callable[[str], CollaborativeModel]


def quantised(codec: DualBranchCodec, cache: FeatureCache, features: torch.dtype) -> Latents:
    ego = cache["one", 1, "UAV_1"]
    return codec.quantise(codec.encode(ego.features[None].to(features), ego.visible[None]), noisy=False)


@torch.inference_mode()
def test_symbols_under_bfloat16_are_those_of_float32(make: Make, cache: FeatureCache) -> None:
    codec = make("dual_branch").codec
    exact = quantised(codec, cache, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.nn.functional.linear(torch.ones(1, 2), torch.ones(2, 2)).dtype == torch.bfloat16
        mixed = quantised(codec, cache, torch.float32)
        half = quantised(codec, cache, torch.bfloat16)
    assert exact.low is not None and mixed.low is not None
    assert mixed.high.dtype == mixed.low.dtype == half.high.dtype == torch.float32
    assert torch.equal(mixed.high, exact.high) and torch.equal(mixed.low, exact.low)
    assert exact.high.abs().max() > 0, "empty maps would prove nothing"


def test_messages_under_bfloat16_hold_the_same_symbols(make: Make, cache: FeatureCache) -> None:
    model, ego = make("dual_branch"), cache["one", 1, "UAV_1"]
    exact = build_message(model, ego)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = build_message(model, ego)
    for one, other in ((exact.low, mixed.low), (exact.high, mixed.high)):
        assert one is not None and other is not None
        assert (one.symbols == other.symbols).all() and (one.indices == other.indices).all()


def test_training_in_bfloat16_quantises_in_float32(
    make: Make, samples: CachedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, dtypes = make("dual_branch"), []
    quantise = DualBranchCodec.quantise

    def watched(codec: DualBranchCodec, latents: Latents, noisy: bool) -> Latents:
        dtypes.append(latents.high.dtype)
        return quantise(codec, latents, noisy)

    monkeypatch.setattr(DualBranchCodec, "quantise", watched)
    batch = CollaborationDataset(samples, ImpairmentConfig(ego_only=0.0), True, cells=24)[0]
    with torch.autocast("cpu", torch.bfloat16):
        model.exchange(batch)
    assert dtypes and set(dtypes) == {torch.float32}
