"""A strategy with its codec around a trained perception model."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skyweave.backbone import ModelCard
from skyweave.collaboration.batches import CollaborationBatch
from skyweave.collaboration.boxes import RASTER_CHANNELS, SCORE_CHANNEL
from skyweave.collaboration.cell_selection import select_cells
from skyweave.collaboration.codec import DecodedFeatures, DualBranchCodec
from skyweave.collaboration.config import CollaborationConfig
from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.strategies.base import Strategy
from skyweave.collaboration.strategies.registry import STRATEGIES
from skyweave.perception.model import PerceptionModel
from skyweave.wire import EntropyTables
from skyweave.wire.sizes import HEADER_BYTES, POSE_BYTES


@dataclass(frozen=True)
class ExchangeResult:
    """What the exchange of a batch gave.

    Attributes:
        fused: for each frame (batch, channels, rows, columns).
        bits: mean bits of a cell that was sent.
        decoded: of all peers of the present frame; None where no coded features travel.
        visible: (batch * peers, rows, columns) bool: what the peers saw in the present frame.
    """

    fused: list[Tensor]
    bits: Tensor
    decoded: DecodedFeatures | None
    visible: Tensor


class CollaborativeModel(nn.Module):
    """What platforms send, how they fuse it, and what they read off it.

    Args:
        perception: trained; it stays as it is.
        config: strategy and codec.
        seed: of the random weights.

    Raises:
        UnknownNameError: there is no such strategy.

    Attributes:
        tables: for coding, once they are frozen.
        card: what is known of the weights; set where they were loaded from a file.
    """

    card: ModelCard

    def __init__(self, perception: PerceptionModel, config: CollaborationConfig, seed: int = 0) -> None:
        super().__init__()
        self.perception, self.config = perception.requires_grad_(False).eval(), config
        channels = perception.config.lift.channels
        strategy = STRATEGIES[config.strategy]
        codec = config.codec if strategy.low_branch else replace(config.codec, low=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.strategy: Strategy = strategy(channels, RASTER_CHANNELS + len(perception.config.categories))
            self.codec = DualBranchCodec(channels, codec)
        self.strategy.start_from(perception.fusion)
        self.tables: EntropyTables | None = None

    def train(self, mode: bool = True) -> "CollaborativeModel":
        """Switch to training; perception stays in evaluation mode, so that its statistics do not change.

        Args:
            mode: training or evaluation.
        """
        super().train(mode)
        self.perception.eval()
        return self

    @property
    def sends_features(self) -> bool:
        """Return whether coded features travel."""
        return self.strategy.sends_features

    def exchange(self, batch: CollaborationBatch, noisy: bool | None = None) -> ExchangeResult:
        """Let all platforms encode, budgets cut, chunks be lost, and the ego decode and fuse, for each frame.

        Past frames have no gradient: they cost as much as the present one, which teaches the same weights.

        Args:
            batch: maps of all platforms.
            noisy: quantisation noise instead of rounding; default in training.
        """
        noisy = self.training if noisy is None else noisy
        frames = batch.ego.shape[1]
        fused, bits, decoded = [], batch.ego.new_zeros(()), None
        for frame in range(frames):
            with torch.set_grad_enabled(torch.is_grad_enabled() and frame == frames - 1):
                inputs, bits, decoded = self._received(batch, frame, noisy)
                fused.append(self.strategy.fuse(inputs))
        return ExchangeResult(fused, bits, decoded, batch.peer_visible[:, -1].flatten(0, 1))

    @torch.no_grad()
    def teacher_maps(self, batch: CollaborationBatch) -> list[Tensor]:
        """Return the fused maps that all features, uncoded and in time, give through the perception model's fusion.

        Args:
            batch: maps of all platforms.

        Returns:
            for each frame (batch, channels, rows, columns).
        """
        features = torch.cat([batch.ego.unsqueeze(2), batch.clean], 2)
        visible = torch.cat([batch.ego_visible.unsqueeze(2), batch.clean_visible], 2)
        return [self.perception.fusion(features[:, k], visible[:, k]) for k in range(features.shape[1])]

    def _received(
        self, batch: CollaborationBatch, frame: int, noisy: bool
    ) -> tuple[FusionInput, Tensor, DecodedFeatures | None]:
        """Return what the ego receives in one frame, the bits of a cell, and what was decoded."""
        visible, shape = batch.peer_visible[:, frame], batch.peers.shape[:1] + batch.peers.shape[2:3]
        decoded, bits = None, batch.ego.new_zeros(())
        if self.sends_features and shape[1]:
            decoded, bits = self._transmit(batch, frame, noisy)
            features = torch.unflatten(decoded.features, 0, shape)
            sure, exact = torch.unflatten(decoded.visible, 0, shape), torch.unflatten(decoded.exact, 0, shape)
        elif self.strategy.sends_uncoded:
            features, sure = batch.peers[:, frame], visible.float()
            exact = sure
        else:
            features, sure = torch.zeros_like(batch.peers[:, frame]), torch.zeros_like(visible, dtype=torch.float32)
            exact = sure
        boxes = batch.boxes[:, frame]
        if not self.strategy.sends_boxes:
            boxes = torch.zeros_like(boxes)
        ego, ego_visible, age = batch.ego[:, frame], batch.ego_visible[:, frame], batch.age[:, frame]
        return FusionInput(ego, ego_visible, features, sure.float(), exact.float(), boxes, age), bits, decoded

    def _transmit(self, batch: CollaborationBatch, frame: int, noisy: bool) -> tuple[DecodedFeatures, Tensor]:
        """Encode the peers' maps of one frame, send what fits, and decode it."""
        maps, visible = batch.peers[:, frame].flatten(0, 1), batch.peer_visible[:, frame].flatten(0, 1)
        latents = self.codec.quantise(self.codec.encode(maps, visible), noisy)
        request, box_scores = (
            batch.request[:, frame].flatten(0, 1),
            batch.boxes[:, frame].flatten(0, 1)[:, SCORE_CHANNEL],
        )
        saliency = self.strategy.saliency_map(maps, visible, request, box_scores).float()
        low_bits, high_bits = self.codec.sampled_bits(latents)
        low_price = None if low_bits is None else low_bits.detach().expand(latents.low_valid.shape)
        room = batch.budget[:, frame].flatten() - HEADER_BYTES - POSE_BYTES - batch.box_bytes[:, frame].flatten()
        packet_loss = batch.packet_loss[:, frame].flatten()
        sent = select_cells(
            saliency, low_price, high_bits.detach().expand(latents.high_valid.shape), latents.low_valid,
            latents.high_valid, room.clamp(min=0), packet_loss if bool(packet_loss.any()) else None,
        )  # fmt: skip
        bits = high_bits if low_bits is None else high_bits + low_bits
        return self.codec.decode(latents, sent.low, sent.high), bits
