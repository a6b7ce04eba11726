"""A fine-tuned model as a model of windows: the probabilities of their pixels, or of the whole window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from skyweave.backbone import stack_observations
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.inference.raster_output import RasterOutput


@dataclass(frozen=True)
class FinetunedWindowModel:
    """Windows of pixels to what the task may average over windows.

    Attributes:
        model: in evaluation mode, on the device that does the work.
        output: what is stored.
        precision: ``float32`` or ``bfloat16``.
    """

    model: FinetunedModel
    output: RasterOutput
    precision: str

    @property
    def channels(self) -> int:
        """Return the outputs of the task."""
        return self.model.task.num_outputs

    def __call__(self, windows: Sequence[tuple[Observation, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return probabilities, or the numbers that the task has instead, and where they count; see `WindowModel`.

        Args:
            windows: the observations of each: one, two dates, or one of each sensor.
        """
        outputs = compute_outputs(self.model, windows, self.precision)
        valid = [find_valid(self.model, observations) for observations in windows]
        if self.model.task.is_dense:
            return list(zip(outputs, valid, strict=True))
        return list(zip(outputs[..., None, None], (np.array([[mask.any()]]) for mask in valid), strict=True))

    def finish(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return what is stored; see `WindowModel`.

        Args:
            values: (outputs, rows, columns) float32.
            valid: (rows, columns) bool.
        """
        return self.output.finish(values, valid)


@torch.inference_mode()
def compute_outputs(model: FinetunedModel, windows: Sequence[tuple[Observation, ...]], precision: str) -> np.ndarray:
    """Return (windows, outputs) or (windows, outputs, rows, columns) float32: what `FinetunedModel.decode` takes.

    Args:
        model: in evaluation mode.
        windows: of one size, the observations of each.
        precision: ``float32`` or ``bfloat16``.
    """
    device = model.target_mean.device
    batches = [stack_observations(list(images)).to(device) for images in zip(*windows, strict=True)]
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        outputs = model.probabilities(batches)
    result: np.ndarray = outputs.float().cpu().numpy()
    return result


def find_valid(model: FinetunedModel, observations: Sequence[Observation]) -> np.ndarray:
    """Return the pixels that a prediction counts at: valid at every date, or seen by any of several sensors.

    Args:
        model: says whether observations are dates.
        observations: of one window.
    """
    valid = np.stack([observation.valid.any(axis=0) for observation in observations])
    count = np.count_nonzero(valid, axis=0)
    needed = len(observations) if model.task.num_dates > 1 else 1
    return np.asarray(count >= needed)
