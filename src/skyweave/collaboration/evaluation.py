"""Score a collaborative model on cached recordings, with every message really encoded, sent and decoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from skyweave.collaboration.batches import CachedDataset, crop_to_grid
from skyweave.collaboration.boxes import (
    box_list_from_detections,
    centres_on_map,
    detections_from_box_list,
    extrapolate_boxes,
    merge_boxes,
)
from skyweave.collaboration.cache import EgoMaps, FeatureCache, Key
from skyweave.collaboration.fusion_input import FusionInput
from skyweave.collaboration.messages import build_message, decode_received, encode_message, make_request, request_map
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.pose_alignment import PoseAligner, PoseError
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.batch import PerceptionBatch, PerceptionSample
from skyweave.perception.evaluation import PerceptionScores, evaluate
from skyweave.perception.heads.trajectories import MIN_FORECAST_SCORE
from skyweave.perception.model import PerceptionModel
from skyweave.perception.prediction import decode_maps, forecast_trajectories
from skyweave.perception.results import Detections, InstanceMap, ScenePrediction, Trajectories
from skyweave.perception.results.scene import DETECTION, INSTANCES, TRAJECTORIES
from skyweave.perception.targets import rasterise
from skyweave.wire import BoxList, FrameContent, WireGrid, decode_frame

MIN_INSTANCE_SCORE = 0.3  # score of a received box from which it becomes an instance
MIN_INSTANCE_OVERLAP = 0.2  # share of a box's cells that an instance covers, from which it is that instance
SAME_BOX_M = 1.5  # metres between a box of one's own and the merged one it is part of
RECEIVED_SCORE_FACTOR = 0.9  # in boxes of others beside features that have been fused


@dataclass
class EvaluationConditions:
    """How imperfect the world is that a model is scored in.

    Attributes:
        budget: bytes a frame and platform; None: no limit.
        packet_loss: share of chunks that are lost.
        delay: seconds by which others' messages are late and nobody waits for; what was captured at an earlier moment
            of the model's memory still reaches that moment.
        max_peers: how many others there are at most.
        boxes_only_peers: number of peers that send boxes only.
        irrelevant_peers: others' features are those of another scene.
        seed: of everything random.
    """

    budget: int | None = None
    packet_loss: float = 0.0
    delay: float = 0.0
    max_peers: int = 7
    boxes_only_peers: int = 0
    irrelevant_peers: bool = False
    seed: int = 0


@dataclass
class BandwidthLog:
    """What went over the wire: bytes of each frame of a platform, headers and handshakes included."""

    frames: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Bytes a frame and platform."""
        return float(np.mean(self.frames)) if self.frames else 0.0


