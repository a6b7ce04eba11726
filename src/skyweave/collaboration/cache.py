"""What every platform of a recording sees and detects by itself, worked out once: collaboration is trained on it."""

import json
import secrets
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from skyweave.collaboration.observer import MARGIN_CELLS, EgoMaps, EgoObserver
from skyweave.core.atomic_write import claim_folder, removed_when_broken_off, write_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.inner_path import path_below
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.recording import Capture, Frame, RecordedScene
from skyweave.wire import BoxList, Pose

INDEX_FILE = "index.json"  # it names the two arrays: the cache is that of before until this one is replaced
MAX_FLOAT16 = 65000.0  # of a feature, which is stored in 16 bits
BOX_DECIMALS = 4
BOX_COLUMNS = ("centres", "sizes", "yaws", "classes", "scores", "velocities")

Key = tuple[str, int, str]  # scene, frame, platform
Disturb = Callable[[CameraGeometry, Key], CameraGeometry]
Progress = Callable[[int, int], None]


class FeatureCache:
    """The folder that ``build_feature_cache`` wrote; maps are read from it by (scene, frame, platform).

    Args:
        folder: of the cache.

    Raises:
        FileNotFoundError: there is no finished cache.
        DataError: the cache is damaged.

    Attributes:
        model: fingerprint of the perception model that made it.
        entries: what is known of each map, by key.
        arrays: names of the files of features and of visible cells.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / INDEX_FILE).exists():
            raise FileNotFoundError(f"{folder} holds no cache of features; it is made by `skyweave train`")
        self.folder = folder
        try:
            index = json.loads((folder / INDEX_FILE).read_text())
            self.model: str = index["model"]
            self.entries: dict[Key, dict[str, Any]] = {
                (entry["scene"], entry["frame"], entry["platform"]): entry for entry in index["entries"]
            }
            self.arrays: tuple[str, str] = index.get("arrays", ("features.npy", "visible.npy"))  # of earlier ones
            self.features, self.visible = (_RowFile(path_below(folder, name)) for name in self.arrays)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"the cache of features in {folder} is damaged; delete it: {error}") from error

    def __contains__(self, key: Key) -> bool:
        return key in self.entries

    def __getitem__(self, key: Key) -> EgoMaps:
        entry, grid = self.entries[key], self.grid(key)
        visible = np.unpackbits(self.visible[entry["row"]], count=grid.rows * grid.columns).reshape(grid.shape)
        return EgoMaps(
            torch.from_numpy(np.asarray(self.features[entry["row"]], np.float32)),
            torch.from_numpy(visible.astype(bool)),
            grid,
            self.boxes(key),
            entry["time"],
            Pose(np.array(entry["pose"][:3]), np.array(entry["pose"][3:])),
        )

    def get(self, key: Key | None) -> EgoMaps | None:
        """Return the maps of a platform; None where no key is given.

        Args:
            key: of the cache, or None.
        """
        return None if key is None else self[key]

    def grid(self, key: Key) -> MapGrid:
        """Return the grid of a platform's map, without reading the map.

        Args:
            key: of the cache.
        """
        return MapGrid(*self.entries[key]["grid"])

    def boxes(self, key: Key) -> BoxList:
        """Return the boxes that a platform detected by itself, without reading its map.

        Args:
            key: of the cache.
        """
        return _boxes_from_entry(self.entries[key]["boxes"])


class _RowFile:
    """An array in a file, read row by row: mapped into memory, a disk that fails would end the process with no word."""

    def __init__(self, path: Path) -> None:
        header = np.load(path, mmap_mode="r")
        self._path, self._offset = path, header.offset
        self._shape, self._dtype = header.shape[1:], header.dtype

    def __getitem__(self, row: int) -> NDArray[Any]:
        content = np.empty(self._shape, self._dtype)
        with self._path.open("rb") as stream:
            stream.seek(self._offset + row * content.nbytes)
            stream.readinto(content.data.cast("B"))
        return content


def build_feature_cache(
    folder: Path,
    model: PerceptionModel,
    fingerprint: str,
    scenes: Sequence[RecordedScene],
    disturb: Disturb | None = None,
    progress: Progress | None = None,
    frames: Collection[tuple[str, int]] | None = None,
) -> FeatureCache:
    """Let every platform of every frame observe by itself, and keep it; what is there already is used.

    Args:
        folder: of the cache.
        model: the perception model, on any device.
        fingerprint: of the model; a cache of another one is made anew, and replaced when the new one is whole.
        scenes: to be observed.
        disturb: changes the pose that a platform believes it has.
        progress: called with maps done and all.
        frames: scene and number of those to be observed; None: all.
    """
    keys = _keys(scenes, frames)
    cached = _usable_cache(folder, fingerprint, keys)
    if cached is not None:
        return cached
    build = secrets.token_hex(4)  # arrays of another name: whoever reads the cache before never gets numbers of this
    names = f"features.{build}.npy", f"visible.{build}.npy"
    with claim_folder(folder):
        _remove_unused(folder)
        with (
            removed_when_broken_off(folder),
            write_aside(folder / INDEX_FILE) as index,  # renamed last
            write_aside(folder / names[1]) as visible,
            write_aside(folder / names[0]) as features,
        ):
            entries = _fill_cache(features, visible, model, scenes, keys, disturb, progress)
            index.write_text(json.dumps({"model": fingerprint, "arrays": names, "entries": entries}))
        _remove_unused(folder)
    return FeatureCache(folder)


def _remove_unused(folder: Path) -> None:
    """Remove the arrays of caches that were replaced, or never finished."""
    used = set(FeatureCache(folder).arrays) if (folder / INDEX_FILE).exists() else set[str]()
    for path in (*folder.glob("features*.npy"), *folder.glob("visible*.npy")):
        if path.name not in used:
            path.unlink(missing_ok=True)


def _fill_cache(
    features_file: Path,
    visible_file: Path,
    model: PerceptionModel,
    scenes: Sequence[RecordedScene],
    keys: Sequence[Key],
    disturb: Disturb | None,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Observe all that the keys name into new files; return the entries of their index."""
    side = model.config.map.cells + 2 * MARGIN_CELLS
    total = len(keys)
    entries: list[dict[str, Any]] = []
    by_name = {scene.name: scene for scene in scenes}
    observers: dict[tuple[str, str], EgoObserver] = {}
    with features_file.open("wb") as features, visible_file.open("wb") as visible:
        _write_header(features, np.float16, (total, model.config.lift.channels, side, side))
        _write_header(visible, np.uint8, (total, -(-side * side // 8)))
        for row, key in enumerate(keys):
            scene = by_name[key[0]]
            observer = observers.setdefault((scene.name, key[2]), EgoObserver(model))
            ego = _observe(observer, scene, scene.frames[key[1]], key, disturb)
            stored = ego.features.clamp(-MAX_FLOAT16, MAX_FLOAT16).cpu().numpy().astype(np.float16)
            features.write(stored.tobytes())
            visible.write(np.packbits(ego.visible.cpu().numpy()).tobytes())
            entries.append(_entry(key, row, ego))
            if progress is not None:
                progress(row + 1, total)
    return entries


def _write_header(stream: BinaryIO, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Begin a ``.npy`` file whose rows follow one by one."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def platform_names(frame: Frame) -> list[str]:
    """Return the names of the platforms of a frame, sorted.

    Args:
        frame: of a recording.
    """
    return sorted({capture.platform for capture in frame.captures.values()})


def _keys(scenes: Sequence[RecordedScene], frames: Collection[tuple[str, int]] | None) -> list[Key]:
    """Return the keys of all platforms' maps in some frames, or in all."""
    return [
        (scene.name, f, platform)
        for scene in scenes
        for f, frame in enumerate(scene.frames)
        if frames is None or (scene.name, f) in frames
        for platform in platform_names(frame)
    ]


def _usable_cache(folder: Path, fingerprint: str, keys: Sequence[Key]) -> FeatureCache | None:
    """Return the cache of a folder if it is of this model and has all of these maps."""
    if not (folder / INDEX_FILE).exists():
        return None
    cache = FeatureCache(folder)
    complete = _have_poses(cache)  # earlier ones have none
    return cache if cache.model == fingerprint and complete and set(keys) <= set(cache.entries) else None


def _have_poses(cache: FeatureCache) -> bool:
    """Return whether every entry has a pose."""
    return all("pose" in entry for entry in cache.entries.values())


def _observe(observer: EgoObserver, scene: RecordedScene, frame: Frame, key: Key, disturb: Disturb | None) -> EgoMaps:
    captures = _captures_of(frame, key)
    geometries = [c.geometry if disturb is None else disturb(c.geometry, key) for c in captures]
    return observer.observe([c.load() for c in captures], geometries, frame.time, scene.ground, scene.crs)


def _captures_of(frame: Frame, key: Key) -> list[Capture]:
    """Return the captures of the platform of a key."""
    return [capture for capture in frame.captures.values() if capture.platform == key[2]]


def _entry(key: Key, row: int, ego: EgoMaps) -> dict[str, Any]:
    grid, pose = ego.grid, ego.pose
    return {
        "scene": key[0], "frame": key[1], "platform": key[2], "row": row, "time": ego.time,
        "grid": [grid.west, grid.north, grid.resolution, grid.rows, grid.columns, grid.crs],
        "pose": [*pose.position.tolist(), *pose.quaternion.tolist()],
        "boxes": {name: np.round(getattr(ego.boxes, name), BOX_DECIMALS).tolist() for name in BOX_COLUMNS},
    }  # fmt: skip


def _boxes_from_entry(entry: dict[str, Any]) -> BoxList:
    count = len(entry["scores"])
    return BoxList(
        np.array(entry["centres"], np.float64).reshape(count, 3),
        np.array(entry["sizes"], np.float64).reshape(count, 3),
        np.array(entry["yaws"], np.float64).reshape(count),
        np.array(entry["classes"], int).reshape(count),
        np.array(entry["scores"], np.float64).reshape(count),
        np.array(entry["velocities"], np.float64).reshape(count, 2),
    )
