"""The published families that are built in: MAE, SatMAE, Prithvi, Clay, DOFA, Galileo and Presto."""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from skyweave.backbone.pretrained.clay import Clay
from skyweave.backbone.pretrained.dofa import DOFA
from skyweave.backbone.pretrained.dofa_weights import dofa_from_state_dict
from skyweave.backbone.pretrained.family import (
    EncoderFamily,
    EncoderOptions,
    ViTFamily,
    position_table_side,
    sensor_of_channels,
    take_fc_norm,
)
from skyweave.backbone.pretrained.galileo import Galileo, galileo_from_state_dict
from skyweave.backbone.pretrained.presto import Presto, presto_from_state_dict
from skyweave.backbone.pretrained.vit import MAE, SATMAE_GROUPS, Prithvi, SatMAE
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor

IMAGENET_STATISTICS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Means and spreads of red, green and blue from 0 to 255."""
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
PRITHVI_IMAGE_PIXELS = 224
"""Side of the frames that Prithvi's table of positions is for."""
REFLECTANCE_SCALE = 10_000.0
"""SatMAE and Prithvi were trained on reflectance times this."""
CLAY_KEYS = {
    "0.norm": "norm1",
    "0.to_qkv": "attn.qkv",
    "0.to_out": "attn.proj",
    "1.net.0": "norm2",
    "1.net.1": "mlp.fc1",
    "1.net.3": "mlp.fc2",
}
"""Clay's names of a layer's parts to those of our Transformer."""


class MAEFamily(ViTFamily):
    """Masked autoencoders on images (arXiv 2111.06377), pretrained or fine-tuned."""

    title = "MAE"
    unused_prefixes = ("decoder_", "mask_token", "head.")

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether there is a patch embedding of images.

        Args:
            state: tensors by name, as the file has them.
        """
        return _patch_embedding_dims(state) == 4 and "channel_embed" not in state

    def create(self, state: dict[str, Tensor], options: EncoderOptions, source: str) -> MAE:
        """Return an encoder of the shape of its tensors; three channels are red, green and blue.

        Args:
            state: tensors by the encoder's names, changed in place.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        channels, patch_size = state["patch_embed.proj.weight"].shape[1:3]
        sensor = options.sensor
        if sensor is None and channels == 3:
            sensor = get_sensor("rgb").with_statistics(*IMAGENET_STATISTICS)
        sensor = sensor_of_channels(sensor, channels, source)
        norm_after_mean = take_fc_norm(state)
        side = position_table_side(state, source)
        return MAE(self.config(state, options.heads, patch_size, side, source), sensor, norm_after_mean)


class SatMAEFamily(ViTFamily):
    """SatMAE with groups of channels (arXiv 2207.08051)."""

    title = "SatMAE"
    unused_prefixes = ("decoder_", "mask_token", "head.")

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether groups of channels are embedded.

        Args:
            state: tensors by name, as the file has them.
        """
        return "channel_embed" in state

    def create(self, state: dict[str, Tensor], options: EncoderOptions, source: str) -> SatMAE:
        """Return an encoder of the shape of its tensors, for Sentinel-2's ten bands unless a sensor is given.

        Args:
            state: tensors by the encoder's names, changed in place.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        kernels = [state[key] for key in sorted(state) if re.fullmatch(r"patch_embed\.\d+\.proj\.weight", key)]
        counts = tuple(kernel.shape[1] for kernel in kernels)
        _check_groups(counts, source)
        sensor = options.sensor
        sensor = _published_sensor(sensor)
        sensor = sensor_of_channels(sensor, sum(counts), source)
        norm_after_mean = take_fc_norm(state)
        side = position_table_side(state, source)
        config = self.config(state, options.heads, kernels[0].shape[-1], side, source)
        channel_width = state["channel_embed"].shape[-1]
        return SatMAE(config, sensor, channel_width=channel_width, norm_after_mean=norm_after_mean)