class CollaborationEvaluator:
    """``run`` of `skyweave.perception.evaluation.evaluate`: what one platform reads after hearing the others.

    Args:
        model: in evaluation mode, its tables frozen.
        samples: that are scored.
        conditions: see `EvaluationConditions`.
        told: what peers tell of, where that differs from what they see, such as maps drawn from wrong poses.
    """

    def __init__(
        self,
        model: CollaborativeModel,
        samples: CachedDataset,
        conditions: EvaluationConditions,
        told: FeatureCache | None = None,
    ) -> None:
        self.model, self.samples, self.conditions = model.eval(), samples, conditions
        self.ledger = BandwidthLog()
        self.told = samples.cache if told is None else told
        self.numbers = {(samples.scenes[s].name, f): number for number, (s, f) in enumerate(samples.index)}
        self._sent: dict[Key, list[bytes]] = {}
        self._asked: dict[Key, FrameContent] = {}
        self._aligners: dict[tuple[str, str, str], tuple[PoseAligner, int]] = {}

    @torch.inference_mode()
    def __call__(self, perception: PerceptionModel, batch: PerceptionBatch) -> list[ScenePrediction]:
        """See `skyweave.perception.prediction.predict`."""
        return [self._one(sample) for sample in batch.samples]

    def _one(self, sample: PerceptionSample) -> ScenePrediction:
        model, grid = self.model, sample.grid
        number = self.numbers[sample.scene, sample.frame_index]
        others = [name for name in sample.platforms if name != sample.ego][: self.conditions.max_peers]
        channels = model.perception.config.lift.channels
        fused, present = [], []
        received: list[BoxList] = []
        keys = self.samples.keys(number, sample.ego)
        errors = [self._error(number, sample.ego, name) for name in others]
        for step, key in enumerate(keys):
            own = None if key is None else self.samples.cache[key]
            features, visible = crop_to_grid(own, grid, channels)
            time = sample.time if own is None else own.time
            if model.strategy.shares == "everything":
                fused.append(self._everything(features, visible, grid, number, others, step))
            else:
                frames = [self._received(number, name, step, time, i) for i, name in enumerate(others)]
                pairs = [(frame, error) for frame, error in zip(frames, errors, strict=True) if frame is not None]
                came = decode_received(
                    model, features, visible, grid, [f for f, _ in pairs], time, [e for _, e in pairs], sample.ground
                )  # fmt: skip
                fused.append(model.strategy.fuse(came.told))
                received = came.boxes
            present.append(own is not None)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = model.perception.perceive([maps.float() for maps in fused], torch.tensor([present]))
        scene = decode_maps(model.perception, outputs, [grid], [sample.ground], [sample.time])[0]
        if not model.strategy.merges_boxes:
            return scene
        return merge_received_boxes(scene, received, model, outputs, grid, sample.time)

    def _error(self, number: int, ego: str, platform: str) -> PoseError:
        """Of a peer's pose, from all frames of the scene that have come by now."""
        s, f = self.samples.index[number]
        scene = self.samples.scenes[s].name
        if not self.model.strategy.aligns:
            return PoseError()
        aligner, first = self._aligners.get((scene, ego, platform), (PoseAligner(), 0))
        last = self._arrived(s, f)
        until = 0 if last is None else last + 1
        for frame in range(first, until):
            keys = (scene, frame, ego), (scene, frame, platform)
            if all(key in self.samples.cache for key in keys):
                chunks = self.sent(keys[1])
                told = decode_frame(chunks) if chunks else None  # without tables: cells cost time and are not looked at
                if told is not None and told.boxes is not None and told.pose is not None:
                    aligner.see(self.samples.cache.boxes(keys[0]), told.boxes, told.pose.position)
        self._aligners[scene, ego, platform] = aligner, max(first, until)
        return aligner.error()

    def _received(self, number: int, platform: str, step: int, time: int, rank: int) -> FrameContent | None:
        """What has come of a platform's frame of the model's ``step``-th moment, moved to that moment."""
        s, f = self.samples.index[number]
        scene, key = self.samples.scenes[s], self.samples.keys(number, platform)[step]
        last = self._arrived(s, f)
        if last is None or (key is not None and key[1] > last):
            key = None if last is None else (scene.name, last, platform)
            key = key if key is not None and key in self.samples.cache else None
        if key is None:
            return None
        chunks = self.sent(key)
        if self.conditions.packet_loss:
            generator = np.random.default_rng([self.conditions.seed, number, step, rank])
            chunks = [chunk for chunk in chunks if generator.random() >= self.conditions.packet_loss]
        if not chunks or self.model.strategy.shares in ("nothing", "everything"):
            return None
        frame = decode_frame(chunks, self.model.tables if self.model.tables is not None else ())
        if rank < self.conditions.boxes_only_peers:
            frame = replace(frame, low=None, high=None)
        if frame.boxes is not None:
            frame = replace(frame, boxes=extrapolate_boxes(frame.boxes, (time - frame.time) / 1e9))
        if self.conditions.irrelevant_peers:
            frame = self._from_elsewhere(frame, key)
        return frame

    def _arrived(self, s: int, f: int) -> int | None:
        """The newest frame whose messages have come by the time of the ``f``-th."""
        frames = self.samples.scenes[s].frames
        by = frames[f].time - round(self.conditions.delay * 1e9)
        return next((number for number in range(f, -1, -1) if frames[number].time <= by), None)

    def sent(self, key: Key) -> list[bytes]:
        """The chunks of a platform's frame; they are the same for all receivers."""
        if key in self._sent:
            return self._sent[key]
        model, own = self.model, self.told[key]
        if model.strategy.shares == "nothing":
            return []
        if model.strategy.shares == "everything":
            self.ledger.frames.append(2 * own.features.shape[0] * int(own.visible.sum()))
            self._sent[key] = []
            return []
        frame = build_message(
            model, torch.from_numpy(own.features), torch.from_numpy(own.visible), own.grid, own.time, own.boxes,
            self.conditions.budget, self._wanted(key, own), own.pose if model.strategy.aligns else None,
            sequence=key[1],
        )  # fmt: skip
        budget = self.conditions.budget
        chunks = encode_message(model, frame, None if budget is None else budget - model.strategy.handshake)
        self.ledger.frames.append(sum(map(len, chunks)) + model.strategy.handshake)
        self._sent[key] = chunks
        return chunks

    def _wanted(self, key: Key, own: EgoMaps) -> np.ndarray:
        """What the others asked for a frame ago."""
        scene, f, platform = key
        before = max(f - 1, 0)
        asking = [
            other for other in self.samples.cache.entries if other[:2] == (scene, before) and other[2] != platform
        ]
        for other in asking:
            if other not in self._asked:
                theirs = self.samples.cache[other]
                request = make_request(theirs.visible, theirs.grid)
                self._asked[other] = FrameContent(0, 0, 0, WireGrid.from_map(theirs.grid), request=request)
        return request_map([self._asked[other] for other in asking], own.grid)

    def _everything(
        self,
        features: torch.Tensor,
        visible: torch.Tensor,
        grid: MapGrid,
        number: int,
        others: Sequence[str],
        step: int,
    ) -> torch.Tensor:
        peers = []
        for name in others:
            key = self.samples.keys(number, name)[step]
            if key is not None:
                self.sent(key)
            peers.append(crop_to_grid(None if key is None else self.samples.cache[key], grid, features.shape[0]))
        none = torch.zeros(1, len(others), *grid.shape)
        told = FusionInput(
            features[None], visible[None],
            torch.stack([p[0] for p in peers])[None] if peers else torch.zeros(1, 0, *features.shape),
            torch.stack([p[1] for p in peers])[None].float() if peers else none, none,
            torch.zeros(1, len(others), 1, *grid.shape), torch.zeros(1, len(others)),
        )  # fmt: skip
        return self.model.strategy.fuse(told)

    def _from_elsewhere(self, frame: FrameContent, key: Key) -> FrameContent:
        """The same grid with another scene's cells, and no boxes."""
        scenes = sorted({entry[0] for entry in self.samples.cache.entries})
        other = (scenes[(scenes.index(key[0]) + 1) % len(scenes)], *key[1:])
        if other not in self.samples.cache or other[0] == key[0]:
            return replace(frame, low=None, high=None, boxes=None)
        chunks = self.sent(other)
        strange = decode_frame(chunks, self.model.tables if self.model.tables is not None else ())
        return replace(strange, grid=frame.grid, boxes=None)


