"""Published weights of MAE, SatMAE, Prithvi, Clay and DOFA, from a local file or the hub; nothing in them is executed.

Family and size are read from the tensors. Every key of a file is either used, or known to belong to what an encoder
does without (decoders, class heads), or an error.
"""

import argparse
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from skyweave.backbone.checkpoint import load_strictly
from skyweave.backbone.pretrained.clay import Clay
from skyweave.backbone.pretrained.dofa import LoadReport
from skyweave.backbone.pretrained.dofa_weights import dofa_from_state_dict, read_state_dict
from skyweave.backbone.pretrained.encoder import PublishedConfig, PublishedEncoder
from skyweave.backbone.pretrained.vit import MAE, SATMAE_GROUPS, Prithvi, SatMAE
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor

HEADS_BY_WIDTH = {192: 3, 256: 4, 384: 6, 768: 12, 1024: 16, 1280: 16}
"""Attention heads by width: tensors do not tell."""
HUB_FILES = {
    "prithvi-eo-1.0-100m": "hub:ibm-nasa-geospatial/Prithvi-EO-1.0-100M/Prithvi_EO_V1_100M.pt",
    "prithvi-eo-2.0-300m": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-300M/Prithvi_EO_V2_300M.pt",
    "prithvi-eo-2.0-300m-tl": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-300M-TL/Prithvi_EO_V2_300M_TL.pt",
    "prithvi-eo-2.0-600m": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-600M/Prithvi_EO_V2_600M.pt",
    "prithvi-eo-2.0-600m-tl": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-600M-TL/Prithvi_EO_V2_600M_TL.pt",
    "clay-v1": "hub:made-with-clay/Clay-legacy/v1/clay-v1-base.ckpt",
    "clay-v1.5": "hub:made-with-clay/Clay/v1.5/clay-v1.5.ckpt",
}
IMAGENET_STATISTICS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # of red, green and blue from 0 to 255
SATMAE_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SATMAE_STATISTICS = (
    (1184.38, 1120.77, 1136.26, 1263.74, 1645.40, 1846.87, 1762.60, 1972.62, 1732.16, 1247.92),
    (650.28, 712.13, 965.23, 948.98, 1108.07, 1258.36, 1233.15, 1364.39, 1310.37, 1087.60),
)
PRITHVI_BANDS = ("B02", "B03", "B04", "B8A", "B11", "B12")
PRITHVI_STATISTICS = {
    1: ((775.0, 1081.0, 1229.0, 2497.0, 2204.0, 1611.0), (1282.0, 1270.0, 1399.0, 1368.0, 1292.0, 1155.0)),
    2: ((1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0), (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)),
}
REFLECTANCE_SCALE = 10_000.0
"""SatMAE and Prithvi were trained on reflectance times this."""


@dataclass(frozen=True)
class Family:
    """How to read one family's files.

    Attributes:
        unused: beginnings of keys that the encoder does without.
        build: encoder for renamed tensors, with the sensor that was asked for and the number of heads.
        prefix: pattern of what stands before the encoder's keys.
    """

    unused: tuple[str, ...]
    build: Callable[[dict[str, Tensor], Sensor | None, int | None, str], PublishedEncoder]
    prefix: str = ""


def load_published(
    source: str | Path,
    sensor: Sensor | None = None,
    heads: int | None = None,
    radar_wavelength: float | None = None,
) -> nn.Module:
    """A published encoder with the interface of `Backbone`, in evaluation mode.

    Args:
        source: a local file (``.pth``, ``.pt``, ``.ckpt``, ``.safetensors``), ``hub:OWNER/REPOSITORY/FILE``, or a name
            in `HUB_FILES`. The hub needs huggingface_hub.
        sensor: what the channels of the weights are and how they were normalised; default: as published for SatMAE and
            Prithvi, ImageNet's for MAE with three channels. Clay and DOFA take any bands and none is needed.
        heads: attention heads; default: of the published sizes, by width.
        radar_wavelength: of DOFA, see there.

    Raises:
        FileNotFoundError: no such file.
        ModuleNotFoundError: huggingface_hub is not installed.
        ValueError: not weights that can be read safely, an unknown family, or keys and shapes that do not fit.
    """
    path = _fetched(str(source))
    return encoder_from_state_dict(_read(path), sensor, heads, radar_wavelength, str(source))