def _check_groups(counts: tuple[int, ...], source: str) -> None:
    """Check that the channels are grouped as published."""
    if counts != tuple(len(group) for group in SATMAE_GROUPS):
        raise WeightsError(f"{source}: SatMAE with groups of {counts} channels; only the published (4, 4, 2) is known")


def _published_sensor(sensor: Sensor | None) -> Sensor:
    """Return the sensor of the published weights."""
    if sensor is None:
        means, stds = ([value / REFLECTANCE_SCALE for value in values] for values in SATMAE_STATISTICS)
        sensor = get_sensor("sentinel2-l1c").select(SATMAE_BANDS).with_statistics(means, stds)
    return sensor


class PrithviFamily(ViTFamily):
    """Prithvi-EO 1 and 2 (arXiv 2310.18660, 2412.02732) on one date."""

    title = "Prithvi"
    unused_prefixes = ("decoder.", "decoder_", "mask_token", "temporal_embed", "location_embed")
    key_prefix = r"^(encoder\.|module\.)"
    hub_files: ClassVar[Mapping[str, str]] = {
        "prithvi-eo-1.0-100m": "hub:ibm-nasa-geospatial/Prithvi-EO-1.0-100M/Prithvi_EO_V1_100M.pt",
        "prithvi-eo-2.0-300m": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-300M/Prithvi_EO_V2_300M.pt",
        "prithvi-eo-2.0-300m-tl": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-300M-TL/Prithvi_EO_V2_300M_TL.pt",
        "prithvi-eo-2.0-600m": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-600M/Prithvi_EO_V2_600M.pt",
        "prithvi-eo-2.0-600m-tl": "hub:ibm-nasa-geospatial/Prithvi-EO-2.0-600M-TL/Prithvi_EO_V2_600M_TL.pt",
    }

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether there is a patch embedding of volumes.

        Args:
            state: tensors by name, as the file has them.
        """
        return _patch_embedding_dims(state) == 5

    def create(self, state: dict[str, Tensor], options: EncoderOptions, source: str) -> Prithvi:
        """Return an encoder of the shape of its tensors, for Sentinel-2's six bands unless a sensor is given.

        Args:
            state: tensors by the encoder's names, changed in place.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        kernel = state["patch_embed.proj.weight"]
        if kernel.shape[2] != 1:
            raise WeightsError(
                f"{source}: Prithvi with patches of {kernel.shape[2]} frames; only single frames are known"
            )
        state["patch_embed.proj.weight"] = kernel.squeeze(2)
        patch_size, table = kernel.shape[-1], state.pop("pos_embed")  # fixed: made here for one frame
        side = PRITHVI_IMAGE_PIXELS // patch_size
        frames, rest = divmod(table.shape[1] - 1, side**2)
        if rest:
            raise WeightsError(f"{source}: a position table of {table.shape[1]} rows is not for frames of 224 pixels")
        sensor = options.sensor
        sensor = _prithvi_sensor(sensor, frames)
        sensor = sensor_of_channels(sensor, kernel.shape[1], source)
        return Prithvi(self.config(state, options.heads, patch_size, side, source, epsilon=1e-5), sensor)


def _prithvi_sensor(sensor: Sensor | None, frames: int) -> Sensor:
    """Return the sensor of the version that has that number of frames, where none is given."""
    if sensor is None:
        version = 1 if frames == 3 else 2  # version 1 was trained on three dates, version 2 on four
        means, stds = ([value / REFLECTANCE_SCALE for value in values] for values in PRITHVI_STATISTICS[version])
        sensor = get_sensor("sentinel2-l2a").select(PRITHVI_BANDS).with_statistics(means, stds)
    return sensor