def evaluate_collaboration(
    model: CollaborativeModel,
    samples: CachedDataset,
    conditions: EvaluationConditions,
    every: int = 1,
    progress: Callable[[int, int], None] | None = None,
    told: FeatureCache | None = None,
) -> tuple[PerceptionScores, BandwidthLog]:
    """All metrics of `skyweave.perception.evaluation.evaluate`, and the bytes they cost."""
    exchange = CollaborationEvaluator(model, samples, conditions, told)
    scores = evaluate(model.perception, samples, every=every, predictor=exchange, progress=progress)
    return scores, exchange.ledger


def merge_received_boxes(
    scene: ScenePrediction,
    received: Sequence[BoxList],
    model: CollaborativeModel,
    outputs: dict[str, dict[str, torch.Tensor]],
    grid: MapGrid,
    time: int,
    beyond: bool = False,
) -> ScenePrediction:
    """A scene with the boxes of others: as detections and with their trajectories.

    They become instances only where no features travel: else the fused map, into which they are drawn, shows them
    better.

    Args:
        received: of each other platform.
        outputs: that the scene was read from.
        grid: the map of the scene.
        beyond: keep also what lies beyond that map, where boxes are all that is known.
    """
    if not beyond:
        received = [boxes.select(np.flatnonzero(centres_on_map(boxes, grid))) for boxes in received]
    received = [boxes for boxes in received if len(boxes)]
    if scene.detections is None or not received:
        return scene
    config = model.perception.config
    own = box_list_from_detections(scene.detections, config.categories)
    features = model.sends_features
    trust = RECEIVED_SCORE_FACTOR if features else 1.0
    weighed = [
        replace(other, scores=other.scores * np.where(centres_on_map(other, grid), trust, 1.0)) for other in received
    ]
    boxes = merge_boxes(own, weighed, raise_scores=False)
    found = detections_from_box_list(boxes, config.categories, scene.detections.crs, time)
    found = found.select(np.argsort(-found.scores, kind="stable"))
    instances = scene.instances
    if instances is not None and not features:
        instances = _with_instances(instances, merge_boxes(received[0], received[1:]), config.interval)
    trajectories = _forecast(model, outputs, scene.detections, found, grid)
    return scene.with_results({DETECTION: found, INSTANCES: instances, TRAJECTORIES: trajectories})


