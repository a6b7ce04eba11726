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
        response, presence = self.band_code(sensor).chunk(2, dim=-1)
        response = self.gain * response
        kernel = self.proj.weight.view(self.width, 2 * self.mixes, self.patch_size**2)
        straight, bent = self._resampled(kernel, patches.shape[-1]).split(self.mixes, dim=1)
        if valid is None:
            return self._complete(patches, response / len(sensor), presence.mean(0), straight, bent)
        mixed = self._mix(patches, valid, response, presence)
        tokens = functional.linear(mixed.flatten(2), straight.transpose(1, 2).flatten(1), self.proj.bias)
        return tokens + self._bent(functional.gelu(self.pixel(mixed)), bent)

    def _complete(self, patches: Tensor, response: Tensor, presence: Tensor, straight: Tensor, bent: Tensor) -> Tensor:
        """Tokens where every pixel is valid: ``mixed`` is linear, so its part of the kernel is folded into one for the
        bands, and pixels x mixes is made for the non-linear part only.
        """
        spectra = patches.flatten(3).transpose(2, 3).contiguous()  # products of strided pixels are 5 times slower
        inner = functional.linear(
            spectra, self.pixel.weight @ response.T, functional.linear(presence, self.pixel.weight, self.pixel.bias)
        )
        constant = self.proj.bias + straight.sum(-1) @ presence
        if len(response) <= self.mixes:
            folded = torch.einsum("bm,wmp->wbp", response, straight)
            tokens = functional.linear(patches.flatten(2), folded.flatten(1), constant)
        else:  # more bands than functions: mixing first is cheaper
            mixed = spectra @ response
            tokens = functional.linear(mixed.flatten(2), straight.transpose(1, 2).flatten(1), constant)
        return tokens + self._bent(functional.gelu(inner), bent)

    def _bent(self, values: Tensor, kernel: Tensor) -> Tensor:
        return functional.linear(values.flatten(2), kernel.transpose(1, 2).flatten(1))

    def _mix(self, patches: Tensor, valid: Tensor, response: Tensor, presence: Tensor) -> Tensor:
        """(batch, number, pixels, mixes): means over valid bands; zero for a pixel without any."""
        spectra = patches.flatten(3).transpose(2, 3).contiguous()
        weight = valid.flatten(3).transpose(2, 3).to(spectra.dtype).contiguous()
        total = (spectra * weight) @ response + weight @ presence
        return total / weight.sum(-1, keepdim=True).clamp(min=1)
