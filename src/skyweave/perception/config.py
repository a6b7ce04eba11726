"""Configuration of a perception model, as read from ``configs/perception/*.yaml``."""

from collections.abc import Iterable
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from skyweave.core.config import config_from_dict
from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.mapping import Bins, build_bins
from skyweave.mapping.fusion import FUSIONS
from skyweave.perception.balance import BALANCES, BalanceConfig
from skyweave.perception.heads import HEADS

TASKS = ("detection", "instances", "trajectories")
"""Heads of a model whose configuration names none, in the order in which they are made."""
STRIDE_FACTORS = (1, 2, 4)  # patch size over stride
MIN_PATCH, MAX_PATCH = 2, 32  # pixels a side, of a raster


@dataclass(frozen=True)
class MapConfig:
    """The map around the ego platform.

    Attributes:
        size: side of the square map, metres.
        resolution: side of a cell, metres.
    """

    size: float = 64.0
    resolution: float = 0.5

    @property
    def cells(self) -> int:
        """Number of cells along a side."""
        return round(self.size / self.resolution)


@dataclass(frozen=True)
class LiftConfig:
    """The lift of camera features to the map.

    Attributes:
        bins: a name in `skyweave.mapping.BINS`.
        options: fields of these bins, such as ``{ceiling: 6.0, count: 12}``.
        channels: channels of the map.
        rays: give the lift each feature's direction in the camera's frame. Without it only appearance tells how far
            away an object is; depth relative to the ground does without.
    """

    bins: str = "height"
    options: dict[str, Any] = field(default_factory=lambda: {"ceiling": 6.0, "count": 12})
    channels: int = 48
    rays: bool = False

    def build(self) -> Bins:
        """Return the bins that are configured."""
        return build_bins(self.bins, **self.options)


@dataclass(frozen=True)
class RasterConfig:
    """How orthorectified images are read: satellite passes, orthophotos, base maps.

    Attributes:
        token: side of a patch on the ground, metres, about: the patch has a power of two of pixels a side, from
            ``MIN_PATCH`` to ``MAX_PATCH``.
        context: pixels that are read beyond the map on each side.
        channels: within the encoder of rasters.
    """

    token: float = 4.0
    context: int = 8
    channels: int = 48

    def __post_init__(self) -> None:
        if not (self.token > 0 and self.context >= 0 and self.channels > 0):
            raise ConfigError(
                f"rasters: token {self.token} m and channels {self.channels} must be more than 0, context "
                f"{self.context} pixels at least 0"
            )

    def patch_size(self, ground_sample_distance: float) -> int:
        """Return the pixels of a patch's side.

        Args:
            ground_sample_distance: metres a pixel.
        """
        power = round(np.log2(self.token / ground_sample_distance))
        return int(np.clip(2.0**power, MIN_PATCH, MAX_PATCH))


@dataclass(frozen=True)
class PerceptionConfig:
    """Configuration of a `PerceptionModel`; kept in the card beside its weights (`skyweave.perception.card`).

    Attributes:
        backbone: a size of `skyweave.backbone.build_backbone`.
        patch_size: pixels per patch side in the encoder.
        stride: pixels per cell of the feature map that is lifted: ``patch_size`` or half or a quarter of it.
        balance: how exposure and colour of images are evened out.
        neck: channels of that feature map.
        map: extent and resolution of the map.
        lift: how features come onto it.
        fusion: a name in `skyweave.mapping.fusion.FUSIONS`: how the maps of all platforms become one.
        trunk: channels of the bird's-eye-view encoder at full, half and quarter resolution.
        history: frames that the model sees, the present one included.
        horizon: future steps that it predicts.
        interval: seconds between frames.
        categories: classes that it distinguishes.
        heads: the options of each head by its name in `skyweave.perception.heads.HEADS`; a mapping of options becomes
            the head's own configuration class.
        rasters: how orthorectified images are read; None for a model that reads cameras only.

    Raises:
        ConfigError: numbers that do not fit together, or a head that there is not.
    """

    backbone: str = "tiny"
    patch_size: int = 16
    stride: int = 8
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    neck: int = 64
    map: MapConfig = field(default_factory=MapConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    fusion: str = "attention"
    trunk: tuple[int, int, int] = (48, 64, 96)
    history: int = 2
    horizon: int = 4
    interval: float = 0.5
    categories: tuple[str, ...] = ("car", "truck", "bus", "bicycle", "pedestrian")
    heads: dict[str, Any] = field(default_factory=lambda: {name: {} for name in TASKS})
    rasters: RasterConfig | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_names()
        heads = {name: _head_config(name, options) for name, options in self.heads.items()}
        object.__setattr__(self, "heads", heads)
        for name, options in heads.items():
            try:
                options.check(self)
            except ConfigError as error:
                raise ConfigError(f"heads.{name}: {error}") from error

    def _check_numbers(self) -> None:
        self._check_sizes()
        self._check_steps()

    def _check_sizes(self) -> None:
        """Check that stride and map fit the patches."""
        if self.patch_size % self.stride or self.patch_size // self.stride not in STRIDE_FACTORS:
            raise ConfigError(f"stride {self.stride} must be patch_size {self.patch_size}, half or a quarter of it")
        if self.map.cells % 4:
            raise ConfigError(f"a map of {self.map.cells} cells a side cannot be quartered; choose a multiple of 4")

    def _check_steps(self) -> None:
        """Check that history, horizon and interval are above zero."""
        if self.history < 1 or self.horizon < 1 or not self.interval > 0:
            raise ConfigError(
                f"history {self.history} and horizon {self.horizon} must be at least 1 frame, interval "
                f"{self.interval} more than 0 s"
            )

    def _check_names(self) -> None:
        if not self.heads or not self.categories:
            raise ConfigError("a model needs at least one head and one category")
        try:
            self.lift.build()
        except UnknownNameError as error:
            raise ConfigError(f"lift.bins: {error}") from error
        self._check_registered()

    def _check_registered(self) -> None:
        """Check that fusion and balance are registered."""
        for name, registry in ((self.fusion, FUSIONS), (self.balance.name, BALANCES)):
            if name not in registry:
                raise ConfigError(f"no {registry.noun} {name!r}; there are {', '.join(registry)}")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the heads, in the order in which they are made."""
        return tuple(self.heads)

    def with_heads(self, names: Iterable[str]) -> "PerceptionConfig":
        """Return a copy with these heads, in the order of the registry; those that are new have default options.

        Args:
            names: of heads.

        Raises:
            ConfigError: there is no such head.
        """
        names = set(names)
        ordered = [name for name in HEADS if name in names] + sorted(names - set(HEADS))
        return replace(self, heads={name: self.heads.get(name, {}) for name in ordered})


def _head_config(name: str, options: Any) -> Any:
    """The configuration of a head from its plain options."""
    try:
        config_class = HEADS[name].config_class
    except UnknownNameError as error:
        raise ConfigError(f"heads: {error}") from error
    if is_dataclass(options):
        return options
    try:
        return config_from_dict(options or {}, config_class)
    except ValueError as error:
        raise ConfigError(f"heads.{name}: {error}") from error
