"""Features to whole numbers and back, in two branches.

The low branch says roughly what is everywhere: blocks of 8 x 8 cells, few numbers each. The high branch gives single
cells in full: as many as the budget holds, the most salient first. To separate low from high frequencies in order to
compress what platforms share is RS-DFM's idea (arXiv 2406.07032); quantisation noise and a learned rate in training are
those of learned image compression (arXiv 1611.01704).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.collaboration.config import CodecConfig
from skyweave.collaboration.entropy import EntropyModel
from skyweave.collaboration.precision import full_precision
from skyweave.wire import Quantiser

CONTEXT_CHANNELS = 12  # in which the low branch describes the full map
RATE_SAMPLE_CELLS = 1024  # on which the rate is measured in a training step
INITIAL_STEP_STDS = 0.5  # quantiser step at the start, in standard deviations of the features
MAX_LEVEL = 2000  # of a quantised number


@dataclass(frozen=True)
class Latents:
    """A map as numbers in quantiser steps; whole ones unless they carry training noise.

    Attributes:
        low: (batch, channels, rows / factor, columns / factor); None without a low branch.
        low_valid: (batch, rows / factor, columns / factor) bool: blocks of which something is seen.
        high: (batch, channels, rows, columns).
        high_valid: (batch, rows, columns) bool: cells that are seen.
    """

    low: Tensor | None
    low_valid: Tensor
    high: Tensor
    high_valid: Tensor


@dataclass(frozen=True)
class DecodedFeatures:
    """A peer's map as a receiver decodes it.

    Attributes:
        features: (batch, channels, rows, columns); zero where nothing came.
        visible: (batch, rows, columns) from 0 to 1: how sure it is that the peer sees a cell; 1 where a cell came in
            full, 0 where nothing came.
        exact: (batch, rows, columns) 1 where a cell came in full; between 0 and 1 only in training.
        logits: of ``visible`` by the low branch alone, for its loss; None without that branch.
    """

    features: Tensor
    visible: Tensor
    exact: Tensor
    logits: Tensor | None = None


class DualBranchCodec(nn.Module):
    """Analysis, quantisation and synthesis. Both analyses look at a block or a cell alone, so that any grid that is
    snapped to blocks gives the same numbers for the same place.

    Args:
        channels: of the map.
        config: see `CodecConfig`.
    """

    def __init__(self, channels: int, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.analyse_high = nn.Conv2d(channels, config.high, 1)
        nn.init.orthogonal_(self.analyse_high.weight.view(config.high, channels))
        self.high_step = nn.Parameter(torch.full((config.high,), -2.5))  # logarithm
        self.high_entropy = EntropyModel(config.high, config.contexts)
        self.low_entropy: EntropyModel | None = None
        context = 0
        if config.low:
            f, context = config.factor, CONTEXT_CHANNELS
            self.analyse_low = nn.Sequential(
                nn.Conv2d(channels + 1, 32, f // 2, f // 2), nn.GELU(), nn.Conv2d(32, config.low, 2, 2)
            )
            self.low_step = nn.Parameter(torch.full((config.low,), -2.5))
            self.low_entropy = EntropyModel(config.low, config.contexts)
            self.around = nn.Sequential(nn.Conv2d(config.low, 48, 3, 1, 1), nn.GELU())
            self.spread = nn.Sequential(nn.Conv2d(48, (context + 1) * f * f, 1), nn.PixelShuffle(f))
            self.from_low = nn.Conv2d(context, channels, 1)
            nn.init.zeros_(self.from_low.weight)
        self.from_high = nn.Conv2d(config.high, channels, 1)
        with torch.no_grad():  # start as a projection and back
            self.from_high.weight.copy_(self.analyse_high.weight.permute(1, 0, 2, 3))
        self.refine = nn.Sequential(
            nn.Conv2d(config.high + context, 64, 1), nn.GELU(), last := nn.Conv2d(64, channels, 1)
        )
        nn.init.zeros_(last.weight)

    @torch.no_grad()
    def start_from(self, cells: Tensor) -> None:
        """Initialise the projection with principal components, and the steps in proportion to them.

        Args:
            cells: (n, channels) features of some cells.
        """
        mean = cells.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((cells - mean).T.double()))
        basis = vectors.flip(1)[:, : self.config.high].T.float()
        self.analyse_high.weight.copy_(basis[..., None, None])
        self.analyse_high.bias.copy_(-basis @ mean)  # type: ignore[union-attr]
        self.from_high.weight.copy_(basis.T[..., None, None])
        self.from_high.bias.copy_(mean)  # type: ignore[union-attr]
        deviation = float(values.flip(0)[: self.config.high].mean().sqrt())
        self.high_step.fill_(float(np.log(max(INITIAL_STEP_STDS * deviation, 1e-4))))
        self.high_entropy.log_scale.add_(0.7)
        if self.config.low:
            self.low_step.fill_(float(np.log(max(INITIAL_STEP_STDS * deviation, 1e-4))))

    def encode(self, features: Tensor, visible: Tensor) -> Latents:
        """Analyse maps to numbers in quantiser steps, not yet whole; in float32 on every device.

        In a lower precision the numbers that training quantises would not be those that the wire carries.

        Args:
            features: (batch, channels, rows, columns).
            visible: (batch, rows, columns) bool: cells that are seen; the others count as zero.
        """
        with full_precision(features.device):
            seen = visible.unsqueeze(1).float()
            features = features.float() * seen
            high = self.analyse_high(features) / self.step("high")
            low, valid = None, functional.max_pool2d(seen, self.config.factor)[:, 0] > 0
            if self.config.low:
                low = self.analyse_low(torch.cat([features, seen], 1)) / self.step("low")
            return Latents(low, valid, high, visible)

    def step(self, branch: str) -> Tensor:
        """Return the steps of a branch's quantiser (channels, 1, 1), as float32 and the same ones on every machine.

        Args:
            branch: ``low`` or ``high``.
        """
        logarithm = self.low_step if branch == "low" else self.high_step
        return logarithm.float().clamp(-7, 3).exp().view(-1, 1, 1)

    def quantise(self, latents: Latents, noisy: bool) -> Latents:
        """Round to whole numbers, or add uniform noise of one step's width in their stead, which has a gradient.

        Args:
            latents: of `encode`.
            noisy: add noise, as in training.
        """
        return Latents(
            None if latents.low is None else _quantise(latents.low, noisy),
            latents.low_valid,
            _quantise(latents.high, noisy),
            latents.high_valid,
        )

    def bits(self, latents: Latents) -> tuple[Tensor | None, Tensor]:
        """Return the bits (batch, rows, columns) that each cell of the low and of the high branch takes.

        Args:
            latents: quantised.
        """
        low = None
        if latents.low is not None and self.low_entropy is not None:
            low = self.low_entropy(latents.low.permute(0, 2, 3, 1))
        return low, self.high_entropy(latents.high.permute(0, 2, 3, 1))

    def sampled_bits(self, latents: Latents) -> tuple[Tensor | None, Tensor]:
        """Return the mean bits of a cell of the low and of the high branch, over some cells with much energy.

        Cells that are sent are not empty, so that a mean over all cells would underestimate them.

        Args:
            latents: quantised, or with noise.
        """
        low = None
        if latents.low is not None and self.low_entropy is not None:
            low = _mean_bits(self.low_entropy, latents.low, latents.low_valid)
        return low, _mean_bits(self.high_entropy, latents.high, latents.high_valid)

    def decode(self, latents: Latents, low_sent: Tensor, high_sent: Tensor) -> DecodedFeatures:
        """Synthesise what came of maps.

        Args:
            latents: quantised.
            low_sent: (batch, rows / factor, columns / factor) 1 where a block came, else 0.
            high_sent: (batch, rows, columns) 1 where a cell came, else 0.
        """
        steps = latents.high * self.step("high")
        exact = high_sent.unsqueeze(1).to(steps.dtype)
        if not self.config.low or latents.low is None:
            full = self.from_high(steps) + self.refine(steps)
            return DecodedFeatures(full * exact, high_sent.to(steps.dtype), high_sent.to(steps.dtype))
        came = low_sent.unsqueeze(1).to(steps.dtype)
        expanded = self.spread(self.around(latents.low * self.step("low") * came))
        there = functional.interpolate(came, scale_factor=float(self.config.factor), mode="nearest")
        context, logits = expanded[:, :-1] * there, expanded[:, -1]
        features = self.from_low(context) * there
        features = self._refine_exact(features, exact, steps, context, high_sent)
        visible = logits.sigmoid() * there[:, 0]
        full = exact[:, 0]
        return DecodedFeatures(features, visible + full * (1 - visible), full, logits)

    def _refine_exact(
        self, features: Tensor, exact: Tensor, steps: Tensor, context: Tensor, high_sent: Tensor
    ) -> Tensor:
        """Refine the features of the cells that were sent in full."""
        if torch.is_grad_enabled():
            features = features + exact * (self._synthesise(steps, context) - features)
        elif high_sent.any():  # few cells came in full
            chosen = (high_sent > 0).nonzero(as_tuple=True)
            sent = [maps.movedim(1, -1)[chosen].T[None, ..., None] for maps in (steps, context)]
            features.movedim(1, -1)[chosen] = self._synthesise(*sent)[0, ..., 0].T.to(features.dtype)
        return features

    def _synthesise(self, steps: Tensor, context: Tensor) -> Tensor:
        """Return (batch, channels, rows, columns) features of cells of which both branches came."""
        full: Tensor = self.from_high(steps) + self.refine(torch.cat([steps, context], 1))
        return full

    def quantiser(self, branch: str) -> Quantiser:
        """Return the wire's quantiser of numbers that are in steps already: it rounds exactly as training does.

        Args:
            branch: ``low`` or ``high``.
        """
        channels = self.config.low if branch == "low" else self.config.high
        return Quantiser(np.ones(channels), 0.5, -MAX_LEVEL, MAX_LEVEL)


def _mean_bits(entropy: EntropyModel, latents: Tensor, valid: Tensor) -> Tensor:
    candidates = valid.flatten().nonzero()[:, 0]
    if not len(candidates):
        return latents.sum() * 0
    cells = latents.permute(0, 2, 3, 1).flatten(0, 2)
    chosen = candidates[torch.randint(len(candidates), (4 * RATE_SAMPLE_CELLS,), device=candidates.device)]
    strongest = cells[chosen].detach().square().sum(1).topk(RATE_SAMPLE_CELLS).indices
    mean: Tensor = entropy(cells[chosen[strongest]]).mean()
    return mean


def _quantise(latents: Tensor, noisy: bool) -> Tensor:
    if noisy:
        return latents + (torch.rand_like(latents) - 0.5)
    whole = torch.copysign((latents.abs() + 0.5).floor(), latents).clamp(-MAX_LEVEL, MAX_LEVEL)
    return latents + (whole - latents).detach() if latents.requires_grad else whole
