"""Read a recording in the nuScenes table layout, without the devkit: ours, nuScenes, Air-Co-Pred, UAV3D."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import overload

from skyweave.core.errors import DataError
from skyweave.recordings.nuscenes.frames import Context, build_frame
from skyweave.recordings.nuscenes.layouts import NUSCENES, Layout, recognise_layout
from skyweave.recordings.nuscenes.link import LinkedScene, LinkedTables, link_tables
from skyweave.recordings.nuscenes.maps import read_base_maps, read_land_cover
from skyweave.recordings.nuscenes.rasters import read_ground
from skyweave.recordings.nuscenes.tables import EXTRAS_FILE, Extras, SceneExtras, SensorRow, read_extras, read_rows
from skyweave.recordings.recording import Frame, RecordedScene, Recording

SKYWEAVE_LAYOUT = "skyweave"


def load_recording(folder: str | Path, version: str | None = None, split: str | None = None) -> Recording:
    """A recording from its folder: the tables at once, frames of a scene when they are asked for, images later still.

    Args:
        folder: that holds ``v1.0-...`` (or that folder itself).
        version: folder of the tables, where there are several.
        split: only the scenes of this split.

    Returns:
        What is wrong in part (rows that point nowhere, poses with NaN) is left out and said in ``notes``. A picture
        whose file is missing or of another size than its table says raises ``ValueError`` when it is loaded.

    Raises:
        FileNotFoundError: no recording there, or a table that nothing goes without is missing.
        ValueError: no such version or split, several versions and none chosen, or a damaged table.
    """
    root, version = find_version(folder, version)
    extras = _read_extras(root, version)
    layout = NUSCENES if extras else recognise_layout(_channels(root, version))
    linked = link_tables(root, version, layout.poses_needed)
    names = [scene.row.name for scene in linked.scenes]
    splits = _splits(extras, layout, version, names)
    _check_split(split, splits, root)
    context = Context(root, layout, extras, linked.annotated)
    return Recording(
        name=extras.name if extras else root.name,
        scenes=_selected_scenes(linked, split, splits, context),
        splits=splits,
        categories=_categories(extras, layout, linked),
        surfaces=tuple(extras.surfaces) if extras else (),
        notes=(*_notes(layout, linked, bool(names) and not splits), *([] if extras else _renamed(layout, linked))),
    )


def _read_extras(root: Path, version: str) -> Extras | None:
    """Read what lies beside the tables, where it is our recording."""
    extras_file = root / version / EXTRAS_FILE
    return read_extras(extras_file) if extras_file.exists() else None


def _check_split(split: str | None, splits: dict[str, tuple[str, ...]], root: Path) -> None:
    """Check that the recording has a split."""
    if split is not None and split not in splits:
        raise DataError(f"{root} has no split {split!r}; it has {', '.join(splits) or 'none'}")


def _selected_scenes(
    linked: LinkedTables, split: str | None, splits: dict[str, tuple[str, ...]], context: Context
) -> list[RecordedScene]:
    """Return the scenes of a split, or all."""
    return [_scene(row, context) for row in linked.scenes if split is None or row.row.name in splits[split]]


def _splits(extras: Extras | None, layout: Layout, version: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the splits that the recording or its publisher states, of the scenes that are there."""
    stated = {key: tuple(scenes) for key, scenes in extras.splits.items()} if extras else layout.splits(version, names)
    return {key: tuple(name for name in scenes if name in names) for key, scenes in stated.items()}


def _categories(extras: Extras | None, layout: Layout, linked: LinkedTables) -> tuple[str, ...]:
    names = [name for name, _ in extras.categories] if extras else map(layout.category, linked.categories)
    return tuple(dict.fromkeys(names))


def _notes(layout: Layout, linked: LinkedTables, without_splits: bool) -> tuple[str, ...]:
    notes = [*layout.notes, *linked.notes]
    if others := sorted(channel for channel, modality in linked.channels.items() if modality != "camera"):
        notes.append(f"no images: {', '.join(others)} (lidar and radar are not read)")
    if without_splits:
        notes.append("the scenes are in none of the published splits; it has no splits")
    return tuple(notes)