def _with_instances(instances: list[InstanceMap], boxes: BoxList, interval: float) -> list[InstanceMap]:
    """Cells of boxes that no instance has: they extend the instance that the box lies on, or are a new one."""
    boxes = boxes.select(np.flatnonzero(boxes.scores >= MIN_INSTANCE_SCORE))
    if not len(boxes):
        return instances
    grid, first = instances[0].grid, int(max(one.identities.max() for one in instances)) + 1
    maps = [one.identities.copy() for one in instances]
    numbers = np.arange(first, first + len(boxes))
    now = rasterise(Boxes(boxes.centres, boxes.sizes, boxes.yaws).footprints(), numbers, grid)
    for place, number in enumerate(numbers.copy()):
        beneath = maps[0][now == number]
        if len(beneath) and (beneath > 0).mean() >= MIN_INSTANCE_OVERLAP:
            known, count = np.unique(beneath[beneath > 0], return_counts=True)
            numbers[place] = known[count.argmax()]
    for step, identities in enumerate(maps):
        there = extrapolate_boxes(boxes, step * interval)
        drawn = rasterise(Boxes(there.centres, there.sizes, there.yaws).footprints(), numbers, grid)
        free = (identities == 0) & (drawn > 0)
        identities[free] = drawn[free]
    return [replace(one, identities=identities) for one, identities in zip(instances, maps, strict=True)]


def _forecast(
    model: CollaborativeModel,
    outputs: dict[str, dict[str, torch.Tensor]],
    alone: Detections,
    found: Detections,
    grid: MapGrid,
) -> Trajectories | None:
    """As the map says for boxes that it shows; else constant velocity. It shows what features and drawn boxes told,
    or, where neither travels, the boxes that were found without the others.
    """
    if "trajectories" not in outputs:
        return None
    found = found.select(np.flatnonzero(found.scores >= MIN_FORECAST_SCORE))
    read = forecast_trajectories(model.perception, outputs, 0, found, grid)
    shown = grid.index(found.boxes.centres) >= 0
    if not model.sends_features:
        apart = np.linalg.norm(found.boxes.centres[:, None, :2] - alone.boxes.centres[None, :, :2], axis=2)
        shown &= (apart < SAME_BOX_M).any(1)
    straight = found.boxes.centres[:, None, :2] + found.velocities[:, None] * read.times[:, None]
    paths = np.where(shown[:, None, None, None], read.modes, straight[:, None])
    shares = np.where(shown[:, None], read.probabilities, 1 / read.probabilities.shape[1])
    return replace(read, modes=paths, probabilities=shares)
