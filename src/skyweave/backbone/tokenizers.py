"""From pixels to tokens: the only part that knows the sensor. Two ways behind one interface.

``PerSensorTokenizer``: one patch embedding a sensor (OFA-Net, arXiv 2401.07527).
``SpectralTokenizer``: weights conditioned on wavelength (the idea of DOFA, arXiv 2403.15356), so that a sensor never
seen in training works; radar and other non-optical bands enter by type, never by a made-up wavelength.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.band_code import BandCode
from skyweave.backbone.patches import resize_matrix
from skyweave.sensors.sensor import Sensor


class Tokenizer(nn.Module, ABC):
    """Turns patches of normalised pixels into tokens.

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
        """Tokens of patches.

        Args:
            patches: (batch, number, bands, p, p) normalised pixels, zero where invalid, any p.
            valid: same shape, bool; None when all are valid.
            sensor: its bands are the channels, in order.

        Returns:
            (batch, number, width).
        """

    def nested(self, patches: Tensor, valid: Tensor | None, sensor: Sensor, size: int) -> tuple[Tensor, Tensor]:
        """Tokens of patches, and of the smaller ones that they consist of.

        Args:
            patches: as of ``forward``; so are ``valid`` and ``sensor``.
            size: pixels per side of the smaller patches; divides p.

        Returns:
            (batch, number, width), and (batch, number * (p / size)**2, width): one after the other for every patch,
            row-major inside it.
        """
        parts = cut(patches, size), None if valid is None else cut(valid, size)
        return self(patches, valid, sensor), self(*parts, sensor)

    def _resampled(self, kernel: Tensor, size: int) -> Tensor:
        """Kernel (..., nominal**2) for patches of ``size`` pixels a side: (..., size**2)."""
        if size == self.patch_size:
            return kernel
        return kernel @ resize_matrix(int(size), self.patch_size).to(kernel)


class PerSensorTokenizer(Tokenizer):
    """One linear patch embedding a sensor; a sub-selection of its bands uses the matching part of the weights."""

    def __init__(self, width: int, patch_size: int, sensors: Sequence[Sensor]) -> None:
        super().__init__(width, patch_size)
        self.bands = {sensor.name: {band.name: i for i, band in enumerate(sensor.bands)} for sensor in sensors}
        self.proj = nn.ModuleDict({sensor.name: nn.Linear(len(sensor) * patch_size**2, width) for sensor in sensors})

    def forward(self, patches: Tensor, valid: Tensor | None, sensor: Sensor) -> Tensor:
        """See ``Tokenizer``. Raises ``ValueError`` for a sensor or band that has no weights."""
        if sensor.name not in self.bands:
            known = ", ".join(self.bands) or "none"
            raise ValueError(
                f"sensor {sensor.name!r} has no patch embedding in this model (it has: {known}); "
                "use a model with the spectral tokenizer, or pretrain with this sensor"
            )
        bands = self.bands[sensor.name]
        if unknown := [band.name for band in sensor.bands if band.name not in bands]:
            raise ValueError(f"sensor {sensor.name!r}: bands {', '.join(unknown)} are not in this model's embedding")
        channels = torch.tensor([bands[band.name] for band in sensor.bands], device=patches.device)
        layer = cast(nn.Linear, self.proj[sensor.name])
        kernel = layer.weight.view(self.width, len(bands), self.patch_size**2)[:, channels]
        kernel = self._resampled(kernel, patches.shape[-1])
        return functional.linear(patches.flatten(2), kernel.flatten(1), layer.bias)


