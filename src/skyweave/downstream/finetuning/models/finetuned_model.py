"""A backbone with a head (or a U-Net), and how it answers for observations of any size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.errors import ConfigError
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.downstream.finetuning.config import HeadConfig, RecipeConfig
from skyweave.downstream.finetuning.models.dense_heads import LinearDense, Pyramid, UPerNet
from skyweave.downstream.finetuning.models.encoder_features import encode_observations
from skyweave.downstream.finetuning.models.heads import AttentivePooled, Head, HeadInputs, LinearPooled
from skyweave.downstream.finetuning.models.unet import UNet
from skyweave.downstream.finetuning.tasks import Prediction, decode_predictions, is_dense, num_outputs, probabilities
from skyweave.downstream.labels.labelled_data import Task

FLIP_AXES: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-1, -2))
"""Axes to flip, of the four mirror images."""


class FinetunedModel(nn.Module):
    """What adaptation makes.

    Args:
        task: what is predicted.
        network: a `EncoderWithHead` backbone, or a `UNet`.
        sensors: of the observations of a sample.
        tile: pixels per side above which dense answers are put together from overlapping tiles.
        test_time_flips: average over four mirror images.
    """

    def __init__(
        self,
        task: Task,
        network: "EncoderWithHead | UNet",
        sensors: Sequence[Sensor],
        tile: int = 256,
        test_time_flips: bool = False,
    ) -> None:
        super().__init__()
        self.task, self.network, self.sensors = task, network, tuple(sensors)
        self.tile, self.test_time_flips = tile, test_time_flips
        self.target_mean: Tensor
        self.target_std: Tensor
        self.register_buffer("target_mean", torch.zeros(()))
        self.register_buffer("target_std", torch.ones(()))

    def forward(self, batches: Sequence[SensorBatch]) -> Tensor:
        """(batch, outputs) or (batch, outputs, rows, columns); logits, or numbers in standardised units."""
        answer: Tensor = self.network(batches)
        return answer

    @torch.inference_mode()
    def predict(self, *observations: Observation) -> Prediction:
        """The answer for one place: one observation, two dates for change, or one of each sensor.

        Raises:
            ValueError: other observations than the model was trained on.
        """
        self._check(observations)
        device = self.target_mean.device
        training = self.training
        self.eval()
        rows, columns = observations[0].shape
        tiled = is_dense(self.task) and self.task.kind != "detection" and max(rows, columns) > self.tile
        if tiled:
            answer = self._tiled(observations)
        else:
            answer = self.likelihoods([stack_observations([own]).to(device) for own in observations])
        self.train(training)
        return self.predictions(answer)[0]

    def likelihoods(self, batches: Sequence[SensorBatch]) -> Tensor:
        """Probabilities (or numbers), averaged over mirror images where the model does so."""
        mirrors = FLIP_AXES if self.test_time_flips and self.task.kind != "detection" else FLIP_AXES[:1]
        total: Tensor | None = None
        for axes in mirrors:
            answer = probabilities(self.task, self([_mirrored(batch, axes) for batch in batches]))
            answer = answer.flip(axes) if axes and answer.ndim == 4 else answer
            total = answer if total is None else total + answer
        assert total is not None
        return total / len(mirrors)

    def predictions(self, answer: Tensor) -> list[Prediction]:
        """A batch of `probabilities` as predictions."""
        return decode_predictions(self.task, answer, float(self.target_mean), float(self.target_std))

    def _tiled(self, observations: Sequence[Observation]) -> Tensor:
        """Overlapping tiles, blended with weights that fall towards their edges."""
        device = self.target_mean.device
        rows, columns = observations[0].shape
        total = torch.zeros(1, num_outputs(self.task), rows, columns, device=device)
        weight = torch.zeros(rows, columns, device=device)
        for top in _starts(rows, self.tile):
            for left in _starts(columns, self.tile):
                height, width = min(self.tile, rows), min(self.tile, columns)
                parts = [own.window(top, left, height, width) for own in observations]
                answer = self.likelihoods([stack_observations([part]).to(device) for part in parts])
                hat = (_hat(height)[:, None] * _hat(width)[None]).to(device)
                total[..., top : top + height, left : left + width] += answer * hat
                weight[top : top + height, left : left + width] += hat
        return total / weight

    def _check(self, observations: Sequence[Observation]) -> None:
        if len(observations) != len(self.sensors):
            raise ConfigError(
                f"this model of {self.task.name} reads {len(self.sensors)} observations of a place "
                f"({', '.join(sensor.name for sensor in self.sensors)}), got {len(observations)}"
            )
        for own, sensor in zip(observations, self.sensors, strict=True):
            names = [band.name for band in own.sensor.bands], [band.name for band in sensor.bands]
            if own.sensor.name != sensor.name or names[0] != names[1]:
                raise ConfigError(
                    f"{own.source}: {own.sensor.name} with bands {', '.join(names[0])}, but the model was trained on "
                    f"{sensor.name} with {', '.join(names[1])}; select those bands"
                )


class EncoderWithHead(nn.Module):
    """A backbone and a head.

    Args:
        backbone: anything that maps a `SensorBatch` to `Features`.
        head: reads its maps.
        patch_size: that it is asked for; None for its own.
        dates: the two observations are two dates.
    """

    def __init__(
        self, backbone: nn.Module, head: Head, patch_size: int | None, config: HeadConfig, dates: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.patch_size, self.config, self.dates = patch_size, config, dates

    def forward(self, batches: Sequence[SensorBatch]) -> Tensor:
        """See `FinetunedModel`."""
        return self.answer(self.gather(batches), (batches[0].pixels.shape[-2], batches[0].pixels.shape[-1]))

    def gather(self, batches: Sequence[SensorBatch]) -> HeadInputs:
        """What the head needs: the part that is computed once where the backbone is frozen."""
        encoded = encode_observations(self.backbone, batches, self.patch_size, self.config.readout, self.dates)
        return self.head.gather(encoded)

    def answer(self, gathered: HeadInputs, shape: tuple[int, int]) -> Tensor:
        """The head's part."""
        answer: Tensor = self.head(gathered, shape)
        return answer


