"""Cached maps as samples: what a collaborative model is evaluated on, and what training batches are made of."""

from collections.abc import Sequence

from skyweave.collaboration.cache import FeatureCache, Key, platform_names
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.batch import PerceptionSample
from skyweave.perception.config import PerceptionConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.views import View
from skyweave.recordings.recording import RecordedScene


class CachedDataset(PerceptionDataset):
    """Samples without images, on snapped grids: what `skyweave.perception.evaluation.evaluate` scores on.

    The ego is the platform ``frame mod platforms``, so that all take turns.

    Args:
        scenes: of one or several recordings.
        config: of the perception model.
        cache: maps of all platforms of these scenes.
        platforms: how many a sample has at most, the ego included.
        seed: of everything random.
    """

    def __init__(
        self,
        scenes: Sequence[RecordedScene],
        config: PerceptionConfig,
        cache: FeatureCache,
        platforms: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(scenes, config, None, platforms, seed)
        self.cache = cache

    def __getitem__(self, number: int) -> PerceptionSample:
        s, f = self.index[number]
        names = platform_names(self.scenes[s].frames[f])
        return self.sample(number, names[f % len(names)])

    def sample(
        self, number: int, ego: str, shift_cells: tuple[int, int] = (0, 0), cells: int | None = None
    ) -> PerceptionSample:
        """Return one frame as a platform sees it.

        Args:
            number: of the sample.
            ego: name of the platform.
            shift_cells: by which its map is moved south and east.
            cells: along a side of the map; None: as the model's map.
        """
        s, f = self.index[number]
        scene, frame = self.scenes[s], self.scenes[s].frames[f]
        names = [ego, *(name for name in platform_names(frame) if name != ego)][: self.platforms]
        whole = self.cache.grid((scene.name, f, ego))
        cells, (rows, columns) = cells or self.config.map.cells, whole.shape
        north = whole.north - (rows - cells) // 2 - shift_cells[0]
        west = whole.west + (columns - cells) // 2 + shift_cells[1]
        grid = MapGrid(west, north, whole.resolution, cells, cells, whole.crs)
        objects = self.timelines[s].objects_at(f, grid, names)
        frames: list[list[View]] = [[] for _ in range(self.config.history)]
        return PerceptionSample(frames, grid, scene.ground, objects, scene.name, f, ego, tuple(names), frame.time)

    def keys(self, number: int, platform: str) -> list[Key | None]:
        """Return for each of the model's frames, the oldest first, where the cache has a platform's map.

        Args:
            number: of the sample.
            platform: its name.

        Returns:
            keys of the cache; None for frames that it does not have.
        """
        s, f = self.index[number]
        scene = self.scenes[s]
        keys: list[Key | None] = []
        for past in self.timelines[s].past_frames(scene.frames[f].time):
            key = (scene.name, past, platform) if past is not None else None
            keys.append(key if key is not None and key in self.cache else None)
        return keys
