"""Read a recording in the nuScenes table layout, without the devkit: ours, nuScenes, Air-Co-Pred, UAV3D."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import overload

from skyweave.core.errors import DataError
from skyweave.recordings.nuscenes.frames import Context, build_frame
from skyweave.recordings.nuscenes.layouts import NUSCENES, recognise
from skyweave.recordings.nuscenes.link import LinkedScene, link
from skyweave.recordings.nuscenes.rasters import read_ground
from skyweave.recordings.nuscenes.tables import EXTRAS_FILE, SceneExtras, SensorRow, read_extras, read_rows
from skyweave.recordings.recording import Frame, RecordedScene, Recording

OWN_LAYOUT = "skyweave"


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
    extras_file = root / version / EXTRAS_FILE
    extras = read_extras(extras_file) if extras_file.exists() else None
    layout = NUSCENES if extras else recognise(_channels(root, version))
    linked = link(root, version, layout.poses_needed)
    notes = [*layout.notes, *linked.notes]
    if others := sorted(channel for channel, modality in linked.channels.items() if modality != "camera"):
        notes.append(f"no images: {', '.join(others)} (lidar and radar are not read)")
    names = [scene.row.name for scene in linked.scenes]
    stated = {k: tuple(v) for k, v in extras.splits.items()} if extras else layout.splits(version, names)
    splits = {k: tuple(name for name in v if name in names) for k, v in stated.items()}
    if not splits and names:
        notes.append("the scenes are in none of the published splits; it has no splits")
    if split is not None and split not in splits:
        raise DataError(f"{root} has no split {split!r}; it has {', '.join(splits) or 'none'}")
    context = Context(root, layout, extras, linked.annotated)
    scenes = [_scene(row, context) for row in linked.scenes if split is None or row.row.name in splits[split]]
    categories = [ours for ours, _ in extras.categories] if extras else map(layout.category, linked.categories)
    return Recording(
        name=extras.name if extras else root.name,
        scenes=scenes,
        splits=splits,
        categories=tuple(dict.fromkeys(categories)),
        surfaces=tuple(extras.surfaces) if extras else (),
        notes=tuple(notes),
    )


def find_version(folder: str | Path, version: str | None = None) -> tuple[Path, str]:
    """The root that file names start from and the folder of the tables. Raises as `load_recording`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if (folder / "scene.json").exists() and version in (None, folder.name):
        return folder.parent, folder.name
    found = sorted(path.parent.name for path in folder.glob("*/scene.json") if not path.parent.name.startswith("."))
    if version is not None:
        if version not in found:
            raise DataError(f"{folder} has no version {version!r}; it has {', '.join(found) or 'none'}")
        return folder, version
    if len(found) == 1:
        return folder, found[0]
    if found:
        raise DataError(f"{folder} has the versions {', '.join(found)}; choose one of them")
    below = sorted(path.parent.parent.name for path in folder.glob("*/*/scene.json"))
    hint = f"did you mean {folder / below[0]}?" if below else "one has a folder v1.0-... with scene.json in it"
    raise FileNotFoundError(f"{folder} is a folder, but holds no recording; {hint}")


def layout_name(folder: str | Path, version: str | None = None) -> str:
    """``skyweave``, ``nuscenes``, ``air-co-pred`` or ``uav3d``. Raises as `load_recording`."""
    root, version = find_version(folder, version)
    return OWN_LAYOUT if (root / version / EXTRAS_FILE).exists() else recognise(_channels(root, version)).name


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
        known.ground = context.layout.ground(context.layout.world_from_ego(scene.moments[0]))
    frames = LazyFrames(len(scene.moments), partial(build_frame, scene, context, known.crs))
    return RecordedScene(
        name=scene.row.name,
        frames=frames,
        crs=known.crs,
        description=scene.row.description,
        location=scene.location,
        ground=read_ground(context.root, known),
    )


def _channels(root: Path, version: str) -> dict[str, str]:
    path = root / version / "sensor.json"
    if not path.exists():
        raise FileNotFoundError(f"{root / version} has no sensor.json")
    return {row.channel: row.modality for row in read_rows(path, SensorRow)}
