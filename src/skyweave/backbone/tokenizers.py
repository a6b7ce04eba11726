"""From pixels to tokens: the only part that knows the sensor. Two ways behind one interface.

``PerSensorTokenizer``: one patch embedding a sensor (OFA-Net, arXiv 2401.07527).
``SpectralTokenizer``: weights conditioned on wavelength (the idea of DOFA, arXiv 2403.15356), so that a sensor never
seen in training works; radar and other non-optical bands enter by type, never by a made-up wavelength.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.band_encoder import BandEncoder, KindColumns
from skyweave.backbone.patches import downsample_pixels, edge_correction, resize_matrix
from skyweave.core.errors import DataError
from skyweave.core.sensors.sensor import Sensor


class Tokenizer(nn.Module, ABC):
    """Turn patches of normalised pixels into tokens.

    Args:
        width: channels of a token.
        patch_size: nominal pixels per patch side; other sizes are served by resampling the kernels.
    """

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.width = width
        self.patch_size = patch_size

    @abstractmethod
    def forward(self, patches: Tensor, valid: Tensor | None, sensor: Sensor) -> Tensor:
        """Return the tokens of patches.

        Args:
            patches: (batch, number, bands, p, p) normalised pixels, zero where invalid, any p.
            valid: same shape, bool; None when all are valid.
            sensor: its bands are the channels, in order.

        Returns:
            (batch, number, width).
        """

    def forward_nested(
        self, patches: Tensor, valid: Tensor | None, sensor: Sensor, size: int, head: nn.Conv2d | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens of patches, and of the smaller ones that they consist of.

        Args:
            patches: as of `forward`.
            valid: as of `forward`.
            sensor: as of `forward`.
            size: pixels per side of the smaller patches; divides p.
            head: a 1x1 convolution of the smaller patches' tokens.

        Returns:
            (batch, number, width), and (batch, number * (p / size)**2, width or channels of the head): one after the
            other for every patch, row-major inside it.
        """
        parts = split_patches(patches, size), None if valid is None else split_patches(valid, size)
        small: Tensor = self(*parts, sensor)
        if head is not None:
            small = functional.linear(small, head.weight[..., 0, 0], head.bias)
        return self(patches, valid, sensor), small

    def _resampled(self, kernel: Tensor, size: int) -> Tensor:
        """Kernel (..., nominal**2) for patches of ``size`` pixels a side: (..., size**2)."""
        if size == self.patch_size:
            return kernel
        return kernel @ resize_matrix(int(size), self.patch_size).to(kernel)


class PerSensorTokenizer(Tokenizer):
    """Embed patches by one linear map a sensor; a selection of its bands uses the matching part of the weights.

    Args:
        width: channels of a token.
        patch_size: nominal pixels per patch side.
        sensors: that have weights.
    """

    def __init__(self, width: int, patch_size: int, sensors: Sequence[Sensor]) -> None:
        super().__init__(width, patch_size)
        self.bands = {sensor.name: {band.name: i for i, band in enumerate(sensor.bands)} for sensor in sensors}
        self.proj = nn.ModuleDict({sensor.name: nn.Linear(len(sensor) * patch_size**2, width) for sensor in sensors})

    def forward(self, patches: Tensor, valid: Tensor | None, sensor: Sensor) -> Tensor:
        """Return the tokens of patches.

        Raises `DataError` for a sensor or band that has no weights.

        Args:
            patches: (batch, number, bands, p, p) normalised pixels, zero where invalid.
            valid: not used: invalid pixels count as the mean.
            sensor: its bands are the channels.
        """
        self._check_sensor(sensor)
        bands = self.bands[sensor.name]
        _check_bands(sensor, bands)
        channels = torch.tensor([bands[band.name] for band in sensor.bands], device=patches.device)
        layer = cast(nn.Linear, self.proj[sensor.name])
        kernel = layer.weight.view(self.width, len(bands), self.patch_size**2)[:, channels]
        kernel = self._resampled(kernel, patches.shape[-1])
        return functional.linear(patches.flatten(2), kernel.flatten(1), layer.bias)

    def _check_sensor(self, sensor: Sensor) -> None:
        """Check that the sensor has an embedding."""
        if sensor.name not in self.bands:
            known = ", ".join(self.bands) or "none"
            raise DataError(
                f"sensor {sensor.name!r} has no patch embedding in this model (it has: {known}); "
                "use a model with the spectral tokenizer, or pretrain with this sensor"
            )


