"""Distillation: from any sensor, predict what published networks see in the same image."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.backbone import Backbone, gather_patches
from skyweave.core.errors import ConfigError
from skyweave.pretraining.masking import EncodedView
from skyweave.pretraining.objectives.base import EncodedBatch, EncodedStep, Objective, ObjectiveConfig
from skyweave.pretraining.teachers.base import Teacher, TeacherMaps
from skyweave.pretraining.teachers.published import load_teacher


@dataclass(frozen=True)
class TeacherConfig:
    """One teacher.

    Attributes:
        name: ``efficientnet-lite0``, or a published encoder: a file, a name or ``hub:OWNER/REPOSITORY/FILE``.
        weight: of its loss beside those of the others.
        sensors: names of those that it teaches; empty: all that it can read.
    """

    name: str
    weight: float = 1.0
    sensors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ConfigError(f"teacher {self.name!r}: weight is {self.weight}, must be above 0; leave the teacher out")


@dataclass(frozen=True)
class DistillationConfig(ObjectiveConfig):
    """Predict frozen teachers' features of the whole image from masked views of it.

    DOFA (arXiv 2403.15356) learned so from a network of colour images. Such a teacher sees three bands, the student
    those that its view holds, so what colour teaches is carried over to the other bands; where a sensor has infrared
    bands, the teacher sees a colour or an infrared composite, in turns. A teacher that reads the bands themselves sees
    all that it knows. Several teachers at once are those of AM-RADIO (arXiv 2312.06709), each with layers of its own.

    Attributes:
        weight: of the loss.
        teachers: at least one.
        dense: weight of the features of every patch; those of the whole image weigh 1.
        standardising: momentum of the running mean and spread by which the teacher's channels are standardised, so
            that no channel dominates the cosine (as in PHI-S, arXiv 2410.01680, by channel).
    """

    weight: float = 1.0
    teachers: list[TeacherConfig] = field(default_factory=lambda: [TeacherConfig("efficientnet-lite0")])
    dense: float = 1.0
    standardising: float = 0.99

    def __post_init__(self) -> None:
        if not self.teachers:
            raise ConfigError("teachers is empty; name at least one, such as: teachers: [{name: efficientnet-lite0}]")

    def build(self, backbone: Backbone) -> "Distillation":
        """Return the objective, with the teachers' weights.

        Args:
            backbone: that is trained.

        Raises:
            FileNotFoundError: no such file of weights.
            UnknownNameError: no such teacher.
            MissingExtraError: a teacher's package is not installed.
        """
        return Distillation(self, backbone.width, [load_teacher(one.name) for one in self.teachers])


class Distillation(Objective):
    """Predict frozen teachers' features of the whole image from masked views of it.

    Args:
        config: of the objective.
        width: channels of a token.
        teachers: frozen, in the order of the configuration.
    """

    def __init__(self, config: DistillationConfig, width: int, teachers: list[Teacher]) -> None:
        super().__init__()
        self.students = nn.ModuleList(
            _Student(one, config, width, teacher) for one, teacher in zip(config.teachers, teachers, strict=True)
        )

    def forward(self, encoded: EncodedStep, generator: torch.Generator) -> list[Tensor]:
        """Return the cosine distance to the teachers of each batch, a mean over its views.

        Args:
            encoded: of one step.
            generator: draws what a teacher is given.
        """
        of_teachers = [[student(item, generator) for item in encoded.batches] for student in self.students]
        return [torch.stack(losses).sum(0) for losses in zip(*of_teachers, strict=True)]


class _Student(nn.Module):
    """The layers that predict one teacher's features."""

    def __init__(self, one: TeacherConfig, config: DistillationConfig, width: int, teacher: Teacher) -> None:
        super().__init__()
        self.config, self.weight, self.sensors = config, one.weight, frozenset(one.sensors)
        self.teacher = (teacher,)  # in a tuple: not part of the state, checkpoints do not repeat it
        channels = {"image": teacher.pooled_channels, **{f"map{n}": c for n, c in enumerate(teacher.map_channels)}}
        outputs = {f"{given}-{name}": number for given in teacher.inputs for name, number in channels.items()}
        self.heads = nn.ModuleDict({name: nn.Linear(width, number) for name, number in outputs.items()})
        self.standards = nn.ModuleDict(
            {name: RunningStandard(number, config.standardising) for name, number in outputs.items()}
        )

    def forward(self, item: EncodedBatch, generator: torch.Generator) -> Tensor:
        """Return the weighted distance of a batch, zero where the teacher does not know its sensor."""
        sensor = item.batch.sensor
        given = self.teacher[0].readable_inputs(sensor) if not self.sensors or sensor.name in self.sensors else ()
        if not given:
            return item.views[0].tokens.new_zeros(())
        name = given[int(torch.randint(len(given), (), generator=generator))]
        targets = self._targets(item, name)
        return self.weight * torch.stack([self._distance(view, targets, name) for view in item.views]).mean()

    @torch.no_grad()
    def _targets(self, item: EncodedBatch, name: str) -> TeacherMaps:
        """Return the teacher's standardised features of the whole images."""
        maps = self.teacher[0](item.batch, item.views[0].view.patches, name)
        pooled = self.standards[f"{name}-image"](maps.pooled, self.training)
        dense = [self.standards[f"{name}-map{n}"](one, self.training) for n, one in enumerate(maps.maps)]
        return TeacherMaps(pooled, dense)

    def _distance(self, encoded: EncodedView, targets: TeacherMaps, name: str) -> Tensor:
        """Return the cosine distance of one view's features to the teacher's."""
        view = encoded.view
        weight = view.visible_valid.float()
        tokens = encoded.tokens.float()
        pooled = (tokens * weight.unsqueeze(-1)).sum(1) / weight.sum(1, keepdim=True).clamp(min=1)
        whole = 1 - functional.cosine_similarity(self.heads[f"{name}-image"](pooled), targets.pooled, dim=-1)
        loss = (whole * view.visible_valid.any(1)).mean()
        for number, target in enumerate(targets.maps):
            at_patches = functional.interpolate(target, view.patches.grid, mode="bilinear", antialias=True)
            target_tokens = gather_patches(at_patches.flatten(2).transpose(1, 2), view.visible)
            distance = 1 - functional.cosine_similarity(
                self.heads[f"{name}-map{number}"](tokens), target_tokens, dim=-1
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
