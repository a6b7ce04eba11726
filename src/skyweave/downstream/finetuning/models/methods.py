"""Which weights of a model a method trains."""

import copy

import torch
from torch import nn

from skyweave.backbone import Backbone, build_backbone
from skyweave.core.errors import ConfigError
from skyweave.downstream.finetuning.config import MethodConfig
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.models.lora import add_low_rank


def copy_backbone(backbone: nn.Module | None, method: MethodConfig, seed: int) -> nn.Module | None:
    """Return a copy to change: with the same weights, with random ones, or none for a U-Net.

    Args:
        backbone: stays as it is.
        method: ``scratch`` takes random weights.
        seed: of the random weights.

    Raises:
        ConfigError: no backbone, and a method that needs one.
    """
    if method.kind == "unet":
        return None
    if backbone is None:
        raise ConfigError(f"the method {method.kind} needs a backbone; give one, or use the method unet")
    if method.kind != "scratch":
        return copy.deepcopy(backbone).eval()
    if isinstance(backbone, Backbone):
        return build_backbone(backbone.config, list(backbone.sensors.values()), seed=seed)
    return _randomised(backbone, seed)


def _randomised(backbone: nn.Module, seed: int) -> nn.Module:
    """Return a copy whose layers have drawn their weights anew."""
    random = copy.deepcopy(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in random.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return random


def unfreeze(model: FinetunedModel, method: MethodConfig, seed: int) -> None:
    """Let the weights learn that a method trains, in place; ``lora`` adds its matrices.

    Args:
        model: whose head always learns.
        method: any but ``frozen``.
        seed: of the random matrices of ``lora``.

    Raises:
        ConfigError: a backbone without the blocks or layers that the method needs.
    """
    model.requires_grad_(True)
    if not isinstance(model.network, EncoderWithHead) or method.kind in ("full", "scratch"):
        return
    backbone = model.network.backbone
    if method.kind == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            add_low_rank(backbone, method.rank, method.alpha, method.targets)
        return
    _unfreeze_last_blocks(backbone, method.blocks)


def _unfreeze_last_blocks(backbone: nn.Module, count: int) -> None:
    backbone.requires_grad_(False)
    blocks = [module for name, module in backbone.named_modules() if name.rpartition(".")[2] == "blocks"]
    if not blocks or not isinstance(blocks[0], nn.ModuleList):
        raise ConfigError(f"{type(backbone).__name__} has no list of `blocks` of which the last could learn; use full")
    if count > len(blocks[0]):
        raise ConfigError(f"method.blocks is {count}, the backbone has {len(blocks[0])}; use as many or fewer")
    blocks[0][-count:].requires_grad_(True)
