"""Low-rank additions: nothing changed at the start, few weights, one matrix at the end."""

import pytest
import torch
from torch import nn

from fabricated_labels import small_backbone
from skyweave.backbone import load_backbone
from skyweave.downstream.finetuning.models.finetuned_model import count_trainable
from skyweave.downstream.finetuning.models.lora import LowRankLinear, add_low_rank, merge_low_rank


def test_at_the_start_nothing_has_changed() -> None:
    linear = nn.Linear(6, 4)
    values = torch.randn(3, 6)
    assert torch.equal(LowRankLinear(linear, 2, 4.0)(values), linear(values))


def test_merged_is_the_same_function() -> None:
    torch.manual_seed(0)
    added = LowRankLinear(nn.Linear(6, 4), 2, 4.0)
    nn.init.normal_(added.up)
    values = torch.randn(5, 6)
    before = added(values)
    assert not torch.allclose(before, added.linear(values), atol=0.1)
    torch.testing.assert_close(added.merged()(values), before)


def test_only_the_additions_learn_and_merging_restores_the_layout() -> None:
    backbone = small_backbone()
    keys = list(backbone.state_dict())
    names = add_low_rank(backbone, 2, 4.0, "attention")
    assert len(names) == 2 * 4  # qkv and proj of four blocks
    learning = [name for name, own in backbone.named_parameters() if own.requires_grad]
    assert learning
    assert all(name.endswith((".down", ".up")) for name in learning)
    assert count_trainable(backbone) == 4 * 2 * ((24 + 72) + (24 + 24))
    merge_low_rank(backbone)
    assert list(backbone.state_dict()) == keys


def test_default_rank_trains_under_two_percent_of_the_shipped_weights() -> None:
    backbone = load_backbone("tiny")
    whole = sum(own.numel() for own in backbone.parameters())
    add_low_rank(backbone, 4, 8.0, "attention")
    assert 0 < count_trainable(backbone) < 0.02 * whole


def test_a_network_without_blocks_is_told() -> None:
    with pytest.raises(ValueError, match=r"no blocks with layers named qkv, proj.*full or last"):
        add_low_rank(nn.Sequential(nn.Linear(2, 2)), 2, 4.0, "attention")