def _check_bands(sensor: Sensor, bands: Mapping[str, int]) -> None:
    """Check that the bands have their place in the embedding."""
    if unknown := [band.name for band in sensor.bands if band.name not in bands]:
        raise DataError(f"sensor {sensor.name!r}: bands {', '.join(unknown)} are not in this model's embedding")


@dataclass(frozen=True)
class Conditioning:
    """How the weights of a spectral tokenizer are read, so that training sees all of an image and not its brightness.

    The brightness of a patch has some ten times the variance of what differs between its bands, and four times that of
    what differs between its pixels: trained as they are, the embeddings keep little else. And a kernel over thousands
    of products moves by all of them at once in a step of Adam, so its steps must be smaller than those of other
    weights. All three are changes of the weights' coordinates: what can be represented stays the same.

    Attributes:
        band_contrast: factor on what differs between the bands' responses.
        pixel_contrast: factor on what differs between the kernel's pixels.
        radar_pixel_contrast: likewise for radar, where most of what differs between pixels is speckle; a sensor with
            bands of both has the mean over its bands.
        kernel_scale: factor on the kernel; its weights are larger by as much.
    """

    band_contrast: float = 1.0
    pixel_contrast: float = 1.0
    radar_pixel_contrast: float = 1.0
    kernel_scale: float = 1.0

    def pixel_contrast_of(self, sensor: Sensor) -> float:
        """Return the factor on what differs between the kernel's pixels for a sensor.

        Args:
            sensor: any.
        """
        radar = sum(band.kind == "radar" for band in sensor.bands) / len(sensor)
        return radar * self.radar_pixel_contrast + (1 - radar) * self.pixel_contrast


