"""What a perception model is made of, as read from ``configs/perception/*.yaml``."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from skyweave.core.errors import ConfigError
from skyweave.mapping import Bins, build_bins

FusionKind = Literal["own", "mean", "max", "attention"]
Task = Literal["detection", "instances", "trajectories"]
TASKS: tuple[Task, ...] = ("detection", "instances", "trajectories")


@dataclass(frozen=True)
class MapConfig:
    """The map around the platform that perceives.

    Attributes:
        size: side of the square map, metres.
        resolution: side of a cell, metres.
    """

    size: float = 64.0
    resolution: float = 0.5

    @property
    def cells(self) -> int:
        """Cells along a side."""
        return round(self.size / self.resolution)


@dataclass(frozen=True)
class LiftConfig:
    """How features of a camera come onto the map.

    Attributes:
        bins: a name in `skyweave.mapping.BINS`.
        options: of these bins, such as ``{ceiling: 6.0, count: 12}``.
        channels: of the map.
        rays: tell the lift each feature's direction in the camera's frame, without which nothing but looks says how
            far away a thing is. Depth relative to the ground does without.
    """

    bins: str = "height"
    options: dict[str, Any] = field(default_factory=lambda: {"ceiling": 6.0, "count": 12})
    channels: int = 48
    rays: bool = False

    def make(self) -> Bins:
        """The bins."""
        return build_bins(self.bins, **self.options)


@dataclass(frozen=True)
class PerceptionConfig:
    """Numbers of a `PerceptionModel`; kept in the card beside its weights.

    Attributes:
        backbone: a size of `skyweave.backbone.build_backbone`.
        patch_size: pixels per patch side in the encoder.
        stride: pixels per cell of the feature map that is lifted: ``patch_size`` or half or a quarter of it.
        neck: channels of that feature map.
        map: extent and resolution of the map.
        lift: how features come onto it.
        fusion: ``own`` (the first platform alone), or how the maps of all platforms become one.
        trunk: channels of the bird's-eye-view trunk at full, half and quarter resolution.
        history: frames that the model sees, the present one included.
        horizon: future steps that it predicts.
        interval: seconds between frames.
        modes: alternatives for each object's trajectory.
        categories: classes that it tells apart.
        segmented: classes that the instance maps show; None for all. Of things narrower than a cell no map tells much.
        tasks: heads that it has.
    """

    backbone: str = "tiny"
    patch_size: int = 16
    stride: int = 8
    neck: int = 64
    map: MapConfig = field(default_factory=MapConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    fusion: FusionKind = "attention"
    trunk: tuple[int, int, int] = (48, 64, 96)
    history: int = 2
    horizon: int = 4
    interval: float = 0.5
    modes: int = 3
    categories: tuple[str, ...] = ("car", "truck", "bus", "bicycle", "pedestrian")
    segmented: tuple[str, ...] | None = None
    tasks: tuple[Task, ...] = TASKS

    def __post_init__(self) -> None:
        if self.patch_size % self.stride or self.patch_size // self.stride not in (1, 2, 4):
            raise ConfigError(f"stride {self.stride} must be patch_size {self.patch_size}, half or a quarter of it")
        if self.map.cells % 4:
            raise ConfigError(f"a map of {self.map.cells} cells a side cannot be quartered; choose a multiple of 4")
        if not self.tasks or not self.categories:
            raise ConfigError("a model needs at least one task and one category")
        if unknown := sorted(set(self.segmented or ()) - set(self.categories)):
            raise ConfigError(f"segmented names {', '.join(unknown)}, which is not among {', '.join(self.categories)}")
        if self.history < 1 or self.horizon < 1 or not self.interval > 0:
            raise ConfigError(
                f"history {self.history} and horizon {self.horizon} must be at least 1 frame, interval "
                f"{self.interval} more than 0 s"
            )

    @property
    def segmented_labels(self) -> tuple[int, ...]:
        """Numbers of the classes that the instance maps show."""
        shown = self.categories if self.segmented is None else self.segmented
        return tuple(self.categories.index(name) for name in shown)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the card."""
        return asdict(self)