def encoder_from_state_dict(
    state: Mapping[str, Tensor],
    sensor: Sensor | None = None,
    heads: int | None = None,
    radar_wavelength: float | None = None,
    source: str = "state dict",
) -> nn.Module:
    """The same from tensors in memory; ``source`` names them in errors."""
    name = identify_family(state, source)
    if name == "dofa":
        return dofa_from_state_dict(state, radar_wavelength, source)
    family = FAMILIES[name]
    if name == "clay":
        state = _clay_names(state)
    own: dict[str, Tensor] = {}
    dropped = []
    for key, value in state.items():
        bare = re.sub(family.prefix, "", key)
        if bare.startswith(family.unused) or (name == "clay" and not re.match(family.prefix, key)):
            dropped.append(key)
        else:
            own[bare] = value.float()
    if missing := [key for key in ("cls_token", "blocks.0.norm1.weight") if key not in own]:
        raise WeightsError(f"{source}: looks like {name}, but has no {' and no '.join(missing)}")
    model = family.build(own, sensor, heads, source)
    defaulted = tuple(key for key in model.state_dict() if key == "channel_cls_embed" and key not in own)
    own |= {key: torch.zeros_like(model.state_dict()[key]) for key in defaulted}  # as its pretraining has it
    load_strictly(model, own, source)
    model.loaded = LoadReport(tuple(dropped), defaulted)
    return model.eval()


def is_published(source: str | Path) -> bool:
    """Whether weights are to be read here: by their ending, as ours are always ``.safetensors`` with a card."""
    text = str(source)
    if text in HUB_FILES or text.startswith("hub:"):
        return True
    return text.endswith((".pth", ".pt", ".ckpt", ".bin"))


def identify_family(state: Mapping[str, Tensor], source: str) -> str:
    """The family of a state dict. Raises ``ValueError`` if it is none of those known."""
    patches = next((state[key] for key in state if key.endswith("patch_embed.proj.weight")), None)
    if any(key.endswith("patch_embedding.weight_generator.fc_weight.weight") for key in state):
        return "clay"
    if "patch_embed.weight_generator.fc_weight.weight" in state:
        return "dofa"
    if "channel_embed" in state:
        return "satmae"
    if patches is not None and patches.ndim in (4, 5):
        return "prithvi" if patches.ndim == 5 else "mae"
    raise WeightsError(
        f"{source}: none of MAE, SatMAE, Prithvi, Clay and DOFA; its {len(state)} keys begin with "
        f"{', '.join(list(state)[:4])}"
    )


def _mae(own: dict[str, Tensor], sensor: Sensor | None, heads: int | None, source: str) -> PublishedEncoder:
    channels, patch_size = own["patch_embed.proj.weight"].shape[1:3]
    if sensor is None and channels == 3:
        sensor = get_sensor("rgb").with_statistics(*IMAGENET_STATISTICS)
    sensor = _of_channels(sensor, channels, source)
    after = _norm_after_mean(own)
    return MAE(_config("MAE", own, heads, patch_size, _side(own, source), source), sensor, after)


def _satmae(own: dict[str, Tensor], sensor: Sensor | None, heads: int | None, source: str) -> PublishedEncoder:
    kernels = [own[key] for key in sorted(own) if re.fullmatch(r"patch_embed\.\d+\.proj\.weight", key)]
    counts = tuple(kernel.shape[1] for kernel in kernels)
    if counts != tuple(len(group) for group in SATMAE_GROUPS):
        raise WeightsError(f"{source}: SatMAE with groups of {counts} channels; only the published (4, 4, 2) is known")
    if sensor is None:
        means, stds = ([value / REFLECTANCE_SCALE for value in values] for values in SATMAE_STATISTICS)
        sensor = get_sensor("sentinel2-l1c").select(SATMAE_BANDS).with_statistics(means, stds)
    sensor = _of_channels(sensor, sum(counts), source)
    after = _norm_after_mean(own)
    config = _config("SatMAE", own, heads, kernels[0].shape[-1], _side(own, source), source)
    return SatMAE(config, sensor, channel_width=own["channel_embed"].shape[-1], norm_after_mean=after)


def _prithvi(own: dict[str, Tensor], sensor: Sensor | None, heads: int | None, source: str) -> PublishedEncoder:
    kernel = own["patch_embed.proj.weight"]
    if kernel.shape[2] != 1:
        raise WeightsError(f"{source}: Prithvi with patches of {kernel.shape[2]} frames; only single frames are known")
    own["patch_embed.proj.weight"] = kernel.squeeze(2)
    patch_size, table = kernel.shape[-1], own.pop("pos_embed")  # fixed: made here for one frame
    side = 224 // patch_size
    frames, rest = divmod(table.shape[1] - 1, side**2)
    if rest:
        raise WeightsError(f"{source}: a position table of {table.shape[1]} rows is not for frames of 224 pixels")
    if sensor is None:
        version = 1 if frames == 3 else 2  # version 1 was trained on three dates, version 2 on four
        means, stds = ([value / REFLECTANCE_SCALE for value in values] for values in PRITHVI_STATISTICS[version])
        sensor = get_sensor("sentinel2-l2a").select(PRITHVI_BANDS).with_statistics(means, stds)
    sensor = _of_channels(sensor, kernel.shape[1], source)
    return Prithvi(_config("Prithvi", own, heads, patch_size, side, source, epsilon=1e-5), sensor)


