"""A strategy with its codec around a trained perception model."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skyweave.backbone import ModelCard
from skyweave.collaboration.batches import CollaborationBatch
from skyweave.collaboration.boxes import RASTER_CHANNELS, SCORE_CHANNEL
from skyweave.collaboration.cell_selection import HEADER, POSE, select_cells
from skyweave.collaboration.codec import DecodedFeatures, DualBranchCodec
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies import STRATEGIES
from skyweave.collaboration.strategies.base import Strategy
from skyweave.core.errors import ConfigError
from skyweave.perception.model import PerceptionModel
from skyweave.wire import EntropyTables


@dataclass(frozen=True)
class ExchangeResult:
    """What a batch's exchange gave.

    Attributes:
        fused: for each frame (batch, channels, rows, columns).
        bits: mean bits of a cell that was sent.
        decoded: of all peers and frames; visible: (n, rows, columns) what they saw; spoke: (n,) bool.
    """

    fused: list[Tensor]
    bits: Tensor
    decoded: DecodedFeatures | None
    visible: Tensor


class CollaborativeModel(nn.Module):
    """What platforms send, how they fuse it, and what they read off it.

    Args:
        perception: trained; it stays as it is.
        config: see `CollaborationConfig`.

    Attributes:
        tables: for coding, once they are frozen.
        card: what is known of the weights; set where they were loaded from a file.
    """

    card: ModelCard

    def __init__(self, perception: PerceptionModel, config: CollaborationConfig, seed: int = 0) -> None:
        super().__init__()
        self.perception, self.config = perception.requires_grad_(False).eval(), config
        channels = perception.config.lift.channels
        kind = STRATEGIES.get(config.strategy)
        if kind is None:
            raise ConfigError(f"no strategy {config.strategy!r}; there are {', '.join(STRATEGIES)}")
        codec = config.codec if kind.low else _without_low(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.strategy: Strategy = kind(channels, RASTER_CHANNELS + len(perception.config.categories))
            self.codec = DualBranchCodec(channels, codec)
        self.strategy.start_from(perception.fusion)
        self.tables: EntropyTables | None = None

    def train(self, mode: bool = True) -> "CollaborativeModel":
        """Perception stays in evaluation mode: its statistics are not ours to change."""
        super().train(mode)
        self.perception.eval()
        return self

    @property
    def sends_features(self) -> bool:
        """Whether coded features travel."""
        return self.strategy.shares in ("features", "both")

    def exchange(self, moments: CollaborationBatch, noisy: bool | None = None) -> ExchangeResult:
        """Everybody encodes, budgets cut, chunks are lost, the ego decodes and fuses.

        Past moments have no gradient: they cost as much as the present one, which teaches the same weights.

        Args:
            noisy: quantisation noise instead of rounding; default in training.
        """
        noisy = self.training if noisy is None else noisy
        frames = moments.own.shape[1]
        fused, bits, decoded = [], moments.own.new_zeros(()), None
        for k in range(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and k == frames - 1):
                told, bits, decoded = self._told(moments, k, noisy)
                fused.append(self.strategy.fuse(told))
        return ExchangeResult(fused, bits, decoded, moments.peer_visible[:, -1].flatten(0, 1))

    def _told(
        self, moments: CollaborationBatch, k: int, noisy: bool
    ) -> tuple[FusionInput, Tensor, DecodedFeatures | None]:
        """What the ego knows at the ``k``-th moment."""
        visible, shape = moments.peer_visible[:, k], moments.peers.shape[:1] + moments.peers.shape[2:3]
        decoded, bits = None, moments.own.new_zeros(())
        if self.sends_features and shape[1]:
            decoded, bits = self._coded(moments, k, noisy)
            features = decoded.features.unflatten(0, shape)
            known, exact = decoded.visible.unflatten(0, shape), decoded.exact.unflatten(0, shape)
        elif self.strategy.shares == "everything":
            features, known = moments.peers[:, k], visible.float()
            exact = known
        else:
            features, known = torch.zeros_like(moments.peers[:, k]), torch.zeros_like(visible, dtype=torch.float32)
            exact = known
        boxes = moments.boxes[:, k]
        if self.strategy.shares not in ("boxes", "both"):
            boxes = torch.zeros_like(boxes)
        own, own_visible, age = moments.own[:, k], moments.own_visible[:, k], moments.age[:, k]
        return FusionInput(own, own_visible, features, known.float(), exact.float(), boxes, age), bits, decoded

    def _coded(self, moments: CollaborationBatch, k: int, noisy: bool) -> tuple[DecodedFeatures, Tensor]:
        maps, visible = moments.peers[:, k].flatten(0, 1), moments.peer_visible[:, k].flatten(0, 1)
        with torch.autocast("cpu", enabled=False):
            levels = self.codec.quantised(self.codec.encode(maps, visible), noisy)
        wanted, certain = moments.wanted[:, k].flatten(0, 1), moments.boxes[:, k].flatten(0, 1)[:, SCORE_CHANNEL]
        useful = self.strategy.usefulness(maps, visible, wanted, certain).float()
        low_bits, high_bits = self.codec.sampled_bits(levels)
        room = moments.budget[:, k].flatten() - HEADER - POSE - moments.box_bytes[:, k].flatten()
        lost = moments.lost[:, k].flatten()
        prices = [None if bits is None else bits.detach() for bits in (low_bits, high_bits)]
        low_price = None if prices[0] is None else prices[0].expand(levels.low_valid.shape)
        assert prices[1] is not None
        sent = select_cells(
            useful, low_price, prices[1].expand(levels.high_valid.shape), levels.low_valid, levels.high_valid,
            room.clamp(min=0), lost if bool(lost.any()) else None,
        )  # fmt: skip
        bits = high_bits if low_bits is None else high_bits + low_bits
        return self.codec.decode(levels, sent.low, sent.high), bits

    @torch.no_grad()
    def teacher(self, moments: CollaborationBatch) -> list[Tensor]:
        """The fused maps that all features, uncoded and in time, give through the perception model's own fusion."""
        features = torch.cat([moments.own.unsqueeze(2), moments.clean], 2)
        visible = torch.cat([moments.own_visible.unsqueeze(2), moments.clean_visible], 2)
        return [self.perception.fusion(features[:, k], visible[:, k]) for k in range(features.shape[1])]


def _without_low(config: CollaborationConfig) -> CodecConfig:
    return replace(config.codec, low=0)
