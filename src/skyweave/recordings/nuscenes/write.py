"""Write a recording in the nuScenes table layout, scene by scene, so that the ordinary devkit opens it unchanged.

Scenes are written by any number of processes: each gives its files and one fragment of the tables, last, which is what
makes it exist. `finish_recording` merges the fragments. Tokens are hashes of names, so the same scenes always give the
same files.
"""

import gzip
import re
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from skyweave.core.atomic_write import write_aside, write_folder_aside
from skyweave.core.errors import DataError
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import quaternion_from_rotation
from skyweave.core.images.true_color import display_bands, true_color_image
from skyweave.core.observation import Observation
from skyweave.core.sensors.description import sensor_to_dict
from skyweave.recordings.nuscenes import rasters
from skyweave.recordings.nuscenes.capture_journal import CaptureJournal, Written
from skyweave.recordings.nuscenes.categories import table_name
from skyweave.recordings.nuscenes.maps import write_maps
from skyweave.recordings.nuscenes.rows import SceneRows, fixed_rows
from skyweave.recordings.nuscenes.tables import (
    EXTRAS_FILE,
    FORMAT,
    TABLES,
    CaptureExtras,
    Extras,
    FrameExtras,
    SceneExtras,
)
from skyweave.recordings.recording import Annotations, Capture, Frame, RecordedScene

VERSION = "v1.0-trainval"
FRAGMENTS = "fragments"
MAX_FRAGMENT_BYTES = 1 << 29  # of the tables of one scene
MASK = "maps/mask.png"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
ImageFormat = Literal["png", "jpg"]


def scene_is_written(folder: str | Path, name: str, fingerprint: str = "") -> bool:
    """Return whether a scene lies whole in a folder, made from what ``fingerprint`` stands for.

    Args:
        folder: of the recording.
        name: of the scene.
        fingerprint: as given to `write_scene`.
    """
    path = _fragment_path(Path(folder), name)
    return path.exists() and _read_fragment(path)["fingerprint"] == fingerprint


