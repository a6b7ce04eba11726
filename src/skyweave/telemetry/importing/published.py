"""Published recordings with layouts of their own, written in the ordinary tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skyweave.core.atomic_write import claim_folder
from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.recordings.nuscenes import finish_recording, write_scene
from skyweave.recordings.published import griffin, opv2v
from skyweave.recordings.recording import RecordedScene
from skyweave.telemetry.importing.scene import ImportReport


@dataclass(frozen=True)
class PublishedLayout:
    """One layout.

    Attributes:
        recognises: whether a folder is of it.
        read: its scenes.
        categories: all class names.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path], Iterator[RecordedScene]]
    categories: tuple[str, ...]


OPV2V = PublishedLayout(opv2v.is_opv2v, opv2v.read_opv2v, opv2v.CATEGORIES)
GRIFFIN = PublishedLayout(griffin.is_griffin, griffin.read_griffin, griffin.CATEGORIES)
PUBLISHED_LAYOUTS: Registry[PublishedLayout] = Registry(
    "published_layouts",
    "layout",
    {
        "opv2v": "skyweave.telemetry.importing.published:OPV2V",
        "griffin": "skyweave.telemetry.importing.published:GRIFFIN",
    },
)


def find_layout(folder: Path) -> str | None:
    """Return the name of the layout that a folder has; None where it has none of them.

    Args:
        folder: any path.
    """
    if not folder.is_dir():
        return None
    return next((name for name in PUBLISHED_LAYOUTS if PUBLISHED_LAYOUTS[name].recognises(folder)), None)


def import_published(
    source: Path,
    layout: str,
    folder: Path,
    split: str = "train",
    image_format: Literal["png", "jpg"] = "jpg",
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write the scenes of a published recording.

    Args:
        source: its folder.
        layout: name in `PUBLISHED_LAYOUTS`.
        folder: of the recording to write.
        split: of all scenes.
        image_format: ``jpg`` or ``png``.
        progress: called with frames done and all frames, for each scene.

    Raises:
        DataError: a file that is damaged, or nothing to write.
    """
    chosen = PUBLISHED_LAYOUTS[layout]
    names: list[str] = []
    captures: dict[str, int] = {}
    frames = objects = 0
    for scene in chosen.read(source):
        if not scene.frames:
            continue
        with claim_folder(folder):
            write_scene(folder, scene, chosen.categories, image_format=image_format, progress=progress)
        names.append(scene.name)
        frames += len(scene.frames)
        for frame in scene.frames:
            objects += 0 if frame.annotations is None else len(frame.annotations.boxes)
            for capture in frame.captures.values():
                captures[capture.platform] = captures.get(capture.platform, 0) + 1
    if not names:
        raise DataError(f"{source} is laid out as {layout} is and holds no images")
    tables = finish_recording(folder, folder.name, {split: names}, world={"imported": {"layout": layout}})
    return ImportReport(tables, frames, captures, objects, {})