def _clay(own: dict[str, Tensor], sensor: Sensor | None, heads: int | None, source: str) -> PublishedEncoder:
    width = own["cls_token"].shape[-1]
    patch_size = math.isqrt(len(own["patch_embedding.weight_generator.fc_weight.weight"]) // width)
    return Clay(_config("Clay", own, heads, patch_size, 0, source, epsilon=1e-5))


def _clay_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Clay's Transformer in the names of ours: its attention has no biases."""
    own: dict[str, Tensor] = {}
    names = {
        "0.norm": "norm1",
        "0.to_qkv": "attn.qkv",
        "0.to_out": "attn.proj",
        "1.net.0": "norm2",
        "1.net.1": "mlp.fc1",
        "1.net.3": "mlp.fc2",
    }
    for key, value in state.items():
        found = re.fullmatch(r"(.*)transformer\.layers\.(\d+)\.(\d\.\w+(?:\.\d)?)\.(weight|bias)", key)
        if found and found[3] in names:
            block = f"{found[1]}blocks.{found[2]}.{names[found[3]]}"
            own[f"{block}.{found[4]}"] = value
            if "attn" in block:
                own[f"{block}.bias"] = torch.zeros(len(value))
        else:
            own[re.sub(r"\btransformer\.norm\.", "norm.", key)] = value
    return own


def _config(
    name: str,
    own: Mapping[str, Tensor],
    heads: int | None,
    patch_size: int,
    side: int,
    source: str,
    epsilon: float = 1e-6,
) -> PublishedConfig:
    width = own["cls_token"].shape[-1]
    depth = len({key.split(".")[1] for key in own if key.startswith("blocks.")})
    heads = heads or HEADS_BY_WIDTH.get(width)
    if heads is None:
        raise WeightsError(f"{source}: width {width} is no published size; give its number of attention heads")
    return PublishedConfig(name, width, depth, heads, int(patch_size), side, epsilon)


def _side(own: Mapping[str, Tensor], source: str) -> int:
    patches = own["pos_embed"].shape[1] - 1 if "pos_embed" in own else -1
    if patches < 1 or math.isqrt(patches) ** 2 != patches:
        raise WeightsError(f"{source}: no position table of a class token and a square of patches (pos_embed)")
    return math.isqrt(patches)


def _norm_after_mean(own: dict[str, Tensor]) -> bool:
    """Whether the norm is for the mean of the tokens (``fc_norm``); renames it."""
    if "fc_norm.weight" not in own:
        return False
    for kind in ("weight", "bias"):
        own[f"norm.{kind}"] = own.pop(f"fc_norm.{kind}")
    return True


def _of_channels(sensor: Sensor | None, channels: int, source: str) -> Sensor:
    if sensor is None or len(sensor) != channels:
        given = "none was given" if sensor is None else f"{sensor.name} has {len(sensor)} bands"
        raise WeightsError(
            f"{source}: the weights have {channels} channels and do not say which; {given}: give the sensor with these "
            "bands, in their order, and the statistics they were normalised with"
        )
    return sensor


def _fetched(source: str) -> Path:
    source = HUB_FILES.get(source, source)
    if not source.startswith("hub:"):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(
                f"no weights at {path}; give a file, hub:OWNER/REPOSITORY/FILE or one of: {', '.join(HUB_FILES)}"
            )
        return path
    parts = source.removeprefix("hub:").split("/", 2)
    if len(parts) < 3:
        raise WeightsError(f"{source}: write hub:OWNER/REPOSITORY/FILE")
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{source}: this needs huggingface_hub, which is not installed; run: pip install huggingface_hub, or fetch "
            "the file yourself and give its path"
        ) from error
    return Path(hf_hub_download(f"{parts[0]}/{parts[1]}", parts[2]))


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a readable safetensors file ({error}); fetch it again") from error
    else:
        with torch.serialization.safe_globals([argparse.Namespace]):  # training scripts store their options beside
            state = read_state_dict(path)
    return state


FAMILIES = {
    "mae": Family(("decoder_", "mask_token", "head."), _mae, r"^module\."),
    "satmae": Family(("decoder_", "mask_token", "head."), _satmae, r"^module\."),
    "prithvi": Family(
        ("decoder.", "decoder_", "mask_token", "temporal_embed", "location_embed"), _prithvi, r"^(encoder\.|module\.)"
    ),
    "clay": Family((), _clay, r"^(model\.encoder\.|encoder\.|clay_encoder\.)"),
}