def write_scene(
    folder: str | Path,
    scene: RecordedScene,
    categories: Sequence[str],
    *,
    image_format: ImageFormat = "png",
    fingerprint: str = "",
    journal: CaptureJournal | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """One scene: its images, what is known of their pixels, and its part of the tables, the last of all files.

    Args:
        folder: of the recording; processes may write different scenes into it at once.
        scene: its name becomes part of file names: letters, digits and ``. _ + -``.
        categories: all class names of the recording, in order.
        image_format: ``png`` is exact, ``jpg`` a fifth of its size. Anything but three 8-bit bands is stored exactly
            beside the image, which is then a preview.
        fingerprint: of what the scene was made from, for `scene_is_written`.
        journal: of images that an earlier run has written, which are kept; of scenes without truth about their pixels.
        progress: called with frames done and all frames.

    Returns:
        The fragment of the tables.

    Raises:
        ValueError: a name that no file can have, an unknown category, or shapes that do not fit together.
    """
    folder = Path(folder)
    _check_scene(scene, categories)
    _forget_scene(folder, scene.name)
    rows = SceneRows(scene)
    captures: dict[str, CaptureExtras] = {}
    frames: dict[str, FrameExtras] = {}
    sensors: dict[str, dict[str, Any]] = {}
    for number, frame in enumerate(scene.frames):
        sample = rows.add_frame(number)
        shown: list[np.ndarray] = []  # pixels that show each object, by picture
        for channel in sorted(frame.captures):
            capture = frame.captures[channel]
            where = f"scene {scene.name}, frame {number}, {channel}"
            stem = f"{scene.name}__{channel}__{number:05d}"
            image = f"samples/{channel}/{stem}.{image_format}"
            data = rows.add_capture(number, capture, image)
            kept = journal.find(image) if journal else None
            written = kept or _write_capture(folder, where, stem, image, capture, frame, shown)
            if journal and not kept:
                journal.add(image, written)
            captures[data] = written[0]
            for sensor, description in written[1].items():
                _add_sensor(sensors, sensor, description, where)
        frames[sample] = FrameExtras(frame.time)
        if (annotations := frame.annotations) is not None:
            pixels = np.sum(shown, axis=0) if shown else None
            frames[sample] = _frame_extras(frame.time, annotations, rows.add_annotations(number, annotations, pixels))
        if progress:
            progress(number + 1, len(scene.frames))
    known = rasters.write_ground(folder, f"truth/ground/{scene.name}.npz", scene)
    for sensor, described in write_maps(folder, scene, known).items():
        _add_sensor(sensors, sensor, described, f"scene {scene.name}")
    content = {
        "fingerprint": fingerprint,
        "scene": known,
        "categories": list(categories),
        "tables": rows.tables(),
        "captures": captures,
        "frames": frames,
        "sensors": sensors,
    }
    path = _fragment_path(folder, scene.name)
    with write_aside(path) as aside:
        aside.write_bytes(gzip.compress(msgspec.json.encode(content), 6, mtime=0))  # no time: the same bytes each run
    if journal:
        journal.remove()
    return path


def finish_recording(
    folder: str | Path,
    name: str,
    splits: Mapping[str, Sequence[str]],
    *,
    surfaces: Sequence[str] = (),
    world: Mapping[str, Any] | None = None,
    version: str = VERSION,
) -> Path:
    """The tables of all scenes that the splits name; replaces those of an earlier run in one step.

    Args:
        folder: that `write_scene` wrote to.
        name: of the recording.
        splits: names of scenes by split; a scene may be in several.
        surfaces: names of the values in class rasters.
        world: plain JSON types: how it was made, for the record.
        version: folder of the tables.

    Returns:
        The folder of the tables.

    Raises:
        ValueError: a scene is not written, or scenes disagree on categories or sensors.
    """
    folder = Path(folder)
    scenes = sorted({scene for names in splits.values() for scene in names})
    _check_scenes_written(scenes, name, folder)
    tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    extras = Extras(FORMAT, name, {k: list(v) for k, v in splits.items()}, [], list(surfaces), {}, {}, {}, {})
    extras.world = dict(world or {})
    categories: list[str] = []
    starts: set[int] = set()
    for scene in scenes:
        content = _read_fragment(_fragment_path(folder, scene))
        categories = _add_fragment(categories, content, scene, starts, tables, extras)
    extras.categories = [(category, table_name(category)) for category in categories]
    _write_mask(folder)
    lists = {table: list(rows.values()) for table, rows in tables.items()}
    lists |= fixed_rows(categories, list(tables["log"]), MASK)
    return _replace_tables(folder / version, lists, extras)


def _write_mask(folder: Path) -> None:
    """Write the mask that the devkit wants; nothing is known of the ground it would mask."""
    with write_aside(folder / MASK) as aside:
        rasters.write_classes(aside, np.full((64, 64), 255))


def _check_scenes_written(scenes: list[str], name: str, folder: Path) -> None:
    """Check that every scene that the splits name is written."""
    if not scenes:
        raise DataError(f"the splits of {name} name no scene; a recording needs one")
    if missing := [scene for scene in scenes if not _fragment_path(folder, scene).exists()]:
        raise DataError(f"{folder} lacks {len(missing)} of {len(scenes)} scenes ({missing[0]}, ...); write them first")


def _add_fragment(
    categories: list[str],
    content: dict[str, Any],
    scene: str,
    starts: set[int],
    tables: dict[str, dict[str, Any]],
    extras: Extras,
) -> list[str]:
    """Add the tables of one scene to those of the recording."""
    categories = categories or content["categories"]
    if content["categories"] != categories:
        raise DataError(f"scene {scene} has the categories {content['categories']}, others have {categories}")
    _start_alone(content["tables"], starts)
    for table, rows in content["tables"].items():
        tables[table].update((row["token"], row) for row in rows)
    for sensor, described in content["sensors"].items():
        _add_sensor(extras.sensors, sensor, described, f"scene {scene}")
    extras.scenes[scene] = msgspec.convert(content["scene"], SceneExtras)
    extras.captures |= msgspec.convert(content["captures"], dict[str, CaptureExtras])
    extras.frames |= msgspec.convert(content["frames"], dict[str, FrameExtras])
    return categories


def _write_capture(
    folder: Path,
    where: str,
    stem: str,
    image: str,
    capture: Capture,
    frame: Frame,
    shown: list[np.ndarray],
) -> Written:
    """The files of one picture; returns its sensor, too, and adds the pixels of each object to ``shown``."""
    observation, camera = capture.load(), capture.geometry.camera
    _check_shape(where, "image", observation.shape, capture)
    extras = CaptureExtras(
        platform=capture.platform,
        time=capture.time,
        sensor=observation.sensor.name,
        ground_sample_distance=observation.ground_sample_distance,
        distortion=camera.distortion,
        true_time=capture.true_time,
        notes=observation.notes,
    )
    rasters.write_image(folder / image, true_color_image(observation))
    _write_exact_pixels(observation, capture, stem, extras, folder)
    if capture.load_depth:
        extras.depth = f"truth/depth/{capture.channel}/{stem}.png"
        depth = capture.load_depth()
        _check_shape(where, "depth", depth.shape, capture)
        rasters.write_depth(folder / extras.depth, depth)
    if capture.load_instances:
        extras.instances = f"truth/instances/{capture.channel}/{stem}.png"
        instances = capture.load_instances()
        _check_shape(where, "instances", instances.shape, capture)
        count = len(frame.annotations.boxes) if frame.annotations else 0
        if instances.max(initial=-1) >= count:
            raise DataError(f"{where}: instances count to {int(instances.max())}, but {count} objects are annotated")
        shown.append(np.bincount(instances[instances >= 0], minlength=count))
        rasters.write_instances(folder / extras.instances, instances)
    if capture.load_classes:
        extras.classes = f"truth/classes/{capture.channel}/{stem}.png"
        classes = capture.load_classes()
        _check_shape(where, "classes", classes.shape, capture)
        rasters.write_classes(folder / extras.classes, classes)
    if (true := capture.true_geometry) is not None:
        _add_true_geometry(true, extras, camera)
    return extras, {observation.sensor.name: sensor_to_dict(observation.sensor)}


def _write_exact_pixels(
    observation: Observation, capture: Capture, stem: str, extras: CaptureExtras, folder: Path
) -> None:
    """Write the pixels exactly where the image is only a preview."""
    if not _is_plain_colour(observation):
        extras.pixels = f"truth/pixels/{capture.channel}/{stem}.npz"
        rasters.write_pixels(folder / extras.pixels, observation)


def _add_true_geometry(true: CameraGeometry, extras: CaptureExtras, camera: PinholeCamera) -> None:
    """Note the pose and intrinsics without noise."""
    extras.true_translation = true.position.tolist()
    extras.true_rotation = quaternion_from_rotation(true.world_from_camera[:3, :3]).tolist()
    if not np.array_equal(true.camera.intrinsics, camera.intrinsics):
        extras.true_intrinsics = true.camera.intrinsics.tolist()


def _frame_extras(time: int, annotations: Annotations, tokens: list[str]) -> FrameExtras:
    return FrameExtras(
        time=time,
        annotations=tokens,
        velocities=[tuple(v if np.isfinite(v) else None for v in pair) for pair in annotations.velocities.tolist()],
        visibility={channel: np.asarray(seen).tolist() for channel, seen in annotations.visibility.items()},
        names=list(annotations.instances),
        categories=list(annotations.categories),
    )


def _is_plain_colour(observation: Observation) -> bool:
    """Whether an 8-bit picture says all: red, green, blue, in 8 bits, all valid."""
    bands = observation.sensor.bands
    colours = display_bands(observation.sensor) == [0, 1, 2] and len(bands) == 3
    return colours and all(band.unit == "uint8" for band in bands) and bool(observation.valid.all())


def _check_scene(scene: RecordedScene, categories: Sequence[str]) -> None:
    _check_names(scene)
    if not scene.frames:
        raise DataError(f"scene {scene.name} has no frames; leave it out")
    for number, frame in enumerate(scene.frames):
        _check_frame(scene, number, frame, categories)


def _check_names(scene: RecordedScene) -> None:
    """Check that names can be part of file names."""
    for name in (
        scene.name,
        *(base.name for base in scene.base_maps),
        *{channel for frame in scene.frames for channel in frame.captures},
    ):
        if not NAME.fullmatch(name):
            raise DataError(f"{name!r} cannot be part of a file name; use letters, digits and . _ + -")


def _check_frame(scene: RecordedScene, number: int, frame: Frame, categories: Sequence[str]) -> None:
    """Check the time, captures and annotations of a frame."""
    where = f"scene {scene.name}, frame {number}"
    if number and frame.time <= scene.frames[number - 1].time:
        raise DataError(f"{where}: time {frame.time} is not after the frame before it; order the frames by time")
    _check_captures(frame, where, scene)
    _check_annotations(frame, categories, where)


def _check_annotations(frame: Frame, categories: Sequence[str], where: str) -> None:
    """Check the categories and identifiers of the annotations."""
    if frame.annotations is None:
        return
    if unknown := set(frame.annotations.categories) - set(categories):
        raise DataError(f"{where}: {sorted(unknown)[0]!r} is none of the categories {', '.join(categories)}")
    if len(set(frame.annotations.instances)) < len(frame.annotations.instances):
        raise DataError(f"{where}: two objects have the same identifier; give each instance its own")


def _check_captures(frame: Frame, where: str, scene: RecordedScene) -> None:
    """Check the channels and reference systems of the captures."""
    for channel, capture in frame.captures.items():
        if channel != capture.channel:
            raise DataError(f"{where}: the capture listed as {channel} calls its channel {capture.channel}")
        if capture.geometry.crs != scene.crs:
            raise DataError(f"{where}, {channel}: the camera is in {capture.geometry.crs}, not in {scene.crs}")


def _check_shape(where: str, what: str, shape: tuple[int, ...], capture: Capture) -> None:
    camera = capture.geometry.camera
    if tuple(shape) != (camera.rows, camera.columns):
        raise DataError(f"{where}: {what} of {shape} does not fit the camera of {camera.rows} x {camera.columns}")


def _add_sensor(sensors: dict[str, dict[str, Any]], name: str, described: dict[str, Any], where: str) -> None:
    if sensors.setdefault(name, described) != described:
        raise DataError(f"{where}: there is another sensor called {name!r}; give the two of them two names")


def _start_alone(tables: dict[str, list[dict[str, Any]]], starts: set[int]) -> None:
    """Move a scene by microseconds if another starts in the same one: the devkit cannot list two such scenes.

    The exact times are beside the tables, in nanoseconds.
    """
    start, later = tables["sample"][0]["timestamp"], 0
    while start + later in starts:
        later += 1
    starts.add(start + later)
    for table in ("sample", "sample_data", "ego_pose") if later else ():
        for row in tables[table]:
            row["timestamp"] += later


def _fragment_path(folder: Path, scene: str) -> Path:
    return folder / FRAGMENTS / f"{scene}.json.gz"


def _read_fragment(path: Path) -> dict[str, Any]:
    try:
        with gzip.open(path) as stream:
            text = stream.read(MAX_FRAGMENT_BYTES + 1)
        if len(text) > MAX_FRAGMENT_BYTES:
            raise OSError(f"more than {MAX_FRAGMENT_BYTES >> 20} MB")
        content: dict[str, Any] = msgspec.json.decode(text)
        return content
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and write the scene again") from None


def _replace_tables(target: Path, tables: dict[str, list[dict[str, Any]]], extras: Extras) -> Path:
    """Write a folder of tables aside and put it in the place of the old one."""
    with write_folder_aside(target) as aside:
        for table, rows in tables.items():
            (aside / f"{table}.json").write_bytes(msgspec.json.encode(rows))
        (aside / EXTRAS_FILE).write_bytes(msgspec.json.encode(extras))
    return target


def _forget_scene(folder: Path, name: str) -> None:
    """Let a scene that is written again be absent until it is whole, and with it the tables that list it."""
    fragment = _fragment_path(folder, name)
    if fragment.exists():
        fragment.unlink()
        for tables in folder.glob(f"*/{EXTRAS_FILE}"):
            shutil.rmtree(tables.parent)
