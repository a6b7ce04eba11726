"""Everything a pretraining run is made of, from one YAML."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skyweave.backbone import SIZES
from skyweave.backbone.positions import GroundSampleDistanceMode
from skyweave.core.errors import ConfigError
from skyweave.data.augment import RandomResizedCrop
from skyweave.pretraining.masking import MaskingConfig
from skyweave.pretraining.objectives.base import ObjectiveConfig
from skyweave.pretraining.whitening import WhiteningConfig
from skyweave.training.optim import OptimiserConfig
from skyweave.training.trainer import TrainerConfig


@dataclass(frozen=True)
class BackboneSizeConfig:
    """A size and what differs from it."""

    size: str = "tiny"
    tokenizer: Literal["spectral", "per_sensor"] = "spectral"
    ground_sample_distance: GroundSampleDistanceMode = "embedded"
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    patch_size: int | None = None
    mixes: int | None = None
    band_contrast: float | None = None
    pixel_contrast: float | None = None
    radar_pixel_contrast: float | None = None
    kernel_scale: float | None = None

    def changes(self) -> dict[str, Any]:
        """Return keyword arguments for `build_backbone` besides the size."""
        if self.size not in SIZES:
            raise ConfigError(f"backbone.size is {self.size!r}; choose one of: {', '.join(SIZES)}")
        return {key: value for key, value in asdict(self).items() if value is not None and key != "size"}


@dataclass(frozen=True)
class PatchView:
    """Training images of ``patches`` x ``patches`` patches, whatever the patch size: the encoder sees equal lengths.

    Attributes:
        patch_sizes: pixels per patch side, one drawn for all images of a source in a step.
        zoom: smallest and largest factor on the ground sample distance, see ``RandomResizedCrop``.
        patches: per side of the image.
    """

    patch_sizes: list[int] = field(default_factory=lambda: [8])
    zoom: tuple[float, float] = (0.75, 1.5)
    patches: int = 12

    def __post_init__(self) -> None:
        if self.patches < 1 or not self.patch_sizes or min(self.patch_sizes) < 1:
            raise ConfigError(
                f"a view has {self.patches} patches of {self.patch_sizes} pixels; each must be at least 1"
            )

    def draw_view(self, generator: np.random.Generator) -> RandomResizedCrop:
        """Return views of a random patch size: one for all images of a source in a step, which make one batch.

        Args:
            generator: source of all randomness.
        """
        size = self.patches * self.patch_sizes[int(generator.integers(len(self.patch_sizes)))]
        return RandomResizedCrop(size, scale=self.zoom)


@dataclass(frozen=True)
class PretrainConfig:
    """A run.

    Attributes:
        data: dataset YAML, relative to this configuration's file.
        start: a backbone from whose weights the run starts, of the same numbers: a shipped name or a file; None: random
            ones.
        objectives: what is asked of the backbone: the numbers of each, by kind; ``{}`` for its defaults.
        masking: how masked views are made of an image.
        views: by source or sensor name, or ``default``.
        images_per_step: of one process in one micro step: a number, balanced over sensors, or by source or sensor.
        minimum_batch: images of a source (or sensor) in a step, at least: one that would have fewer comes in every n-th
            step only, with n times as many, since every batch costs something of its own.
        source_weights: of sources inside their sensor, over the dataset's.
        loss_weights: by sensor name, default 1.
        whitening: how features of the same ground are made alike at the end; None: not at all.
        trainer: where and how it runs.
        weights_dtype: storage type of the exported weights.
    """

    name: str
    data: str
    start: str | None = None
    backbone: BackboneSizeConfig = field(default_factory=BackboneSizeConfig)
    objectives: dict[str, dict[str, Any]] = field(default_factory=lambda: {"distillation": {}, "contrast": {}})
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    views: dict[str, PatchView] = field(default_factory=lambda: {"default": PatchView()})
    images_per_step: int | dict[str, int] = 64
    minimum_batch: int = 1
    source_weights: dict[str, float] = field(default_factory=dict)
    loss_weights: dict[str, float] = field(default_factory=dict)
    whitening: WhiteningConfig | None = None
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: int = 0
    weights_dtype: Literal["float32", "float16", "int8"] = "float32"

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ConfigError("objectives: none is given; name at least one, such as: objectives: {distillation: {}}")
        if (
            not self.typed_objectives().keys() & {"pixels", "patch_discrimination", "distillation"}
            and len(self.masking.ratios) < 2
        ):
            raise ConfigError("objectives: contrast alone compares views; give masking.ratios at least two numbers")

    def typed_objectives(self) -> dict[str, ObjectiveConfig]:
        """Return the objectives' configurations by kind.

        Raises:
            ConfigError: no such kind, an unknown key or a value of the wrong type; names it.
        """
        typed = {}
        for kind, content in self.objectives.items():
            try:
                typed[kind] = ObjectiveConfig.from_content({"kind": kind, **content})
            except ConfigError as error:
                raise ConfigError(f"objectives.{kind}: {error}") from error
        return typed


def dataset_path(config: PretrainConfig, file: Path) -> Path:
    """Return the dataset YAML of a configuration.

    Raises ``FileNotFoundError`` where it does not exist.

    Args:
        config: of the run.
        file: that the configuration was read from.
    """
    path = (file.parent / config.data).resolve()
    if not path.exists():
        raise FileNotFoundError(f"{file}: data: {config.data} is not a file ({path}); write it relative to {file.name}")
    return path