@dataclass(frozen=True)
class FeatureShape:
    """What a head must fit: channels of a map, number of maps, pixels per patch side."""

    channels: int
    levels: int
    patch: int


def build_model(
    task: Task, backbone: nn.Module | None, sensors: Sequence[Sensor], recipe: RecipeConfig, seed: int, tile: int = 256
) -> FinetunedModel:
    """A model with a random head on the given backbone (which is not copied), or a U-Net where there is none.

    Raises:
        ValueError: a head that cannot serve the task.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: EncoderWithHead | UNet
        if backbone is None:
            network = UNet(sensors, num_outputs(task), is_dense(task), recipe.method.channels)
        else:
            shape = measure_features(backbone, sensors, recipe, task)
            head = build_head(recipe.head, task, shape)
            network = EncoderWithHead(backbone, head, recipe.patch_size, recipe.head, task.kind == "change")
    return FinetunedModel(task, network, sensors, tile, recipe.training.test_time_flips)


def build_head(config: HeadConfig, task: Task, shape: FeatureShape) -> Head:
    """A random head. Raises ``ValueError`` where it cannot serve the task."""
    kind, outputs = config.resolved(task), num_outputs(task)
    if kind == "attentive":
        return AttentivePooled(shape.channels * shape.levels, outputs, config.channels)
    if kind == "linear" and not is_dense(task):
        return LinearPooled(shape.channels * shape.levels, outputs)
    if kind == "linear":
        return LinearDense(shape.channels, shape.levels, shape.patch, outputs)
    head = Pyramid if kind == "pyramid" else UPerNet
    return head(shape.channels, shape.levels, shape.patch, outputs, config.channels)


@torch.no_grad()
def measure_features(backbone: nn.Module, sensors: Sequence[Sensor], recipe: RecipeConfig, task: Task) -> FeatureShape:
    """What the backbone gives, found by asking: encoders by others need no further interface."""
    device = next(backbone.parameters()).device
    side = 2 * (recipe.patch_size or 16)
    empty = [
        Observation.from_pixels(np.broadcast_to(sensor.means[:, None, None], (len(sensor), side, side)), sensor)
        for sensor in sensors
    ]
    batches = [stack_observations([own]).to(device) for own in empty]
    encoded = encode_observations(backbone, batches, recipe.patch_size, recipe.head.readout, task.kind == "change")
    return FeatureShape(encoded.maps[0].shape[1], len(encoded.maps), encoded.patch)


def count_trainable(module: nn.Module) -> int:
    """How many numbers learn."""
    return _count(own for own in module.parameters() if own.requires_grad)


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(own.numel() for own in parameters)


def _mirrored(batch: SensorBatch, axes: tuple[int, ...]) -> SensorBatch:
    return replace(batch, pixels=batch.pixels.flip(axes), valid=batch.valid.flip(axes)) if axes else batch


def _starts(length: int, tile: int) -> list[int]:
    """Upper edges of tiles that overlap by a quarter or more and end with the image."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // max(1, 3 * tile // 4)) + 1
    return [round(start) for start in np.linspace(0, length - tile, count)]


def _hat(length: int) -> Tensor:
    """(length,) from almost 0 at the edges to 1 in the middle."""
    place = torch.arange(length) + 0.5
    return (torch.minimum(place, length - place) / (length / 4)).clamp(0.02, 1.0)
