"""A strategy with its codec around a trained perception model."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from skyweave.collaboration.boxes import DRAWN
from skyweave.collaboration.codec import Decoded, DualBranchCodec
from skyweave.collaboration.config import CodecConfig, CollaborationConfig
from skyweave.collaboration.moments import Moments
from skyweave.collaboration.select import HEADER, POSE, select
from skyweave.collaboration.strategies import STRATEGIES
from skyweave.collaboration.strategies.base import Strategy
from skyweave.collaboration.told import Told
from skyweave.perception.model import PerceptionModel
from skyweave.wire import EntropyTables


@dataclass(frozen=True)
class Exchanged:
    """What a batch's exchange gave.

    Attributes:
        fused: for each frame (batch, channels, rows, columns).
        bits: mean bits of a cell that was sent.
        decoded: of all peers and frames; visible: (n, rows, columns) what they saw; spoke: (n,) bool.
    """

    fused: list[Tensor]
    bits: Tensor
    decoded: Decoded | None
    visible: Tensor


class CollaborativeModel(nn.Module):
    """What platforms send, how they fuse it, and what they read off it.

    Args:
        perception: trained; it stays as it is.
        config: see `CollaborationConfig`.

    Attributes:
        tables: for coding, once they are frozen.
    """

    def __init__(self, perception: PerceptionModel, config: CollaborationConfig, seed: int = 0) -> None:
        super().__init__()
        self.perception, self.config = perception.requires_grad_(False).eval(), config
        channels = perception.config.lift.channels
        kind = STRATEGIES.get(config.strategy)
        if kind is None:
            raise ValueError(f"no strategy {config.strategy!r}; there are {', '.join(STRATEGIES)}")
        codec = config.codec if kind.low else _without_low(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.strategy: Strategy = kind(channels, DRAWN + len(perception.config.categories))
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

    def exchange(self, moments: Moments, noisy: bool | None = None) -> Exchanged:
        """Everybody encodes, budgets cut, chunks are lost, the ego decodes and fuses; with gradients.

        Args:
            noisy: quantisation noise instead of rounding; default in training.
        """
        noisy = self.training if noisy is None else noisy
        batch, frames, peers = moments.peers.shape[:3]
        visible = moments.peer_visible
        decoded, bits = None, moments.own.new_zeros(())
        if self.sends_features and peers:
            decoded, bits = self._coded(moments, noisy)
            shape = (batch, frames, peers)
            features = decoded.features.unflatten(0, shape)
            known, exact = decoded.visible.unflatten(0, shape), decoded.exact.unflatten(0, shape)
        elif self.strategy.shares == "everything":
            features = moments.peers
            known = exact = visible.float()
        else:
            features, known = torch.zeros_like(moments.peers), torch.zeros_like(visible, dtype=torch.float32)
            exact = known
        boxes = moments.boxes if self.strategy.shares in ("boxes", "both") else torch.zeros_like(moments.boxes)
        fused = [
            self.strategy.fuse(
                Told(
                    moments.own[:, k], moments.own_visible[:, k], features[:, k], known[:, k].float(),
                    exact[:, k].float(), boxes[:, k], moments.age[:, k],
                )
            )
            for k in range(frames)
        ]  # fmt: skip
        return Exchanged(fused, bits, decoded, visible.flatten(0, 2))

    def _coded(self, moments: Moments, noisy: bool) -> tuple[Decoded, Tensor]:
        maps, visible = moments.peers.flatten(0, 2), moments.peer_visible.flatten(0, 2)
        with torch.autocast("cpu", enabled=False):
            levels = self.codec.quantised(self.codec.encode(maps, visible), noisy)
            low_bits, high_bits = self.codec.bits(levels)
            useful = self.strategy.usefulness(maps, visible, moments.wanted.flatten(0, 2))
        room = moments.budget.flatten() - HEADER - POSE - moments.box_bytes.flatten()
        lost = moments.lost.flatten() if bool(moments.lost.any()) else None
        sent = select(useful, low_bits, high_bits, levels.low_valid, levels.high_valid, room.clamp(min=0), lost)
        weight = sent.high.detach()
        bits = (high_bits * weight).sum() / weight.sum().clamp(min=1)
        if low_bits is not None:
            bits = bits + (low_bits * sent.low).sum() / sent.low.sum().clamp(min=1)
        return self.codec.decode(levels, sent.low, sent.high), bits

    @torch.no_grad()
    def teacher(self, moments: Moments) -> list[Tensor]:
        """The fused maps that all features, uncoded and in time, give through the perception model's own fusion."""
        features = torch.cat([moments.own.unsqueeze(2), moments.clean], 2)
        visible = torch.cat([moments.own_visible.unsqueeze(2), moments.clean_visible], 2)
        return [self.perception.fusion(features[:, k], visible[:, k]) for k in range(features.shape[1])]


def _without_low(config: CollaborationConfig) -> CodecConfig:
    return replace(config.codec, low=0)

