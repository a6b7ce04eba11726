"""Regression: one number a pixel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.downstream.finetuning.tasks.class_weights import ClassWeighting
from skyweave.downstream.finetuning.tasks.drawing import grey_values
from skyweave.downstream.finetuning.tasks.losses import masked_squared_error
from skyweave.downstream.labels.kinds.masks import ValueMask
from skyweave.downstream.labels.sample import Label, LabelledSample
from skyweave.inference.raster_output import RasterOutput, value_output


class Regression(Task):
    """Predicts one number for each pixel: squared error of standardised values."""

    kind = "regression"
    label_kind = ValueMask()
    main_metric = "r2"
    is_dense = True
    min_classes = 0

    @override
    @property
    def num_outputs(self) -> int:
        # 1, the value of a pixel
        return 1

    @override
    def class_weights(self, samples: Sequence[LabelledSample], weighting: ClassWeighting) -> Tensor | None:
        # none, for there are no classes
        return None

    @override
    def target_statistics(self, samples: Sequence[LabelledSample]) -> tuple[float, float]:
        # mean and standard deviation of all pixels with a value
        values = np.concatenate([np.asarray(sample.label, np.float64)[np.isfinite(sample.label)] for sample in samples])
        if not len(values):
            raise DataError(f"{self.name}: no training pixel has a value; check the masks")
        return float(values.mean()), max(float(values.std()), 1e-6)

    @override
    def standardise(self, targets: Any, mean: Tensor, std: Tensor) -> Any:
        # targets with mean 0 and standard deviation 1
        return (targets - mean) / std

    @override
    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        # compute the mean squared error
        return masked_squared_error(logits.float()[:, 0], targets)

    @override
    def named_outputs(self, probabilities: Tensor, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
        # values in the units of the labels
        return {"values": probabilities[:, 0] * std + mean}

    @override
    def raster_outputs(self, mean: float, std: float) -> list[RasterOutput]:
        # values in the units of the labels
        return [value_output(self.name, mean, std)]

    @override
    def decode(self, probabilities: Tensor, mean: float = 0.0, std: float = 1.0) -> list[Prediction]:
        # values in the units of the labels
        return [
            Prediction((values[0] * std + mean).astype(np.float32)) for values in probabilities.float().cpu().numpy()
        ]

    @override
    def scores(self, predictions: Sequence[Prediction], samples: Sequence[LabelledSample]) -> dict[str, float]:
        # R2, and mean absolute and root mean squared error
        from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error, r2_score

        predicted_values, true_values = [], []
        for prediction, sample in zip(predictions, samples, strict=True):
            known = np.isfinite(np.asarray(sample.label))
            predicted_values.append(prediction.label[known])
            true_values.append(np.asarray(sample.label)[known])
        predicted = torch.from_numpy(np.concatenate(predicted_values).astype(np.float64))
        truth = torch.from_numpy(np.concatenate(true_values).astype(np.float64))
        if len(truth) < 2:
            raise DataError(f"{len(truth)} pixels to score have a value, two or more are needed; check the masks")
        return {
            "r2": float(r2_score(predicted, truth)),
            "mae": float(mean_absolute_error(predicted, truth)),
            "rmse": float(mean_squared_error(predicted, truth, squared=False)),
        }

    @override
    def draw(self, observation: Observation, label: Label, reference: Label) -> tuple[np.ndarray, str]:
        # the values in grey, in the range of the true ones
        return grey_values(np.asarray(label), np.asarray(reference))
