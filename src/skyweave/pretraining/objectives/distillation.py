"""Distillation: from any sensor, predict what a published network of colour images sees in a composite of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.backbone import Backbone, gather_patches
from skyweave.pretraining.masking import EncodedView
from skyweave.pretraining.objectives.base import EncodedBatch, EncodedStep, Objective, ObjectiveConfig
from skyweave.pretraining.teachers.base import TEACHERS, Teacher, TeacherMaps
from skyweave.pretraining.teachers.composites import COMPOSITES, Composite, composites_of


@dataclass(frozen=True)
class DistillationConfig(ObjectiveConfig):
    """Predict a frozen teacher's features of the whole image from masked views of it.

    DOFA (arXiv 2403.15356) learned so from a network of colour images. The teacher sees three bands, the student those
    that its view holds, so what colour teaches is carried over to the other bands; where a sensor has infrared bands,
    the teacher sees a colour or an infrared composite, in turns.

    Attributes:
        weight: of the loss.
        teacher: a name in `TEACHERS`.
        pixels: side of the composite as the teacher sees it.
        dense: weight of the features of every patch; those of the whole image weigh 1.
        standardising: momentum of the running mean and spread by which the teacher's channels are standardised, so
            that no channel dominates the cosine (as in PHI-S, arXiv 2410.01680, by channel).
    """

    weight: float = 1.0
    teacher: str = "efficientnet-lite0"
    pixels: int = 128
    dense: float = 1.0
    standardising: float = 0.99

    def build(self, backbone: Backbone) -> "Distillation":
        """Return the objective, with the teacher's weights.

        Args:
            backbone: that is trained.

        Raises:
            UnknownNameError: no such teacher.
            MissingExtraError: the teacher's package is not installed.
        """
        return Distillation(self, backbone.width, TEACHERS[self.teacher]())


class Distillation(Objective):
    """Predict a frozen teacher's features of the whole image from masked views of it.

    Args:
        config: of the objective.
        width: channels of a token.
        teacher: frozen.
    """

    def __init__(self, config: DistillationConfig, width: int, teacher: Teacher) -> None:
        super().__init__()
        self.config = config
        self.teacher = (teacher,)  # in a tuple: not part of the state, checkpoints do not repeat it
        channels = {"image": teacher.pooled_channels, **{f"map{n}": c for n, c in enumerate(teacher.map_channels)}}
        self.heads = nn.ModuleDict(
            {f"{c}-{name}": nn.Linear(width, number) for c in COMPOSITES for name, number in channels.items()}
        )
        self.standards = nn.ModuleDict(
            {
                f"{c}-{name}": RunningStandard(number, config.standardising)
                for c in COMPOSITES
                for name, number in channels.items()
            }
        )

    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the cosine distance to the teacher of each batch, a mean over its views.

        Args:
            encoded: of one step.
            generator: draws the composite.
        """
        losses = []
        for item in encoded.batches:
            choices = composites_of(item.batch.sensor)
            composite = choices[int(torch.randint(len(choices), (), generator=generator))]
            targets = self._targets(item, composite)
            parts = [self._distance(view, targets, composite.name) for view in item.views]
            losses.append(torch.stack(parts).mean())
        return losses

    @torch.no_grad()
    def _targets(self, item: EncodedBatch, composite: Composite) -> TeacherMaps:
        """Return the teacher's standardised features of the whole images."""
        rows, columns = item.batch.pixels.shape[-2:]
        maps = self.teacher[0](composite.render(item.views[0].view.patches, (rows, columns), self.config.pixels))
        pooled = self.standards[f"{composite.name}-image"](maps.pooled, self.training)
        dense = [self.standards[f"{composite.name}-map{n}"](one, self.training) for n, one in enumerate(maps.maps)]
        return TeacherMaps(pooled, dense)

    def _distance(self, encoded: EncodedView, targets: TeacherMaps, composite: str) -> Tensor:
        """Return the cosine distance of one view's features to the teacher's."""
        view = encoded.view
        weight = view.visible_valid.float()
        tokens = encoded.tokens.float()
        pooled = (tokens * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True).clamp(min=1)
        whole = 1 - functional.cosine_similarity(self.heads[f"{composite}-image"](pooled), targets.pooled, dim=-1)
        loss = (whole * view.visible_valid.any(1)).mean()
        for number, target in enumerate(targets.maps):
            at_patches = functional.interpolate(target, view.patches.grid, mode="bilinear", antialias=True)
            target_tokens = gather_patches(at_patches.flatten(2).transpose(1, 2), view.visible)
            distance = 1 - functional.cosine_similarity(
                self.heads[f"{composite}-map{number}"](tokens), target_tokens, dim=-1
            )
            part = (distance * weight).sum() / weight.sum().clamp(min=1)
            loss = loss + self.config.dense * part / len(targets.maps)
        return loss


class RunningStandard(nn.Module):
    """Standardise channels by their running mean and spread.

    Args:
        channels: number of them.
        momentum: of the running numbers; the first batches count more.
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, channels: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.ones(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, values: Tensor, update: bool) -> Tensor:
        """Return standardised values.

        Args:
            values: (batch, channels) or (batch, channels, rows, columns).
            update: whether the running numbers follow.
        """
        others = [axis for axis in range(values.ndim) if axis != 1]
        if update:
            kept = min(self.momentum, float(self.batches) / (float(self.batches) + 1))
            self.mean.lerp_(values.mean(others), 1 - kept)
            self.square.lerp_(values.square().mean(others), 1 - kept)
            self.batches += 1
        shape = (1, -1) + (1,) * (values.ndim - 2)
        deviation = (self.square - self.mean.square()).clamp(min=1e-6).sqrt()
        return (values - self.mean.view(shape)) / deviation.view(shape)