class ClayFamily(ViTFamily):
    """Clay 1 and 1.5 (clay-foundation.github.io)."""

    title = "Clay"
    key_prefix = r"^(model\.encoder\.|encoder\.|clay_encoder\.)"
    hub_files: ClassVar[Mapping[str, str]] = {
        "clay-v1": "hub:made-with-clay/Clay-legacy/v1/clay-v1-base.ckpt",
        "clay-v1.5": "hub:made-with-clay/Clay/v1.5/clay-v1.5.ckpt",
    }

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether kernels are generated from wavelengths under Clay's name.

        Args:
            state: tensors by name, as the file has them.
        """
        return any(key.endswith("patch_embedding.weight_generator.fc_weight.weight") for key in state)

    def is_unused(self, key: str) -> bool:
        """Return whether a key is outside of the encoder: teacher and decoder.

        Args:
            key: as the file has it.
        """
        return not re.match(self.key_prefix, key)

    def rename(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return tensors in the names of our Transformer, with zeros for the biases that Clay's attention lacks.

        Args:
            state: tensors by the names of the file.
        """
        renamed: dict[str, Tensor] = {}
        for key, value in state.items():
            match = re.fullmatch(r"(.*)transformer\.layers\.(\d+)\.(\d\.\w+(?:\.\d)?)\.(weight|bias)", key)
            if match and match[3] in CLAY_KEYS:
                part = f"{match[1]}blocks.{match[2]}.{CLAY_KEYS[match[3]]}"
                renamed[f"{part}.{match[4]}"] = value
                if "attn" in part:
                    renamed[f"{part}.bias"] = torch.zeros(len(value))
            else:
                renamed[re.sub(r"\btransformer\.norm\.", "norm.", key)] = value
        return renamed

    def create(self, state: dict[str, Tensor], options: EncoderOptions, source: str) -> Clay:
        """Return an encoder of the shape of its tensors.

        Args:
            state: tensors by the encoder's names, changed in place.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        width = state["cls_token"].shape[-1]
        patch_size = math.isqrt(len(state["patch_embedding.weight_generator.fc_weight.weight"]) // width)
        return Clay(self.config(state, options.heads, patch_size, 0, source, epsilon=1e-5))


class DOFAFamily(EncoderFamily):
    """DOFA 1 and 2 (arXiv 2403.15356)."""

    title = "DOFA"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether kernels are generated from wavelengths under DOFA's name.

        Args:
            state: tensors by name, as the file has them.
        """
        return "patch_embed.weight_generator.fc_weight.weight" in state

    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> DOFA:
        """Return an encoder with these weights, in evaluation mode.

        Args:
            state: tensors by name, as the file has them.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        return dofa_from_state_dict(state, options.radar_wavelength, source)


class GalileoFamily(EncoderFamily):
    """Galileo (arXiv 2502.09356) on one date."""

    title = "Galileo"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether groups of bands in space and time are embedded.

        Args:
            state: tensors by name, as the file has them.
        """
        return "space_time_embed.S1.proj.weight" in state

    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> Galileo:
        """Return an encoder with these weights, in evaluation mode.

        Args:
            state: tensors by name, as the file has them.
            options: not used.
            source: of the tensors, for messages.
        """
        return galileo_from_state_dict(dict(state), source)


class PrestoFamily(EncoderFamily):
    """Presto (arXiv 2304.14065) on one date."""

    title = "Presto"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether the bands of pixels are embedded.

        Args:
            state: tensors by name, as the file has them.
        """
        return "encoder.eo_patch_embed.S1.weight" in state

    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> Presto:
        """Return an encoder with these weights, in evaluation mode.

        Args:
            state: tensors by name, as the file has them.
            options: not used.
            source: of the tensors, for messages.
        """
        return presto_from_state_dict(dict(state), source)


def _patch_embedding_dims(state: Mapping[str, Tensor]) -> int:
    """Return the dimensions of the kernel of the first patch embedding; 0: there is none."""
    return next((value.ndim for key, value in state.items() if key.endswith("patch_embed.proj.weight")), 0)
