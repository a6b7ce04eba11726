"""A moment that the perception model never saw: boxes, instances and forecasts of one platform, and of all
collaborative.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.outlines import name_colour
from skyweave.perception.batch import PerceptionSample, collate
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import ego_only_dataset, evaluate
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import predict
from skyweave.perception.results import Detections, ScenePrediction, Trajectories
from skyweave.recordings.recording import Annotations, RecordedScene
from skyweave.viewing.contact_sheet import draw_capture, draw_map

MIN_DRAWN_SCORE = 0.3  # score from which a box is drawn
SCORES = ("mAP", "IoU", "VPQ")
FRAMES = 8  # of a scene; the middle one is shown


@dataclass(frozen=True)
class PerceptionFigures:
    """Pictures, each (rows, columns, 3) uint8, and scores.

    Attributes:
        names: of the platforms, the one that perceives first.
        views: of each, with the boxes that all collaborative find.
        truth, ego_only, collaborative: the map with what is there, what the first platform finds alone, and what all
            find:
            boxes, instances as filled cells, and where each will be in the next seconds.
        scores: over all moments shown and not shown: metric to (alone, collaborative).
        samples: how many moments these are of.
        seconds: that one moment of all platforms took.
    """

    names: tuple[str, ...]
    views: list[np.ndarray]
    truth: np.ndarray
    ego_only: np.ndarray
    collaborative: np.ndarray
    scores: dict[str, tuple[float, float]]
    samples: int
    seconds: float


def make_perception_figures(scenes: Sequence[RecordedScene], model: PerceptionModel) -> PerceptionFigures:
    """Perceive every frame of some scenes, and draw one of them.

    Args:
        scenes: with annotations.
        model: to perceive with.
    """
    samples = PerceptionDataset(scenes, model.config)
    single = ego_only_dataset(samples)
    shown = FRAMES // 2
    sample = samples[shown]
    started = time.perf_counter()
    prediction = predict(model, collate([sample]))[0]
    seconds = time.perf_counter() - started
    ego_prediction = predict(model, collate([single[shown]]))[0]
    scene = scenes[0]
    truth = np.asarray(draw_map(scene, sample.frame_index, sample.grid))
    with_boxes = _with_boxes(scene, sample, prediction)
    frame = with_boxes.frames[sample.frame_index]
    by_platform = {capture.platform: name for name, capture in frame.captures.items()}
    every, ego_only = (evaluate(model, one, batch_size=2, tracks=False).values for one in (samples, single))
    return PerceptionFigures(
        names=sample.platforms,
        views=[np.asarray(draw_capture(frame, by_platform[name])) for name in sample.platforms],
        truth=truth,
        ego_only=_draw_prediction(scene, sample, ego_prediction),
        collaborative=_draw_prediction(scene, sample, prediction),
        scores={name: (ego_only[name], every[name]) for name in SCORES if name in every},
        samples=len(samples),
        seconds=seconds,
    )


def simulate_unseen_scenes(count: int = 2, frames: int = FRAMES, interval: float = 0.5) -> list[RecordedScene]:
    """Simulate crossings among tall buildings and many trees, of a seed that no training uses; always the same.

    Args:
        count: scenes.
        frames: of each.
        interval: seconds between frames.
    """
    from skyweave.simulator.config import (
        CameraConfig,
        PlatformConfig,
        RoadsConfig,
        SceneryConfig,
        TrafficConfig,
        WorldConfig,
    )
    from skyweave.simulator.world import simulate_scene

    drones = PlatformConfig(
        count=4,
        altitude=(15.0, 35.0),
        distance=(25.0, 45.0),
        offset=16.0,
        cameras=[CameraConfig(rows=192, columns=320, field_of_view=(40.0, 58.0))],
    )
    world = WorldConfig(
        name="unseen",
        frames=frames,
        interval=interval,
        seed=987654,
        roads=RoadsConfig(size=160.0),
        traffic=TrafficConfig(cars=24, trucks=4, buses=3, bicycles=6, pedestrians=14, parked=24),
        scenery=SceneryConfig(buildings=24, building_height=(6.0, 18.0), trees=90),
        platforms=[drones],
    )
    return [simulate_scene(world, index) for index in range(count)]


def _with_boxes(scene: RecordedScene, sample: PerceptionSample, prediction: ScenePrediction) -> RecordedScene:
    """The scene, its annotations being the predicted boxes."""
    assert prediction.detections is not None
    sure = prediction.detections.select(np.flatnonzero(prediction.detections.scores >= MIN_DRAWN_SCORE))
    names = tuple(str(number) for number in range(len(sure)))
    boxes = Annotations(sure.boxes, sure.velocities, sure.categories, names)
    frames = list(scene.frames)
    frames[sample.frame_index] = replace(frames[sample.frame_index], annotations=boxes)
    return replace(scene, frames=frames)


def _draw_prediction(scene: RecordedScene, sample: PerceptionSample, prediction: ScenePrediction) -> np.ndarray:
    """The map with boxes, instances and forecasts."""
    image = draw_map(_with_boxes(scene, sample, prediction), sample.frame_index, sample.grid)
    if prediction.instances is not None:
        _draw_instances(image, prediction.instances[0].identities)
    if prediction.trajectories is not None and prediction.detections is not None:
        _draw_trajectories(image, sample.grid, prediction.trajectories, prediction.detections)
    return np.asarray(image)


def _draw_instances(image: Image.Image, cells: np.ndarray) -> None:
    """Fill the cells (rows, columns) of every object in a colour of its own; 0 is no object."""
    colours = np.array([(0, 0, 0), *(name_colour(f"object {i}") for i in range(1, int(cells.max()) + 1))], np.uint8)
    layer = Image.fromarray(colours[cells]).resize(image.size, Image.Resampling.NEAREST)
    mask = Image.fromarray(np.where(cells > 0, 110, 0).astype(np.uint8)).resize(image.size)
    image.paste(layer, (0, 0), mask)


def _draw_trajectories(image: Image.Image, grid: MapGrid, trajectories: Trajectories, detections: Detections) -> None:
    """Draw where the objects that are found with some certainty will be."""
    drawing = ImageDraw.Draw(image)
    scale = image.width / grid.columns
    paths = trajectories.best_modes()
    for start, path, score in zip(detections.boxes.centres, paths, detections.scores, strict=False):
        if score >= MIN_DRAWN_SCORE:
            cells = grid.cells_from_world(np.vstack([start[:2], path]))
            drawing.line([(column * scale, row * scale) for row, column in cells], fill=(255, 255, 255), width=2)
