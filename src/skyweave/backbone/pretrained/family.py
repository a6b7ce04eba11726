"""A family of published encoders: how its files are recognised and read."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skyweave.backbone.encoder import Encoder
from skyweave.backbone.pretrained.load_report import LoadReport
from skyweave.backbone.pretrained.vision_transformer import PublishedConfig, PublishedEncoder
from skyweave.backbone.state_dict import load_strictly
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.sensor import Sensor

HEADS_BY_WIDTH = {192: 3, 256: 4, 384: 6, 768: 12, 1024: 16, 1280: 16}
"""Attention heads of the published sizes: tensors do not tell."""


@dataclass(frozen=True)
class EncoderOptions:
    """What the tensors of a file do not say.

    Attributes:
        sensor: what the channels of the weights are and how they were normalised; None: as published.
        heads: attention heads; None: of the published sizes, by width.
        radar_wavelength: of `DOFA`, see there.
    """

    sensor: Sensor | None = None
    heads: int | None = None
    radar_wavelength: float | None = None


class EncoderFamily(ABC):
    """Encoders of one kind. Another package adds a family through an entry point in ``skyweave.encoders``.

    Attributes:
        title: for messages.
        hub_files: ``hub:OWNER/REPOSITORY/FILE`` by the name under which commands take it.
    """

    title: ClassVar[str]
    hub_files: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are of this family.

        Args:
            state: tensors by name, as the file has them.
        """

    @abstractmethod
    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> Encoder:
        """Return an encoder with these weights, in evaluation mode.

        Args:
            state: tensors by name, as the file has them.
            options: what they do not say.
            source: of the tensors, for messages.

        Raises:
            WeightsError: keys or shapes do not fit; the message names them.
        """

    def build_default(self, options: EncoderOptions) -> Encoder:
        """Return an encoder for the name of the family alone, where it needs no file.

        Args:
            options: what the name does not say.

        Raises:
            WeightsError: the family needs a file.
        """
        raise WeightsError(
            f"{self.title} needs weights: give a file, hub:OWNER/REPOSITORY/FILE"
            + (f" or one of: {', '.join(self.hub_files)}" if self.hub_files else "")
        )


class ViTFamily(EncoderFamily):
    """Families whose encoder is a `PublishedEncoder`: every key is used, known to be unused, or an error.

    Attributes:
        unused_prefixes: beginnings of keys that the encoder does without.
        key_prefix: pattern of what stands before the encoder's keys.
    """

    unused_prefixes: ClassVar[tuple[str, ...]] = ()
    key_prefix: ClassVar[str] = r"^module\."

    @abstractmethod
    def create(self, state: dict[str, Tensor], options: EncoderOptions, source: str) -> PublishedEncoder:
        """Return an encoder of the shape of its tensors, and change tensors that it stores otherwise.

        Args:
            state: tensors by the encoder's names, changed in place.
            options: what they do not say.
            source: of the tensors, for messages.
        """

    def rename(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return tensors in the names of our Transformer.

        Args:
            state: tensors by the names of the file.
        """
        return state

    def is_unused(self, key: str) -> bool:
        """Return whether the encoder does without a key.

        Args:
            key: as the file has it.
        """
        return re.sub(self.key_prefix, "", key).startswith(self.unused_prefixes)

    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> PublishedEncoder:
        """Return an encoder with these weights, in evaluation mode; `LoadReport` says what was left out.

        Args:
            state: tensors by name, as the file has them.
            options: what they do not say.
            source: of the tensors, for messages.
        """
        used, dropped = self._split(self.rename(state))
        self._check_keys(used, source)
        model = self.create(used, options, source)
        defaulted = tuple(key for key in model.state_dict() if key == "channel_cls_embed" and key not in used)
        used |= {key: torch.zeros_like(model.state_dict()[key]) for key in defaulted}  # as SatMAE's pretraining has it
        load_strictly(model, used, source)
        model.loaded = LoadReport(dropped, defaulted)
        return model.eval()

    def _check_keys(self, used: dict[str, Tensor], source: str) -> None:
        """Check that the weights have what every encoder has."""
        if missing := [key for key in ("cls_token", "blocks.0.norm1.weight") if key not in used]:
            raise WeightsError(f"{source}: looks like {self.title}, but has no {' and no '.join(missing)}")

    def _split(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Return tensors by the encoder's names, and the keys that it does without."""
        dropped = tuple(key for key in state if self.is_unused(key))
        kept = {key: value for key, value in state.items() if key not in dropped}
        return {re.sub(self.key_prefix, "", key): value.float() for key, value in kept.items()}, dropped

    def config(
        self,
        state: Mapping[str, Tensor],
        heads: int | None,
        patch_size: int,
        side: int,
        source: str,
        epsilon: float = 1e-6,
    ) -> PublishedConfig:
        """Return the shape of an encoder from its tensors.

        Args:
            state: tensors by the encoder's names.
            heads: attention heads; None: of the published sizes.
            patch_size: pixels per patch side.
            side: patches per side of its position table.
            source: of the tensors, for messages.
            epsilon: of the layer norms.

        Raises:
            WeightsError: heads are not given for a width that was not published.
        """
        width = state["cls_token"].shape[-1]
        depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
        heads = heads or HEADS_BY_WIDTH.get(width)
        if heads is None:
            raise WeightsError(f"{source}: width {width} is no published size; give its number of attention heads")
        return PublishedConfig(self.title, width, depth, heads, int(patch_size), side, epsilon)


def position_table_side(state: Mapping[str, Tensor], source: str) -> int:
    """Return the patches per side of a table of positions for a class token and a square of patches.

    Args:
        state: tensors by the encoder's names.
        source: of the tensors, for messages.

    Raises:
        WeightsError: there is no such table.
    """
    patches = state["pos_embed"].shape[1] - 1 if "pos_embed" in state else -1
    if patches < 1 or math.isqrt(patches) ** 2 != patches:
        raise WeightsError(f"{source}: no position table of a class token and a square of patches (pos_embed)")
    return math.isqrt(patches)


def take_fc_norm(state: dict[str, Tensor]) -> bool:
    """Return whether the norm is for the mean of the tokens (``fc_norm``), and rename it to ``norm``.

    Args:
        state: tensors by the encoder's names, changed in place.
    """
    if "fc_norm.weight" not in state:
        return False
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = state.pop(f"fc_norm.{kind}")
    return True


def sensor_of_channels(sensor: Sensor | None, channels: int, source: str) -> Sensor:
    """Return the sensor of the weights' channels.

    Args:
        sensor: as given or published.
        channels: of the weights.
        source: of the weights, for messages.

    Raises:
        WeightsError: none is given, or one with another number of bands.
    """
    if sensor is None or len(sensor) != channels:
        given = "none was given" if sensor is None else f"{sensor.name} has {len(sensor)} bands"
        raise WeightsError(
            f"{source}: the weights have {channels} channels and do not say which; {given}: give the sensor with these "
            "bands, in their order, and the statistics they were normalised with"
        )
    return sensor
