"""Published DOFA state dicts, from a local file to an encoder; nothing is executed from the file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from skyweave.backbone.pretrained.dofa import DOFA, VARIANTS, DOFAConfig
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.state_dict import read_state_dict
from skyweave.core.errors import WeightsError

UNUSED_PREFIXES = ("head.", "norm.", "mask_token", "projector.", "decoder_")
"""Published keys (or beginnings of keys) that the encoder's function does not use: the class head, and what belongs to
pretraining: its mask token, decoder, distillation projector and the norm in front of its decoder."""

IDENTITY_NORM = ("norm.weight", "norm.bias")
"""Version 1 checkpoints carry no norm for the pooled embedding: the published class leaves it at the identity."""


def load_dofa(path: str | Path, radar_wavelength: float | None = None) -> DOFA:
    """Load a DOFA 1 or 2 encoder (ViT-B or ViT-L) from a published ``.pth`` file, in evaluation mode.

    The version and size are read from the tensors. The file may hold a plain state dict, or one under ``model`` or
    ``state_dict``. What was dropped or defaulted is in the result's ``loaded``.

    Args:
        path: local file, read with ``weights_only=True``.
        radar_wavelength: see ``DOFA``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a weights file, not DOFA, or keys or shapes that do not fit; all of them are named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no DOFA weights at {path}; download a published .pth file first")
    return dofa_from_state_dict(read_state_dict(path), radar_wavelength, source=str(path))


def dofa_from_state_dict(
    state: Mapping[str, Tensor], radar_wavelength: float | None = None, source: str = "state dict"
) -> DOFA:
    """Return a DOFA encoder with weights that are in memory, in evaluation mode.

    Args:
        state: tensors by their published names.
        radar_wavelength: see `DOFA`.
        source: of the tensors, for messages.
    """
    config = identify_dofa(state, source)
    renamed, dropped = rename_dofa_keys(state, config.version)
    defaulted = tuple(key for key in IDENTITY_NORM if config.version == 1 and key not in renamed)
    with torch.device("meta"):  # shapes only: the file brings the numbers
        model = DOFA(config, radar_wavelength)
    expected = model.state_dict()
    _add_defaults(defaulted, config, renamed)
    if problems := _differences(renamed, expected):
        raise WeightsError(f"{source}: not the weights of DOFA v{config.version}: {'; '.join(problems)}")
    model.load_state_dict({key: value.float() for key, value in renamed.items()}, strict=True, assign=True)
    model.pos_embed.requires_grad_(config.version == 2)
    model.loaded = LoadReport(dropped=dropped, defaulted=defaulted)
    return model.eval()


def _add_defaults(defaulted: tuple[str, ...], config: DOFAConfig, renamed: dict[str, Tensor]) -> None:
    """Add the norm that files of version 1 may lack."""
    if "norm.weight" in defaulted:
        renamed["norm.weight"] = torch.ones(config.width)
    if "norm.bias" in defaulted:
        renamed["norm.bias"] = torch.zeros(config.width)


def _differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    problems = [f"missing {key}" for key in expected if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in expected]
    return problems + [
        f"{key} has shape {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]


def identify_dofa(state: Mapping[str, Tensor], source: str) -> DOFAConfig:
    """Return version and size of published weights, from their keys and shapes.

    Args:
        state: tensors by their published names.
        source: of the tensors, for messages.

    Raises:
        ValueError: not DOFA, or a shape that was not published.
    """
    bias = state.get("patch_embed.weight_generator.fc_bias.weight")
    kernels = state.get("patch_embed.weight_generator.fc_weight.weight")
    if bias is None or kernels is None or _is_no_generator(bias, kernels):
        raise WeightsError(
            f"{source}: not DOFA weights: no patch_embed.weight_generator.fc_weight and fc_bias among its "
            f"{len(state)} keys ({', '.join(list(state)[:4])}, ...)"
        )
    version = 2 if any(key.startswith("model.") for key in state) else 1
    width, pixels = len(bias), len(kernels) / len(bias)
    return _find_variant(version, width, pixels, source)


def _find_variant(version: int, width: int, pixels: float, source: str) -> DOFAConfig:
    """Return the variant of a version, width and patch size."""
    for config in VARIANTS.values():
        if (config.version, config.width, config.patch_size**2) == (version, width, pixels):
            return config
    raise WeightsError(
        f"{source}: DOFA v{version} of width {width} and patch size {pixels**0.5:g} is not one of {', '.join(VARIANTS)}"
    )


def _is_no_generator(bias: Tensor, kernels: Tensor) -> bool:
    """Return whether weights of these shapes generate no patch embedding."""
    return bias.ndim != 2 or kernels.ndim != 2 or not len(bias)


def rename_dofa_keys(state: Mapping[str, Tensor], version: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return tensors by our names, and the published names that were dropped.

    Version 1 calls the norm of the embedding ``fc_norm``; version 2 keeps its Transformer under ``model.``.

    Args:
        state: tensors by their published names.
        version: of DOFA, 1 or 2.
    """
    prefix, replacement = ("fc_norm.", "norm.") if version == 1 else ("model.", "")
    renamed: dict[str, Tensor] = {}
    dropped = []
    for key, value in state.items():
        if key.startswith(UNUSED_PREFIXES):
            dropped.append(key)
        else:
            renamed[replacement + key.removeprefix(prefix) if key.startswith(prefix) else key] = value
    return renamed, tuple(dropped)
