"""An encoder as a model of windows: the features of their patches."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.backbone import Encoder, stack_observations
from skyweave.core.errors import DataError
from skyweave.core.observation import Observation


@dataclass(frozen=True)
class EncoderModel:
    """Windows of pixels to the features of their patches.

    Attributes:
        encoder: in evaluation mode, on the device that does the work.
        patch_size: pixels per patch side.
        precision: ``float32`` or ``bfloat16``.
        unit: of the scene, for messages.
    """

    encoder: Encoder
    patch_size: int
    precision: str
    unit: str

    @property
    def device(self) -> torch.device:
        """Return where the encoder is."""
        return next(self.encoder.parameters()).device

    @property
    def channels(self) -> int:
        """Return the channels of the features."""
        return self.encoder.width

    @torch.inference_mode()
    def __call__(self, windows: Sequence[tuple[Observation, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the features of windows of one size, and which patches are valid; see `WindowModel`.

        Args:
            windows: one observation each.
        """
        batch = stack_observations([observation for (observation,) in windows]).to(self.device)
        with reduced_precision(self.device, self.precision):
            features = self.encoder(batch, self.patch_size)
        valid = features.valid.unflatten(1, features.grid).cpu().numpy()
        values = features.dense().float().cpu().numpy()
        self._check_finite(values, valid, windows[0][0])
        return list(zip(values, valid, strict=True))

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the features, NaN where not valid; see `WindowModel`.

        Args:
            values: (channels, rows, columns) float32.
            valid: (rows, columns) bool.
        """
        values[:, ~valid] = np.nan
        return values

    def _check_finite(self, values: np.ndarray, valid: np.ndarray, example: Observation) -> None:
        """Refuse features that a reader of the map would take for nodata, or for numbers."""
        if not np.isfinite(values[np.broadcast_to(valid[:, None], values.shape)]).all():
            raise DataError(
                f"the model gives features that are not finite for valid pixels of {example.source}; look at its "
                f"values with `skyweave inspect {example.source}`: are they {example.sensor.name} in {self.unit}?"
            )


def reduced_precision(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context in which a model computes in a precision.

    Args:
        device: of the model.
        precision: ``float32`` or ``bfloat16``.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
