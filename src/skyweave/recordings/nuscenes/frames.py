"""One frame of a recording from its joined rows: captures that load their files when asked, and annotations."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import make_transform, rotation_from_quaternion
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor, get_sensor
from skyweave.core.sensors.description import sensor_from_dict
from skyweave.recordings.nuscenes import rasters
from skyweave.recordings.nuscenes.layouts import NUSCENES, Layout
from skyweave.recordings.nuscenes.link import LinkedScene, Moment, Picture, nanoseconds
from skyweave.recordings.nuscenes.tables import CaptureExtras, Extras, FrameExtras, SampleAnnotation
from skyweave.recordings.recording import ANY, Annotations, Capture, Frame

VISIBLE_SHARE = {"1": 0.2, "2": 0.5, "3": 0.7, "4": 0.9}  # middle of the schema's ranges 0-40, 40-60, 60-80, 80-100 %
LONGEST_GAP = 1.5  # seconds between two places of an object that still give a velocity, as in the devkit
CAR_DISTANCE = 20.0  # metres to what a camera on a car looks at


@dataclass(frozen=True)
class Context:
    """What all frames of a recording share."""

    root: Path
    layout: Layout
    extras: Extras | None
    annotated: bool
    sensors: dict[str, Sensor] = field(default_factory=dict)

    def sensor(self, name: str) -> Sensor:
        """The sensor that the recording describes under this name, built once."""
        if name not in self.sensors:
            described = self.extras.sensors.get(name) if self.extras else None
            self.sensors[name] = sensor_from_dict(described, str(self.root)) if described else get_sensor(name)
        return self.sensors[name]


@dataclass(frozen=True)
class PictureFile:
    """What a capture of a stored recording loads.

    Attributes:
        path: an image of 8-bit colours, or ``.npz`` with the pixels of any other sensor.
        geometry: of the camera.
        time: UTC nanoseconds.
        sensor: that took it.
        ground_sample_distance: metres.
        notes: of the observation.
    """

    path: Path
    geometry: CameraGeometry
    time: int
    sensor: Sensor
    ground_sample_distance: float
    notes: tuple[str, ...] = ()

    def __call__(self) -> Observation:
        """The picture. Raises ``ValueError`` that names a missing file, or one of another size than its camera's."""
        valid: np.ndarray | None = None
        if self.path.suffix == ".npz":
            pixels, valid = rasters.read_pixels(self.path)
        else:
            pixels = rasters.read_image(self.path).transpose(2, 0, 1)
        camera = self.geometry.camera
        if pixels.shape[1:] != (camera.rows, camera.columns):
            raise DataError(
                f"{self.path} has {pixels.shape[1]} x {pixels.shape[2]} pixels, but its table says {camera.rows} x "
                f"{camera.columns}; the camera matrix would not fit: repair the table, or put the original back"
            )
        return Observation.from_pixels(
            pixels,
            self.sensor,
            self.ground_sample_distance,
            valid,
            geometry=self.geometry,
            time=self.time,
            source=str(self.path),
            notes=self.notes,
        )


def build_frame(scene: LinkedScene, context: Context, crs: str | None, number: int) -> Frame:
    """Frame ``number`` of a scene; ``crs`` is of the world."""
    moment, extras = scene.moments[number], context.extras
    known = extras.frames.get(moment.token) if extras else None
    ego = None if extras else context.layout.world_from_ego(moment)
    rows = moment.annotations
    places: tuple[int, ...] | None = None
    if known and known.annotations is not None:
        order = {token: index for index, token in enumerate(known.annotations)}
        rows = sorted((pair for pair in rows if pair[0].token in order), key=lambda pair: order[pair[0].token])
        if len(rows) < len(order):  # some were left out: instance rasters count all of them
            kept = {row.token: place for place, (row, _) in enumerate(rows)}
            places = tuple(kept.get(token, -1) for token in known.annotations)
    captures = {}
    for picture in moment.pictures:
        own = extras.captures.get(picture.data.token) if extras else None
        captures[picture.channel] = (
            _own_capture(picture, own, context, crs, places) if own else _capture(picture, scene, context, ego)
        )
    annotations: Annotations | None
    if known:
        annotations = None if known.annotations is None else _own_annotations(rows, known, context)
    else:
        annotations = _annotations(scene, number, context) if context.annotated else None
    return Frame(known.time if known else moment.time, captures, annotations, moment.token, ego)


def _capture(picture: Picture, scene: LinkedScene, context: Context, ego: np.ndarray | None) -> Capture:
    """A picture of a public recording."""
    layout, time = context.layout, nanoseconds(picture.data.timestamp)
    geometry = _geometry(picture, layout.world_from_camera(picture), None, (0.0,) * 5)
    ground = layout.ground(ego)
    away = CAR_DISTANCE if ground is None else max(float(geometry.position[2]) - ground, 1.0)
    distance = away / float(geometry.camera.intrinsics[0, 0])
    path = context.root / picture.data.filename
    return Capture(
        channel=picture.channel,
        platform=layout.platform(picture.channel, scene.vehicle),
        time=time,
        geometry=geometry,
        load=PictureFile(path, geometry, time, context.sensor("rgb"), distance),
    )


