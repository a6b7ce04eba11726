"""An encoder as a model of windows: the features of their patches."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.backbone import Encoder, stack_observations
from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.embedding.combining import COMBINATIONS


@dataclass(frozen=True)
class EncoderModel:
    """Windows of pixels to the features of their patches.

    Attributes:
        encoder: in evaluation mode, on the device that does the work.
        patch_size: pixels per patch side.
        precision: ``float32`` or ``bfloat16``.
        units: of the scenes, for messages.
        combine: how features of several scenes become those of one map, see `COMBINATIONS`.
    """

    encoder: Encoder
    patch_size: int
    precision: str
    units: tuple[str, ...]
    combine: str = "mean"

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
        with reduced_precision(self.device, self.precision):
            features = self.encoder(batch, self.patch_size)
        valid = features.valid.unflatten(1, features.grid).cpu().numpy()
        values = features.dense().float().cpu().numpy()
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
