"""Perceiving and scoring recordings: what the front door offers."""

from collections.abc import Callable

import numpy as np
import pytest

import skyweave
from skyweave.collaboration import CollaborationConfig, CollaborativeModel, EvaluationConditions, EvaluationOptions
from skyweave.core.errors import ConfigError, DataError
from skyweave.demo.perception import simulate_unseen_scenes
from skyweave.recordings import RecordedScene

THREE_FRAMES = 3


@pytest.fixture(scope="module")
def scene() -> RecordedScene:
    return simulate_unseen_scenes(1, THREE_FRAMES)[0]


@pytest.fixture(scope="module")
def crossing() -> CollaborativeModel:
    return skyweave.load("crossing")


def test_every_frame_is_perceived_by_the_ego(scene: RecordedScene, crossing: CollaborativeModel) -> None:
    predictions = list(skyweave.perceive(crossing, scene, ego="UAV_2", budget_bytes=3000))
    assert len(predictions) == THREE_FRAMES
    for frame, prediction in zip(scene.frames, predictions, strict=True):
        assert prediction.detections is not None and prediction.instances is not None
        assert prediction.detections.time == frame.time and len(prediction.detections) > 3


def test_messages_show_what_the_ego_cannot_see(scene: RecordedScene, crossing: CollaborativeModel) -> None:
    frame = scene.frames[-1]
    assert frame.annotations is not None

    def matched(perceive: Callable[[], object]) -> int:
        prediction = list(perceive())[-1]  # type: ignore[call-overload]
        boxes = prediction.detections.boxes.centres[prediction.detections.scores > 0.3][:, :2]
        truth = frame.annotations.boxes.centres[:, :2]
        distances = np.linalg.norm(truth[:, None] - boxes[None], axis=-1)
        return int((distances.min(1, initial=np.inf) < 2.0).sum())

    alone = matched(lambda: skyweave.perceive(crossing, only(scene, "UAV_1")))
    together = matched(lambda: skyweave.perceive(crossing, scene))
    assert together > alone


def only(scene: RecordedScene, platform: str) -> RecordedScene:
    from dataclasses import replace

    frames = [
        replace(frame, captures={name: c for name, c in frame.captures.items() if c.platform == platform})
        for frame in scene.frames
    ]
    return replace(scene, frames=frames)


def test_an_unknown_platform_is_named(scene: RecordedScene, crossing: CollaborativeModel) -> None:
    with pytest.raises(DataError, match="no platform 'UAV_9'; it has UAV_1, UAV_2, UAV_3, UAV_4"):
        next(skyweave.perceive(crossing, scene, ego="UAV_9"))


def test_scores_with_messages_cost_bytes(scene: RecordedScene, crossing: CollaborativeModel) -> None:
    options = EvaluationOptions(every=2, conditions=EvaluationConditions(budget=2000))
    result = skyweave.evaluate(crossing, [scene], options)
    assert 0 < result.bandwidth.mean <= 2000 and result.scores.samples == 2
    assert skyweave.evaluate(crossing, [scene], EvaluationOptions(every=2)).bandwidth.frames == []


def test_options_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="without --strategy"):
        EvaluationOptions(ego_only=True, conditions=EvaluationConditions())
    with pytest.raises(ConfigError, match="every is 0"):
        EvaluationOptions(every=0)


def test_frames_that_are_not_scored_are_not_observed(scene: RecordedScene, crossing: CollaborativeModel) -> None:
    alone = CollaborativeModel(crossing.perception, CollaborationConfig("no_fusion")).eval()
    observed: list[int] = []

    def progress(what: str, done: int, total: int) -> None:
        observed.extend([total] if what == "observing" else [])

    options = EvaluationOptions(every=THREE_FRAMES, conditions=EvaluationConditions())
    skyweave.evaluate(alone, [scene], options, progress)
    assert observed[-1] == 4  # platforms, of the first frame alone, which has no past
