"""A fine-tuned model: an encoder with a head (or a U-Net), and how it predicts for observations of any size."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, sensor_to_dict
from skyweave.downstream.finetuning.config import HeadConfig
from skyweave.downstream.finetuning.models.encoder_features import encode_observations
from skyweave.downstream.finetuning.models.heads import Head, HeadInputs
from skyweave.downstream.finetuning.models.unet import UNet
from skyweave.downstream.finetuning.tasks.base import Prediction, Task
from skyweave.inference import FLIP_AXES, InferenceConfig, plan_windows
from skyweave.inference.blending import BlendedStrip

DEFAULT_TILE_SIDE = 256


class EncoderWithHead(nn.Module):
    """An encoder and a head.

    Args:
        backbone: anything that maps a `SensorBatch` to `Features`.
        head: reads its maps.
        patch_size: that it is asked for; None for its own.
        config: of the head.
        dates: the two observations are two dates.
    """

    def __init__(
        self, backbone: nn.Module, head: Head, patch_size: int | None, config: HeadConfig, dates: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.patch_size, self.config, self.dates = patch_size, config, dates

    def forward(self, batches: Sequence[SensorBatch]) -> Tensor:
        """Return (batch, outputs) or (batch, outputs, rows, columns) logits.

        Args:
            batches: one an observation.
        """
        return self.logits(self.head_inputs(batches), (batches[0].pixels.shape[-2], batches[0].pixels.shape[-1]))

    def head_inputs(self, batches: Sequence[SensorBatch]) -> HeadInputs:
        """Return what the head reads: the part that is computed once where the encoder is frozen.

        Args:
            batches: one an observation.
        """
        encoded = encode_observations(self.backbone, batches, self.patch_size, self.config.readout, self.dates)
        return self.head.inputs(encoded)

    def logits(self, head_inputs: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """Return (batch, outputs) or (batch, outputs, rows, columns): the head's part.

        Args:
            head_inputs: of `head_inputs`.
            shape: (rows, columns) of the images.
        """
        logits: Tensor = self.head(head_inputs, shape)
        return logits


class FinetunedModel(nn.Module):
    """What fine-tuning makes.

    Args:
        task: what is predicted.
        network: an encoder with a head, or a U-Net.
        sensors: of the observations of a sample.
        tile: pixels per side above which dense predictions are put together from overlapping tiles.
        test_time_flips: average over four mirror images.

    Attributes:
        pixel_sizes: metres, of the observations of a sample in training; empty where that is not known.
    """

    def __init__(
        self,
        task: Task,
        network: EncoderWithHead | UNet,
        sensors: Sequence[Sensor],
        tile: int = DEFAULT_TILE_SIDE,
        test_time_flips: bool = False,
    ) -> None:
        super().__init__()
        self.task, self.network, self.sensors = task, network, tuple(sensors)
        self.tile, self.test_time_flips = tile, test_time_flips
        self.pixel_sizes: tuple[float, ...] = ()
        self.target_mean: Tensor
        self.target_std: Tensor
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    @override
    def train(self, mode: bool = True) -> Self:
        # what is frozen stays as it was trained: running statistics and dropout of a layer that does not learn
        super().train(mode)
        if mode and isinstance(self.network, EncoderWithHead):
            for module in self.network.backbone.modules():
                weights = list(module.parameters(recurse=False))
                if weights and not any(weight.requires_grad for weight in weights):
                    module.training = False
        return self

    def forward(self, batches: Sequence[SensorBatch]) -> Tensor:
        """Return (batch, outputs) or (batch, outputs, rows, columns); logits, or numbers in standardised units.

        Args:
            batches: one an observation.
        """
        logits: Tensor = self.network(batches)
        return logits

    def loss(
        self, logits: Tensor, targets: Any, class_weights: Tensor | None = None, dice_weight: float = 0.0
    ) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            logits: of `forward`.
            targets: of the task, in the units of the labels.
            class_weights: (classes,).
            dice_weight: of the Dice loss.
        """
        targets = self.task.standardise(targets, self.target_mean, self.target_std)
        return self.task.loss(logits, targets, class_weights, dice_weight)

    @torch.inference_mode()
    def predict(self, *observations: Observation) -> Prediction:
        """Predict for one place.

        Args:
            observations: one observation, two dates for change, or one of each sensor; of any size.

        Raises:
            ConfigError: other observations than the model was trained on.
        """
        self._check(observations)
        device = self.target_mean.device
        training = self.training
        self.eval()
        if self.task.is_dense and self.task.averages_outputs and max(observations[0].shape) > self.tile:
            probabilities = self._blend_tiles(observations)
        else:
            batches = [stack_observations([observation]).to(device) for observation in observations]
            probabilities = self.probabilities(batches)
        self.train(training)
        return self.decode(probabilities)[0]

    def probabilities(self, batches: Sequence[SensorBatch]) -> Tensor:
        """Return probabilities (or numbers), averaged over mirror images where the model does so.

        Args:
            batches: one an observation.
        """
        total: Tensor | None = None
        for axes in self.flips:
            outputs = self.task.probabilities(self([_flip(batch, axes) for batch in batches]))
            outputs = outputs.flip(axes) if axes and outputs.ndim == 4 else outputs
            total = outputs if total is None else total + outputs
        assert total is not None
        return total / len(self.flips)

    @property
    def flips(self) -> tuple[tuple[int, ...], ...]:
        """Return the axes of the mirror images that are averaged."""
        return FLIP_AXES if self.test_time_flips and self.task.averages_outputs else FLIP_AXES[:1]

    def decode(self, probabilities: Tensor) -> list[Prediction]:
        """Return the predictions of a batch.

        Args:
            probabilities: of `probabilities`.
        """
        return self.task.decode(probabilities, float(self.target_mean), float(self.target_std))

    def _blend_tiles(self, observations: Sequence[Observation]) -> Tensor:
        """Return probabilities of the windows that a scene is cut into, blended as those of a scene on disk are."""
        device, shape = self.target_mean.device, observations[0].shape
        _check_one_grid(observations, self.tile)
        plan = plan_windows(shape, 1, self.tile, InferenceConfig(), self.task.num_outputs)
        blended = BlendedStrip(self.task.num_outputs, (0, shape[1]), 0)
        for window in plan.windows():
            parts = [image.window(window.row, window.column, window.rows, window.columns) for image in observations]
            outputs = self.probabilities([stack_observations([part]).to(device) for part in parts])
            blended.add(window, outputs[0].float().cpu().numpy(), plan.weight(window))
        values, _ = blended.finish(shape[0])
        return torch.from_numpy(values)[None].to(device)

    def _check(self, observations: Sequence[Observation]) -> None:
        self.check_count(len(observations))
        self.check_sensors([(observation.source, observation.sensor) for observation in observations])

    def check_count(self, number: int) -> None:
        """Refuse another number of observations of a place than the model reads.

        Args:
            number: of observations.

        Raises:
            ConfigError: it is another one.
        """
        if number != len(self.sensors):
            raise ConfigError(
                f"this model of {self.task.name} reads {len(self.sensors)} observations of a place "
                f"({', '.join(sensor.name for sensor in self.sensors)}), got {number}"
            )

    def check_sensors(self, observed: Sequence[tuple[str, Sensor]]) -> None:
        """Refuse other bands than those that the model was trained on.

        Args:
            observed: source and sensor of each observation.

        Raises:
            ConfigError: names the bands.
        """
        for (source, sensor), trained in zip(observed, self.sensors, strict=True):
            bands, trained_bands = _list_bands(sensor), _list_bands(trained)
            if sensor.name != trained.name or bands != trained_bands:
                raise ConfigError(
                    f"{source}: {sensor.name} with bands {bands}, but the model was trained on "
                    f"{trained.name} with {trained_bands}; select those bands"
                )

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the task, the sensors or any weight."""
        content = [self.task.kind, self.task.classes, [sensor_to_dict(sensor) for sensor in self.sensors]]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def count_trainable(module: nn.Module) -> int:
    """Return how many numbers learn.

    Args:
        module: of which some parameters require a gradient.
    """
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _flip(batch: SensorBatch, axes: tuple[int, ...]) -> SensorBatch:
    return replace(batch, pixels=batch.pixels.flip(axes), valid=batch.valid.flip(axes)) if axes else batch


def _check_one_grid(observations: Sequence[Observation], tile: int) -> None:
    """Refuse sensors of several resolutions in a scene that is cut into windows of pixels."""
    first = observations[0]
    for other in observations[1:]:
        if other.shape != first.shape:
            raise ConfigError(
                f"{other.source} has {other.shape[0]} x {other.shape[1]} pixels, {first.source} {first.shape[0]} x "
                f"{first.shape[1]}: cut both to places of at most {tile} pixels of the first, or resample them to one "
                "grid"
            )


def _list_bands(sensor: Sensor) -> str:
    """Return the names of the bands."""
    return ", ".join(band.name for band in sensor.bands)
