"""A fine-tuned model with every step in tensors, head included: what ``torch.export`` and ONNX can follow."""

import torch
from torch import Tensor, nn

from skyweave.backbone import Backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.errors import ConfigError
from skyweave.core.sensors.sensor import Sensor
from skyweave.downstream.finetuning.models.encoder_features import join_features
from skyweave.downstream.finetuning.models.finetuned_model import EncoderWithHead, FinetunedModel
from skyweave.downstream.finetuning.models.unet import DEPTH
from skyweave.interop.graph import SensorGraph


class FinetunedGraph(nn.Module):
    """Pixels in the bands' units to what the task predicts, by name; the numbers are those of `FinetunedModel`.

    Normalisation, mirrored images and units of the labels are inside. An image is predicted in one pass: scenes larger
    than the model's tiles are for the reader to cut.

    Args:
        model: of Skyweave's backbone with a head, or a U-Net.
        ground_sample_distance: metres per pixel; default: the sensor's.
        nodata: pixels that are NaN are invalid and are seen by nobody.

    Raises:
        ConfigError: an encoder of others.
    """

    def __init__(
        self, model: FinetunedModel, ground_sample_distance: float | None = None, nodata: bool = False
    ) -> None:
        super().__init__()
        network = model.network
        self.model, self.sensors, self.nodata = model, model.sensors, nodata
        self.sensor = model.sensors[0]
        self.ground_sample_distance = ground_sample_distance or self.sensor.ground_sample_distance
        self.encoders = nn.ModuleList()
        self.patch_size = 2**DEPTH
        if isinstance(network, EncoderWithHead):
            if not isinstance(network.backbone, Backbone):
                raise ConfigError(
                    f"a {type(network.backbone).__name__} with a head cannot be exported: only Skyweave's own "
                    "backbones can; export the encoder with its authors' code"
                )
            self.patch_size = network.patch_size or network.backbone.patch_embed.patch_size
            for sensor in model.sensors:
                self.encoders.append(
                    SensorGraph(network.backbone, sensor, ground_sample_distance, self.patch_size, nodata=nodata)
                )

    @property
    def architecture(self) -> str:
        """Return a short name of the architecture for people."""
        task, network = self.model.task, self.model.network
        head = network.config.resolved(task) if isinstance(network, EncoderWithHead) else None
        return "U-Net" if head is None else f"ViT with the head {head}"

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the task, the sensors or any weight."""
        return self.model.fingerprint

    @property
    def inputs(self) -> list[str]:
        """Names of what ``forward`` takes: ``pixels``, the two dates, or one name a sensor."""
        if len(self.sensors) == 1:
            return ["pixels"]
        if self.model.task.num_dates > 1:
            return ["pixels_before", "pixels_after"]
        return [f"pixels_{sensor.name.replace('-', '_')}" for sensor in self.sensors]

    @property
    def outputs(self) -> list[str]:
        """Names of what ``forward`` returns, which the task gives."""
        side = 2 * self.patch_size
        empty = [torch.zeros(1, len(sensor), side, side) for sensor in self.sensors]
        with torch.no_grad():
            return list(self._named(empty))

    def forward(self, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Return what the task predicts as plain tensors, named by `outputs`.

        Args:
            pixels: (batch, bands, rows, columns) float32 of each sensor or date; rows and columns are multiples of the
                patch size.
        """
        return tuple(self._named(list(pixels)).values())

    def _named(self, pixels: list[Tensor]) -> dict[str, Tensor]:
        task = self.model.task
        flips = self.model.flips
        total: Tensor | None = None
        for axes in flips:
            outputs = task.probabilities(self._logits([image.flip(axes) if axes else image for image in pixels]))
            outputs = outputs.flip(axes) if axes and outputs.ndim == 4 else outputs
            total = outputs if total is None else total + outputs
        assert total is not None
        return task.named_outputs(total / len(flips), self.model.target_mean, self.model.target_std)

    def _logits(self, pixels: list[Tensor]) -> Tensor:
        network = self.model.network
        if not isinstance(network, EncoderWithHead):
            batches = [self._batch(image, sensor) for image, sensor in zip(pixels, self.sensors, strict=True)]
            logits: Tensor = network(batches)
            return logits
        features = [graph.encode(image) for graph, image in zip(self.encoders, pixels, strict=True)]  # type: ignore[operator]
        shape = (pixels[0].shape[-2], pixels[0].shape[-1])
        encoded = join_features(features, shape, network.config.readout, network.dates)
        return network.logits(network.head.inputs(encoded), shape)

    def _batch(self, pixels: Tensor, sensor: Sensor) -> SensorBatch:
        valid = ~pixels.isnan() if self.nodata else torch.ones_like(pixels, dtype=torch.bool)
        values = torch.where(valid, pixels, 0.0) if self.nodata else pixels
        metres = pixels.new_full((pixels.shape[0],), self.ground_sample_distance)
        return SensorBatch(values, valid, sensor, metres)
