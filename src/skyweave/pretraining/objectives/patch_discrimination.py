"""Patch discrimination in the space of a frozen random projection."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.backbone import Backbone, Patches, gather_patches
from skyweave.backbone.builder import build_backbone
from skyweave.backbone.transformer import attention_mask, rotary_factors
from skyweave.core.errors import ConfigError
from skyweave.pretraining.decoder import CrossDecoder, DecoderConfig, decode_queries
from skyweave.pretraining.masking import sample_hidden
from skyweave.pretraining.objectives.base import EncodedStep, Objective, ObjectiveConfig


@dataclass(frozen=True)
class PatchDiscriminationConfig(ObjectiveConfig):
    """Predict which frozen random features each hidden patch has, among those of the other patches of its image.

    Patch discrimination as Galileo (arXiv 2502.09356) and OlmoEarth (arXiv 2511.13655) train it; targets are those of
    frozen random networks: of the patch embedding alone (depth 0) and after some blocks, which see the surroundings.

    Attributes:
        weight: of the loss.
        temperature: of the softmax over candidates.
        depths: blocks of the frozen random network whose outputs are targets; 0 is its patch embedding.
        predicted: share of the hidden patches that are predicted.
        same: candidates whose target has a higher cosine than this with the true one are left out: two patches of one
            lake cannot be told apart.
        decoder: numbers of the decoder.
        seed: of the frozen random network.

    Raises:
        ConfigError: a temperature that is not positive, or no depth.
    """

    weight: float = 1.0
    temperature: float = 0.1
    depths: tuple[int, ...] = (0, 2)
    predicted: float = 0.5
    same: float = 0.99
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(depth=2))
    seed: int = 12345

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"patch_discrimination: temperature is {self.temperature}, must be positive")
        if not self.depths or min(self.depths) < 0:
            raise ConfigError(f"patch_discrimination: depths are {self.depths}, must be at least 0")

    def build(self, backbone: Backbone) -> "PatchDiscrimination":
        """Return the objective.

        Args:
            backbone: that is trained.
        """
        return PatchDiscrimination(self, backbone)


class PatchDiscrimination(Objective):
    """Discriminate the hidden patches of an image by their frozen random features.

    Args:
        config: of the objective.
        backbone: that is trained; the frozen random network has its shape.
    """

    def __init__(self, config: PatchDiscriminationConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        numbers = backbone.config
        depth = max(1, *config.depths)
        self.target = build_backbone(numbers, list(backbone.sensors.values()), seed=config.seed, depth=depth)
        self.target.requires_grad_(False).eval()
        self.decoder = CrossDecoder(numbers.width, config.decoder, numbers.ground_sample_distance)
        self.heads = nn.ModuleList(nn.Linear(config.decoder.width, numbers.width) for _ in config.depths)

    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the discrimination loss of each batch, on its first view.

        Args:
            encoded: of one step.
            generator: not used: hidden patches are in random order already.
        """
        views = [item.views[0] for item in encoded.batches]
        queries = [sample_hidden(item.view, self.config.predicted) for item in views]
        decoded = decode_queries(self.decoder, self.target.positions, views, queries)
        losses = []
        for view, query, tokens in zip(views, queries, decoded, strict=True):
            targets = self._targets(view.view.patches)
            usable = view.view.patches.usable.gather(1, query)
            parts = [
                self._discriminate(head(tokens).float(), gather_patches(target, query), usable)
                for head, target in zip(self.heads, targets, strict=True)
            ]
            losses.append(torch.stack(parts).mean())
        return losses

    @torch.no_grad()
    def _targets(self, patches: Patches) -> list[Tensor]:
        """Unit vectors of every patch at each depth, (batch, number, width), without what all patches have alike."""
        tokens = self.target.patch_embed(patches.values, patches.filled, patches.sensor)
        outputs = [tokens]
        if max(self.config.depths):
            coordinates = self.target.coordinates(patches)
            inputs = tokens + self.target.positions(patches.metres)
            rotary = rotary_factors(coordinates, inputs.shape[-1] // self.target.encoder.heads)
            for block in self.target.encoder.blocks:
                inputs = block(inputs, attention_mask(patches.usable), rotary)
                outputs.append(inputs)
        chosen = [outputs[depth].float() for depth in self.config.depths]
        return [_normalise(part) for part in chosen]

    def _discriminate(self, predicted: Tensor, target: Tensor, usable: Tensor) -> Tensor:
        """Cross-entropy of finding each query's target among those of its image."""
        predicted = functional.normalize(predicted, dim=-1)
        logits = predicted @ target.transpose(1, 2) / self.config.temperature
        number = target.shape[1]
        itself = torch.eye(number, dtype=torch.bool, device=target.device)
        alike = (torch.cdist(target, target).square() < 2 * (1 - self.config.same)) & ~itself
        logits = logits.masked_fill(alike | ~usable[:, None, :] & ~itself, float("-inf"))
        partners = torch.arange(number, device=target.device).expand(len(target), -1)
        loss = functional.cross_entropy(logits.transpose(1, 2), partners, reduction="none")
        return (loss * usable).sum() / usable.sum().clamp(min=1)

    def train(self, mode: bool = True) -> "PatchDiscrimination":
        """Set training mode for everything but the frozen network.

        Args:
            mode: whether to train.
        """
        super().train(mode)
        self.target.eval()
        return self


def _normalise(targets: Tensor) -> Tensor:
    """Return unit vectors without what all patches have alike; next to zero where that is all that they have."""
    centred = targets - targets.mean((0, 1), keepdim=True)
    smallest = 1e-3 * targets.norm(dim=-1, keepdim=True)
    unit: Tensor = centred / centred.norm(dim=-1, keepdim=True).maximum(smallest).clamp(min=1e-12)
    return unit
