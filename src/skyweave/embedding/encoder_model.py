"""An encoder as a model of windows: the features of their patches."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import pad

from skyweave.backbone import Encoder, stack_observations
from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.embedding.combining import COMBINATIONS
from skyweave.inference import FLIP_AXES


@dataclass(frozen=True)
class EncoderModel:
    """Windows of pixels to the features of their patches.

    Attributes:
        encoder: in evaluation mode, on the device that does the work.
        patch_size: pixels per patch side.
        precision: ``float32`` or ``bfloat16``.
        units: of the scenes, for messages.
        combine: how features of several scenes become those of one map, see `COMBINATIONS`.
        flips: average the features of four mirror images.
    """

    encoder: Encoder
    patch_size: int
    precision: str
    units: tuple[str, ...]
    combine: str = "mean"
    flips: bool = False

    @property
    def device(self) -> torch.device:
        """Return where the encoder is."""
        return next(self.encoder.parameters()).device

    @property
    def channels(self) -> int:
        """Return the channels of the features."""
        return self.encoder.width * (len(self.units) if self.combine == "concatenate" else 1)

    def __call__(self, windows: Sequence[tuple[Observation, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the features of windows of one size, and which patches are valid; see `WindowModel`.

        Args:
            windows: the observations of each: one, several dates, or one of each sensor.
        """
        scenes = [
            self._encode(images, unit) for images, unit in zip(zip(*windows, strict=True), self.units, strict=True)
        ]
        if len(scenes) == 1:
            values, valid = scenes[0]
        else:
            stacked = np.stack([values for values, _ in scenes]), np.stack([valid for _, valid in scenes])
            values, valid = COMBINATIONS[self.combine](*stacked)
        return list(zip(values, valid, strict=True))

    @torch.inference_mode()
    def _encode(self, images: Sequence[Observation], unit: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (windows, channels, rows, columns) features of one scene's windows, and which patches are valid."""
        batch = stack_observations(list(images)).to(self.device)
        if self.flips:
            batch = _in_whole_patches(batch, self.patch_size)
        axes = FLIP_AXES if self.flips else FLIP_AXES[:1]
        with reduced_precision(self.device, self.precision):
            mirrored = [self.encoder(_flip(batch, each), self.patch_size) for each in axes]
        valid = mirrored[0].valid.unflatten(1, mirrored[0].grid).cpu().numpy()
        maps = [features.dense().float().flip(each) for features, each in zip(mirrored, axes, strict=True)]
        values = (sum(maps[1:], maps[0]) / len(maps)).cpu().numpy()
        _check_finite(values, valid, images[0], unit)
        return values, valid

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the features, NaN where not valid; see `WindowModel`.

        Args:
            values: (channels, rows, columns) float32.
            valid: (rows, columns) bool.
        """
        values[:, ~valid] = np.nan
        return values


def _in_whole_patches(batch: SensorBatch, patch: int) -> SensorBatch:
    """Return images with pixels without data below and to the right, so that mirror images have the same patches."""
    rows, columns = batch.pixels.shape[-2:]
    margin = (0, -columns % patch, 0, -rows % patch)
    return replace(batch, pixels=pad(batch.pixels, margin), valid=pad(batch.valid, margin))


def _flip(batch: SensorBatch, axes: tuple[int, ...]) -> SensorBatch:
    return replace(batch, pixels=batch.pixels.flip(axes), valid=batch.valid.flip(axes)) if axes else batch


def _check_finite(values: np.ndarray, valid: np.ndarray, example: Observation, unit: str) -> None:
    """Refuse features that a reader of the map would take for nodata, or for numbers."""
    if not np.isfinite(values[np.broadcast_to(valid[:, None], values.shape)]).all():
        raise DataError(
            f"the model gives features that are not finite for valid pixels of {example.source}; look at its "
            f"values with `skyweave inspect {example.source}`: are they {example.sensor.name} in {unit}?"
        )


def reduced_precision(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context in which a model computes in a precision.

    Args:
        device: of the model.
        precision: ``float32`` or ``bfloat16``.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
