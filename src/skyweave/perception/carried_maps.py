"""Base maps that a platform carries on board: placed on its own map where it flies, and sent to nobody."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from skyweave.core.errors import ConfigError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground
from skyweave.core.observation import Observation
from skyweave.perception.model import PerceptionModel, PlatformMaps
from skyweave.perception.views import RasterView, Views, view_raster
from skyweave.recordings.recording import BaseMap

KEPT_GRIDS = 4  # whose base maps are kept: a platform that hovers encodes them once


@dataclass(frozen=True)
class LoadedMap:
    """A base map in memory.

    Attributes:
        observation: its pixels and place.
        time: UTC nanoseconds when it was taken; None where that is not known.
        position_std: standard deviation of its place, metres; None where that is not known.
    """

    observation: Observation
    time: int | None
    position_std: float | None


class CarriedMaps:
    """The base maps of one platform, read once.

    Args:
        model: that reads them.
        base_maps: of where the platform flies; none is fine.

    Raises:
        ConfigError: there are some, and the model reads cameras only.
        DataError: one has no place on a map.
    """

    def __init__(self, model: PerceptionModel, base_maps: Sequence[BaseMap] = ()) -> None:
        self.model = model
        if base_maps and model.config.rasters is None:
            raise ConfigError(
                "base_maps: this model reads cameras only; leave them out, or take one trained with model.rasters"
            )
        self.loaded = [LoadedMap(base.load(), base.time, base.position_std) for base in base_maps]
        self._placed: dict[MapGrid, PlatformMaps] = {}

    @torch.inference_mode()
    def place(self, grid: MapGrid, ground: Ground, time: int) -> PlatformMaps | None:
        """Return the base maps as platforms of one sample; None where none meets the map.

        Args:
            grid: the map.
            ground: under it.
            time: of the platform's frame, UTC nanoseconds. What was placed on a map keeps the age that it had then.
        """
        if grid not in self._placed:
            views = self._views(grid, time)
            if not views:
                return None
            while len(self._placed) >= KEPT_GRIDS:
                del self._placed[next(iter(self._placed))]
            device = next(self.model.parameters()).device
            self._placed[grid] = self.model.observe(Views.from_views(views, [grid], len(views), [ground]).to(device))
        return self._placed[grid]

    def _views(self, grid: MapGrid, time: int) -> list[RasterView]:
        """What the base maps show of a map, each a platform of its own."""
        config = self.model.config.rasters
        if config is None:
            return []
        views: list[RasterView] = []
        for one in self.loaded:
            age = None if one.time is None else (time - one.time) / 1e9
            view = view_raster(one.observation, grid, config.context, age, one.position_std)
            if view is not None:
                views.append(RasterView(view.observation, view.geometry, 0, len(views), age, one.position_std))
        return views
