import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.backbone.storage import pack_state, round_to_storage, unpack_state


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(-30, 30))
def test_int8_is_near_and_storing_it_again_changes_nothing(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(40, 8, 5, generator=generator) * 2.0**size
    once = round_to_storage(value, torch.int8)
    assert torch.equal(round_to_storage(once, torch.int8), once)
    largest = value.abs().flatten(1).amax(1)[:, None, None]
    assert ((once - value).abs() <= largest / 127 + 1e-30).all()


def test_rows_of_zeros_and_the_limits() -> None:
    value = torch.zeros(64, 32)
    value[1], value[2] = 127.0, -1e-8
    stored = pack_state({"w": value}, torch.int8)
    assert stored["w"].dtype is torch.int8 and stored["w"][1].eq(127).all()
    assert torch.equal(unpack_state(stored)["w"][:2], value[:2])


def test_vectors_stay_in_half_precision() -> None:
    stored = pack_state({"bias": torch.randn(5000), "small": torch.randn(4, 4), "w": torch.randn(64, 64)}, torch.int8)
    assert stored["bias"].dtype is stored["small"].dtype is torch.float16
    assert sorted(stored) == ["bias", "small", "w", "w.scale"]
    assert sorted(unpack_state(stored)) == ["bias", "small", "w"]


def test_what_half_precision_cannot_hold_stays_in_single() -> None:
    state = {"running_var": torch.tensor([1.0, 70_000.0]), "bias": torch.tensor([1.0, 60_000.0])}
    for dtype in (torch.float16, torch.int8):
        stored = pack_state(state, dtype)
        assert stored["running_var"].dtype is torch.float32 and stored["bias"].dtype is torch.float16
        assert torch.equal(unpack_state(stored)["running_var"], state["running_var"])
    broken = pack_state({"w": torch.tensor([float("inf"), 1.0])}, torch.float16)
    assert broken["w"].dtype is torch.float16, "what is infinite already is not worth the room"


def test_a_missing_scale_is_named() -> None:
    with pytest.raises(ValueError, match="w is int8"):
        unpack_state({"w": torch.zeros(3, 3, dtype=torch.int8)})