def _own_capture(
    picture: Picture, own: CaptureExtras, context: Context, crs: str | None, places: tuple[int, ...] | None
) -> Capture:
    """A picture of one of our recordings, with what lies beside the tables."""
    root, geometry = context.root, _geometry(picture, NUSCENES.world_from_camera(picture), crs, own.distortion)
    sensor = context.sensor(own.sensor)
    path = root / (own.pixels or picture.data.filename)
    true = None
    if own.true_translation and own.true_rotation:
        rotation = rotation_from_quaternion(np.array(own.true_rotation))
        pose = make_transform(rotation, np.array(own.true_translation))
        camera = geometry.camera
        intrinsics = camera.intrinsics if own.true_intrinsics is None else np.array(own.true_intrinsics)
        camera = PinholeCamera(intrinsics, camera.rows, camera.columns, camera.distortion)
        true = CameraGeometry(camera, pose, crs, picture.channel)
    return Capture(
        channel=picture.channel,
        platform=own.platform,
        time=own.time,
        geometry=geometry,
        load=PictureFile(path, geometry, own.time, sensor, own.ground_sample_distance, tuple(own.notes)),
        true_geometry=true,
        true_time=own.true_time,
        load_depth=partial(rasters.read_depth, root / own.depth) if own.depth else None,
        load_instances=partial(load_indices, root / own.instances, places) if own.instances else None,
        load_classes=partial(rasters.read_classes, root / own.classes) if own.classes else None,
    )


def _geometry(picture: Picture, pose: np.ndarray, crs: str | None, distortion: Any) -> CameraGeometry:
    intrinsics = np.array(picture.calibration.camera_intrinsic, np.float64)
    camera = PinholeCamera(intrinsics, picture.rows, picture.columns, distortion)
    return CameraGeometry(camera, pose, crs, picture.channel)


def _annotations(scene: LinkedScene, number: int, context: Context) -> Annotations:
    """The objects of one moment of a public recording; velocities from the moments before and after."""
    rows = scene.moments[number].annotations
    if not rows:
        return Annotations(Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)), np.zeros((0, 2)), (), ())
    boxes = context.layout.boxes([row for row, _ in rows])
    seen = [VISIBLE_SHARE.get(str(row.visibility_token), np.nan) for row, _ in rows]
    return Annotations(
        boxes=boxes,
        velocities=_velocities(scene, number, boxes, [row.instance_token for row, _ in rows], context.layout),
        categories=tuple(context.layout.category(category) for _, category in rows),
        instances=tuple(row.instance_token for row, _ in rows),
        visibility={ANY: np.array(seen)} if not np.isnan(seen).all() else {},
    )


def _own_annotations(rows: list[tuple[SampleAnnotation, str]], known: FrameExtras, context: Context) -> Annotations:
    """The objects of one moment of our recordings, in the order of the instance rasters."""
    assert known.annotations is not None
    order = {token: index for index, token in enumerate(known.annotations)}
    which = [order[row.token] for row, _ in rows]
    empty = np.zeros((0, 3))
    velocities = np.array(known.velocities, np.float64).reshape(-1, 2)
    return Annotations(
        boxes=NUSCENES.boxes([row for row, _ in rows]) if rows else Boxes(empty, empty, np.zeros(0)),
        velocities=velocities[which],
        categories=tuple(known.categories[index] for index in which),
        instances=tuple(known.names[index] for index in which),
        visibility={channel: np.array(seen, np.float64)[which] for channel, seen in known.visibility.items()},
    )


def _velocities(scene: LinkedScene, number: int, boxes: Boxes, instances: list[str], layout: Layout) -> np.ndarray:
    """(n, 2) from the places before and after, as the devkit does; NaN where an object is seen once or too seldom."""
    here = scene.moments[number]
    now = {instance: (here.time, place) for instance, place in zip(instances, boxes.centres[:, :2], strict=True)}
    before = _places(scene.moments[number - 1], layout) if number > 0 else {}
    after = _places(scene.moments[number + 1], layout) if number + 1 < len(scene.moments) else {}
    found = np.full((len(instances), 2), np.nan)
    for row, instance in enumerate(instances):
        (start, first), (end, last) = before.get(instance, now[instance]), after.get(instance, now[instance])
        seconds = (end - start) / 1e9
        longest = 2 * LONGEST_GAP if instance in before and instance in after else LONGEST_GAP
        if 0 < seconds <= longest:
            found[row] = (last - first) / seconds
    return found


def _places(moment: Moment, layout: Layout) -> dict[str, tuple[int, np.ndarray]]:
    if not moment.annotations:
        return {}
    rows = [row for row, _ in moment.annotations]
    centres = layout.boxes(rows).centres[:, :2]
    return {row.instance_token: (moment.time, place) for row, place in zip(rows, centres, strict=True)}


def load_indices(path: Path, places: tuple[int, ...] | None) -> np.ndarray:
    """Instances as indices into the annotations that were kept: ``places`` of each in the file's order, -1 for none."""
    instances = rasters.read_instances(path)
    if places is None:
        return instances
    found: np.ndarray = np.array([*places, -1], np.int32)[instances]  # -1 takes the last
    return found