class SpectralTokenizer(Tokenizer):
    """Every pixel's spectrum is projected on learned functions of the band, then patches are embedded as usual.

    For a pixel with valid bands i of values x_i, ``z = mean_i(a(band_i) x_i + g(band_i))``: a quadrature of the
    spectrum against ``mixes`` learned response functions, and a part that tells which bands there are. ``z`` and a
    non-linear function of it per pixel (ratios between bands need one) are embedded by one kernel shared by all
    sensors. Costs bands x mixes per pixel, so 224 bands are cheap, and neither depends on the order of channels.

    Args:
        mixes: number of response functions.
    """

    gain = 2.0

    def __init__(self, width: int, patch_size: int, mixes: int = 32) -> None:
        super().__init__(width, patch_size)
        self.mixes = mixes
        self.band_code = BandCode(outputs=2 * mixes)
        self.pixel = nn.Linear(mixes, mixes)
        self.proj = nn.Linear(2 * mixes * patch_size**2, width)

    def forward(self, patches: Tensor, valid: Tensor | None, sensor: Sensor) -> Tensor:
        """See ``Tokenizer``."""
        return self._tokens(patches, valid, sensor, [patches.shape[-1]])[0]

    def nested(self, patches: Tensor, valid: Tensor | None, sensor: Sensor, size: int) -> tuple[Tensor, Tensor]:
        """See ``Tokenizer``; what is made of every pixel is made once."""
        whole, parts = self._tokens(patches, valid, sensor, [patches.shape[-1], size])
        return whole, parts

    def _tokens(self, patches: Tensor, valid: Tensor | None, sensor: Sensor, sizes: list[int]) -> list[Tensor]:
        """Tokens at each of some patch sizes, of which the last is the smallest."""
        response, presence = self.band_code(sensor).chunk(2, dim=-1)
        response = self.gain * response
        patches, valid = cut(patches, sizes[-1]), None if valid is None else cut(valid, sizes[-1])
        kernel = self.proj.weight.view(self.width, 2 * self.mixes, self.patch_size**2)
        kernels = [
            cut(self._resampled(kernel, size).unflatten(-1, (size, size)).unsqueeze(1), sizes[-1]) for size in sizes
        ]
        pairs = [kernel.flatten(3).split(self.mixes, dim=2) for kernel in kernels]
        if valid is None:
            return self._complete(patches, response / len(sensor), presence.mean(0), pairs)
        mixed = self._mix(patches, valid, response, presence)
        curved = functional.gelu(self.pixel(mixed))
        return [
            _embed(mixed, straight.transpose(2, 3), self.proj.bias) + _embed(curved, bent.transpose(2, 3))
            for straight, bent in pairs
        ]

    def _complete(
        self, patches: Tensor, response: Tensor, presence: Tensor, pairs: list[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """Tokens where every pixel is valid: ``mixed`` is linear, so its part of the kernel is folded into one for the
        bands, and pixels x mixes is made for the non-linear part only.
        """
        spectra = patches.flatten(3).transpose(2, 3).contiguous()  # products of strided pixels are 5 times slower
        inner = functional.linear(
            spectra, self.pixel.weight @ response.T, functional.linear(presence, self.pixel.weight, self.pixel.bias)
        )
        curved = functional.gelu(inner)
        tokens = []
        for straight, bent in pairs:
            constant = self.proj.bias + straight.sum((1, 3)) @ presence
            if len(response) <= self.mixes:
                linear = _embed(patches, torch.einsum("bm,wnmp->wnbp", response, straight), constant)
            else:  # more bands than functions: mixing first is cheaper
                linear = _embed(spectra @ response, straight.transpose(2, 3), constant)
            tokens.append(linear + _embed(curved, bent.transpose(2, 3)))
        return tokens

    def _mix(self, patches: Tensor, valid: Tensor, response: Tensor, presence: Tensor) -> Tensor:
        """(batch, number, pixels, mixes): means over valid bands; zero for a pixel without any."""
        spectra = patches.flatten(3).transpose(2, 3).contiguous()
        weight = valid.flatten(3).transpose(2, 3).to(spectra.dtype).contiguous()
        total = (spectra * weight) @ response + weight @ presence
        return total / weight.sum(-1, keepdim=True).clamp(min=1)


def cut(patches: Tensor, size: int) -> Tensor:
    """(batch, number, channels, p, p) to (batch, number * parts, channels, size, size), row-major inside a patch."""
    batch, number, channels, side, _ = patches.shape
    if side == size:
        return patches
    parts = patches.reshape(batch, number, channels, side // size, size, side // size, size)
    return parts.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, -1, channels, size, size)


def _embed(values: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """(batch, number * parts, ...) of parts, and a kernel (width, parts, ...) to (batch, number, width)."""
    return functional.linear(values.unflatten(1, (-1, kernel.shape[1])).flatten(2), kernel.flatten(1), bias)