class SpectralTokenizer(Tokenizer):
    """Project every pixel's spectrum on learned functions of the band, then embed patches as usual.

    For a pixel with valid bands i of values x_i, ``z = mean_i(a(band_i) x_i + g(band_i))``: a quadrature of the
    spectrum against ``mixes`` learned response functions, and a part that tells which bands there are. ``z`` and a
    non-linear function of it per pixel (ratios between bands need one) are embedded by one kernel shared by all
    sensors. Costs bands x mixes per pixel, so 224 bands are cheap, and neither depends on the order of channels.

    Args:
        width: channels of a token.
        patch_size: nominal pixels per patch side.
        mixes: number of response functions.
        kinds: further kinds of bands, as of `BandEncoder`.
        conditioning: how the weights are read; default: as they are.
    """

    gain = 2.0

    def __init__(
        self,
        width: int,
        patch_size: int,
        mixes: int = 32,
        kinds: KindColumns = (),
        conditioning: Conditioning | None = None,
    ) -> None:
        super().__init__(width, patch_size)
        self.mixes = mixes
        self.conditioning = conditioning or Conditioning()
        self.band_code = BandEncoder(2 * mixes, kinds=kinds)
        self.pixel = nn.Linear(mixes, mixes)
        self.proj = nn.Linear(2 * mixes * patch_size**2, width)

    @torch.no_grad()
    def scale_initial_kernel(self) -> None:
        """Make the kernel's weights larger by as much as reading them makes them smaller."""
        self.proj.weight.div_(self.conditioning.kernel_scale)

    def forward(self, patches: Tensor, valid: Tensor | None, sensor: Sensor) -> Tensor:
        """Return the tokens of patches.

        Args:
            patches: (batch, number, bands, p, p) normalised pixels, zero where invalid, any p.
            valid: same shape, bool; None when all are valid.
            sensor: its bands are the channels, in order.
        """
        return self._tokens(patches, valid, sensor, [(patches.shape[-1], None)])[0]

    def forward_nested(
        self, patches: Tensor, valid: Tensor | None, sensor: Sensor, size: int, head: nn.Conv2d | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the tokens of patches and of the smaller ones inside; what is made of every pixel is made once.

        Args:
            patches: as of `forward`.
            valid: as of `forward`.
            sensor: as of `forward`.
            size: pixels per side of the smaller patches.
            head: a 1x1 convolution of the smaller patches' tokens; it is multiplied into the kernel, so that fewer
                channels than a token has cost less.
        """
        whole, parts = self._tokens(patches, valid, sensor, [(patches.shape[-1], None), (size, head)])
        return whole, parts

    def _tokens(
        self, patches: Tensor, valid: Tensor | None, sensor: Sensor, parts: list[tuple[int, nn.Conv2d | None]]
    ) -> list[Tensor]:
        """Tokens at each of some patch sizes, through a convolution each."""
        response, presence = self.band_code(sensor).chunk(2, dim=-1)
        response = self.gain * _with_contrast(response, self.conditioning.band_contrast, 0)
        kernel = self.conditioning.kernel_scale * self.proj.weight.view(self.width, 2 * self.mixes, -1)
        kernel = _with_contrast(kernel, self.conditioning.pixel_contrast_of(sensor), -1)
        straight, bent = kernel.split(self.mixes, dim=1)
        bias = self.proj.bias
        spectra = patches.movedim(2, -1)
        if valid is None and len(sensor) < self.mixes:
            # Mixing is linear, so it is folded into the weights; what is the same for every pixel, into the bias.
            response, present = response / len(sensor), presence.mean(0).to(kernel.dtype)
            inner = functional.linear(spectra, self.pixel.weight @ response.T, self.pixel(present))
            bias = bias + (straight.sum(-1) * present).sum(-1)
            pixels, straight = spectra, torch.einsum("bm,wmp->wbp", response, straight)
        else:
            pixels = self._mixed(spectra, valid, response, presence)
            inner = self.pixel(pixels)
        curved = functional.gelu(inner)
        tokens = []
        for size, head in parts:
            kernels, added = _through(head, (straight, bent), bias)
            tokens.append(self._embedded(pixels, kernels[0], size, added) + self._embedded(curved, kernels[1], size))
        return tokens

    def _mixed(self, spectra: Tensor, valid: Tensor | None, response: Tensor, presence: Tensor) -> Tensor:
        """(batch, number, p, p, mixes): means over valid bands; zero for a pixel without any."""
        spectra = spectra.contiguous()  # products of strided pixels are 5 times slower
        if valid is None:
            return spectra @ (response / len(response)) + presence.mean(0)
        weight = valid.movedim(2, -1).to(spectra.dtype).contiguous()
        total = (spectra * weight) @ response + weight @ presence
        return total / weight.sum(-1, keepdim=True).clamp(min=1)

    def _embedded(self, pixels: Tensor, kernel: Tensor, size: int, bias: Tensor | None = None) -> Tensor:
        """(batch, number * (p / size)**2, width) of pixels (batch, number, p, p, channels), cut to patches of a size.

        ``kernel`` is (width, channels, nominal**2). Patches of a multiple of its size are shrunk to it, which costs
        a fraction of a product with a kernel that is stretched to theirs, and is the same. Except for training: the
        gradient of a convolution of single channels is slow on CPUs.
        """
        size = int(size)  # a symbol while a graph is exported, which is for one patch size
        pixels = _cut(pixels, size)
        factor, rest = divmod(size, self.patch_size)
        if factor > 1 and not rest and not pixels.requires_grad:
            pixels, kernel = (
                downsample_pixels(pixels, factor),
                kernel * edge_correction(factor, self.patch_size).to(kernel),
            )
        else:
            kernel = self._resampled(kernel, size)
        return functional.linear(pixels.flatten(2), kernel.transpose(1, 2).flatten(1), bias)


def _with_contrast(weights: Tensor, factor: float, axis: int) -> Tensor:
    """Multiply what differs from the mean along an axis."""
    if factor == 1.0:
        return weights
    return weights.mean(axis, keepdim=True).lerp(weights, factor)


def _through(head: nn.Conv2d | None, kernels: Sequence[Tensor], bias: Tensor) -> tuple[list[Tensor], Tensor]:
    """Kernels (width, ...) and their bias as of a 1x1 convolution behind them."""
    if head is None:
        return list(kernels), bias
    matrix = head.weight[..., 0, 0]
    joined = [torch.einsum("ow,wbp->obp", matrix, kernel) for kernel in kernels]
    return joined, functional.linear(bias, matrix, head.bias)


def split_patches(patches: Tensor, size: int) -> Tensor:
    """Cut patches into smaller ones, (batch, number * parts, channels, size, size), row-major inside a patch.

    Args:
        patches: (batch, number, channels, p, p).
        size: pixels per side of the parts; divides p.
    """
    return _cut(patches.movedim(2, -1), size).movedim(-1, 2)


def _cut(pixels: Tensor, size: int) -> Tensor:
    """(batch, number, p, p, channels) to (batch, number * parts, size, size, channels), row-major inside a patch."""
    batch, _, side, _, channels = pixels.shape
    if side == size:
        return pixels
    parts = pixels.unflatten(3, (-1, size)).unflatten(2, (-1, size)).transpose(3, 4)
    result: Tensor = parts.reshape(batch, -1, size, size, channels)
    return result
