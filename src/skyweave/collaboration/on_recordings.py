"""Perceive and score recordings: the agents of all platforms of a scene, and the metrics of the field."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from skyweave.collaboration.agent import Agent, compensate
from skyweave.collaboration.cache import build_feature_cache, platform_names
from skyweave.collaboration.config import CollaborationConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.evaluation import BandwidthLog, EvaluationConditions, evaluate_collaboration
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.strategies.base import Strategy
from skyweave.core.errors import ConfigError, DataError
from skyweave.perception.class_counts import check_classes
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import PerceptionScores, ego_only_dataset
from skyweave.perception.evaluation import evaluate as evaluate_dataset
from skyweave.perception.model import PerceptionModel
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import Frame, RecordedScene
from skyweave.wire.frame import FrameContent

DEFAULT_BUDGET_BYTES = 10_000  # of a frame and platform


@dataclass(frozen=True)
class EvaluationOptions:
    """How a recording is scored.

    Attributes:
        platforms: that perceive together at most.
        every: score every so many-th frame.
        ego_only: every platform by itself; the objects to be found stay (without messages only).
        true_poses: use poses without their noise (without messages only).
        conditions: of the links; None: all images are at hand and no messages are sent.
        cache: folder for the maps of the recording, to be used again; None: none is kept.
    """

    platforms: int = 4
    every: int = 1
    ego_only: bool = False
    true_poses: bool = False
    conditions: EvaluationConditions | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        self._check_counts()
        if self.conditions is not None and (self.ego_only or self.true_poses):
            raise ConfigError(
                "ego_only and true_poses are for evaluation without --strategy; take the strategy no_fusion"
            )

    def _check_counts(self) -> None:
        """Check that the options that count are at least 1."""
        for option in ("platforms", "every"):
            if getattr(self, option) < 1:
                raise ConfigError(f"{option} is {getattr(self, option)}, must be at least 1")


@dataclass(frozen=True)
class RecordingScores:
    """What `evaluate` returns.

    Attributes:
        scores: all metrics by name.
        bandwidth: bytes of the frames that were sent; empty without messages.
    """

    scores: PerceptionScores
    bandwidth: BandwidthLog = field(default_factory=BandwidthLog)


def perceive(
    model: PerceptionModel | CollaborativeModel,
    scene: RecordedScene,
    ego: str | None = None,
    budget_bytes: int | None = DEFAULT_BUDGET_BYTES,
) -> Iterator[ScenePrediction]:
    """Perceive a scene frame by frame, as its platforms would in a fleet whose every message arrives.

    Every platform observes with its own cameras, encodes a message within the budget and decodes those of the others;
    what the ego reads off its fused map is the result. A perception model without collaboration sends boxes.

    Args:
        model: as `skyweave.load` returns it.
        scene: of a recording; annotations are not used.
        ego: the platform whose results are returned; None: the first by name.
        budget_bytes: of the message of a platform and frame; None: everything is sent.

    Yields:
        One prediction for each frame in which the ego has an image.

    Raises:
        DataError: the scene has no platform of that name.
    """
    collaborative = _as_collaborative(model)
    names = sorted({name for frame in scene.frames for name in platform_names(frame)})
    ego = ego if ego is not None else next(iter(names), "")
    if ego not in names:
        raise DataError(f"scene {scene.name} has no platform {ego!r}; it has {', '.join(names) or 'none'}")
    agents = {name: Agent(collaborative) for name in names}
    for number, frame in enumerate(scene.frames):
        maps = {name: _observe(agents[name], frame, name, scene) for name in platform_names(frame)}
        if ego not in maps:
            continue
        received = _exchange(maps, ego, agents, budget_bytes, names, number)
        yield agents[ego].step(maps[ego], received, scene.ground)


def _exchange(
    maps: dict[str, EgoMaps],
    ego: str,
    agents: dict[str, Agent],
    budget_bytes: int | None,
    names: list[str],
    number: int,
) -> list[FrameContent]:
    """Return what the ego platform receives of the others."""
    received = []
    for name, ego_maps in maps.items():
        if name != ego:
            message = agents[name].compose(ego_maps, budget_bytes, names.index(name), number)
            content = agents[ego].receive(agents[name].encode(message, budget_bytes))
            received += [] if content is None else [compensate(content, maps[ego].time)]
    return received


def evaluate(
    model: PerceptionModel | CollaborativeModel,
    scenes: Sequence[RecordedScene],
    options: EvaluationOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> RecordingScores:
    """Score a model on annotated scenes: detection, instances, trajectories and tracks.

    Args:
        model: as `skyweave.load` returns it.
        scenes: of one or several recordings.
        options: with ``conditions``, every message is really encoded, cut to the budget, sent and decoded.
        progress: called with what is done (``observing``, ``evaluating``), how far, and of how many.

    Raises:
        DataError: no object of the model's categories is there to be found; names those that are.
    """
    options = EvaluationOptions() if options is None else options
    config = (model.perception if isinstance(model, CollaborativeModel) else model).config
    notes: list[str] = []
    check_classes(PerceptionDataset(scenes, config, None, options.platforms), notes.append)
    result = _score(model, scenes, options, progress)
    scores = replace(result.scores, notes=tuple(dict.fromkeys((*notes, *result.scores.notes))))
    return replace(result, scores=scores)


def _score(
    model: PerceptionModel | CollaborativeModel,
    scenes: Sequence[RecordedScene],
    options: EvaluationOptions,
    progress: Callable[[str, int, int], None] | None,
) -> RecordingScores:
    report = progress or (lambda what, done, total: None)
    if options.conditions is None:
        perception = model.perception if isinstance(model, CollaborativeModel) else model
        samples = PerceptionDataset(
            scenes, perception.config, None, options.platforms, true_geometry=options.true_poses
        )
        dataset = ego_only_dataset(samples) if options.ego_only else samples
        scores = evaluate_dataset(
            perception, dataset, every=options.every, progress=lambda done, total: report("evaluating", done, total)
        )
        return RecordingScores(scores)
    collaborative = _as_collaborative(model)
    perception = collaborative.perception
    with tempfile.TemporaryDirectory() as folder:
        cache = build_feature_cache(
            options.cache or Path(folder),
            perception,
            str(perception.card.parts["perception_fingerprint"]),
            scenes,
            progress=lambda done, total: report("observing", done, total),
            frames=_needed_frames(scenes, collaborative, options),
        )
        cached = CachedDataset(scenes, perception.config, cache, options.platforms)
        scores, bandwidth = evaluate_collaboration(
            collaborative,
            cached,
            options.conditions,
            options.every,
            lambda done, total: report("evaluating", done, total),
        )
    return RecordingScores(scores, bandwidth)


def _needed_frames(
    scenes: Sequence[RecordedScene], model: CollaborativeModel, options: EvaluationOptions
) -> set[tuple[str, int]] | None:
    """Return the frames that scoring every so many-th reads; None where any may be, as with poses that are aligned."""
    strategy, conditions = model.strategy, options.conditions
    any_frame = _needs_any_frame(strategy, conditions)
    if options.every == 1 or any_frame:
        return None
    samples = PerceptionDataset(scenes, model.perception.config, None, options.platforms)
    needed: set[tuple[str, int]] = set()
    for s, f in samples.index[:: options.every]:
        past = [p for p in samples.timelines[s].past_frames(scenes[s].frames[f].time) if p is not None]
        requested = [max(p - 1, 0) for p in past] if strategy.sends_request else []
        needed |= {(scenes[s].name, p) for p in (*past, *requested)}
    return needed


def _needs_any_frame(strategy: Strategy, conditions: EvaluationConditions | None) -> float | bool:
    """Return whether frames beside those that are evaluated are needed."""
    return strategy.aligns_poses or (conditions is not None and (conditions.delay or conditions.irrelevant_peers))


def _as_collaborative(model: PerceptionModel | CollaborativeModel) -> CollaborativeModel:
    if isinstance(model, CollaborativeModel):
        return model
    return CollaborativeModel(model, CollaborationConfig("late_fusion")).eval()


def _observe(agent: Agent, frame: Frame, platform: str, scene: RecordedScene) -> EgoMaps:
    captures = [capture for capture in frame.captures.values() if capture.platform == platform]
    return agent.observe(
        [capture.load() for capture in captures],
        [capture.geometry for capture in captures],
        frame.time,
        scene.ground,
        scene.crs,
    )