def _renamed(layout: Layout, linked: LinkedTables) -> list[str]:
    """Return a note of the categories that have another name here than in the tables."""
    renamed = [f"{name} is {layout.category(name)}" for name in linked.categories if layout.category(name) != name]
    return [f"categories are called as the benchmark calls its classes: {', '.join(renamed)}"] if renamed else []


def find_version(folder: str | Path, version: str | None = None) -> tuple[Path, str]:
    """Find the root that file names start from, and the folder of the tables.

    Args:
        folder: that holds ``v1.0-...``, or that folder itself.
        version: folder of the tables, where there are several.

    Raises:
        FileNotFoundError: no recording there.
        DataError: no such version, or several and none chosen.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "scene.json").exists() and version in (None, folder.name):
        return folder.parent, folder.name
    versions = _list_versions(folder)
    if version is not None:
        if version not in versions:
            raise DataError(f"{folder} has no version {version!r}; there are {', '.join(versions) or 'none'}")
        return folder, version
    return _only_version(versions, folder)


def _list_versions(folder: Path) -> list[str]:
    """Return the names of the folders with tables."""
    return sorted(path.parent.name for path in folder.glob("*/scene.json") if not path.parent.name.startswith("."))


def _only_version(versions: list[str], folder: Path) -> tuple[Path, str]:
    """Return the only version of a folder, or raise what says why there is none."""
    if len(versions) == 1:
        return folder, versions[0]
    if versions:
        raise DataError(f"{folder} has the versions {', '.join(versions)}; choose one of them")
    below = sorted(path.parent.parent.name for path in folder.glob("*/*/scene.json"))
    hint = f"did you mean {folder / below[0]}?" if below else "one has a folder v1.0-... with scene.json in it"
    raise FileNotFoundError(f"{folder} is a folder, but holds no recording; {hint}")


def recording_layout(folder: str | Path, version: str | None = None) -> str:
    """Return the layout of a recording: ``skyweave``, ``nuscenes``, ``air-co-pred`` or ``uav3d``.

    Args:
        folder: as of `load_recording`.
        version: as of `load_recording`.

    Raises:
        FileNotFoundError, DataError: as of `load_recording`.
    """
    root, version = find_version(folder, version)
    return (
        SKYWEAVE_LAYOUT if (root / version / EXTRAS_FILE).exists() else recognise_layout(_channels(root, version)).name
    )


class LazyFrames(Sequence[Frame]):
    """Frames that are built when they are asked for, and kept."""

    def __init__(self, count: int, build: Callable[[int], Frame]) -> None:
        self._build = build
        self._frames: list[Frame | None] = [None] * count

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        frame = self._frames[number]
        if frame is None:
            frame = self._frames[number] = self._build(number)
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[number] for number in range(len(self)))


def _scene(scene: LinkedScene, context: Context) -> RecordedScene:
    known = context.extras.scenes.get(scene.row.name, SceneExtras()) if context.extras else SceneExtras()
    if not context.extras:
        known.ground = context.layout.ground(context.layout.world_from_ego(scene.samples[0]))
    frames = LazyFrames(len(scene.samples), partial(build_frame, scene, context, known.crs))
    return RecordedScene(
        name=scene.row.name,
        frames=frames,
        crs=known.crs,
        description=scene.row.description,
        location=scene.location,
        ground=read_ground(context.root, known),
        base_maps=read_base_maps(context.root, known, context.sensor),
        land_cover=read_land_cover(context.root, known),
    )


def _channels(root: Path, version: str) -> dict[str, str]:
    path = root / version / "sensor.json"
    if not path.exists():
        raise FileNotFoundError(f"{root / version} has no sensor.json")
    return {row.channel: row.modality for row in read_rows(path, SensorRow)}
