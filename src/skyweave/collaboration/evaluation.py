"""Score a collaborative model on cached recordings, with every message really encoded, sent and decoded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from skyweave.collaboration.agent import Agent, FusedMap, compensate
from skyweave.collaboration.cache import FeatureCache, Key
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.fusion_input import FusionInput, PeerMap
from skyweave.collaboration.impairments import BoxesOnly, Delay, IrrelevantPeer, PacketLoss
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.observer import EgoMaps, crop_to_grid
from skyweave.collaboration.pose_alignment import PoseError
from skyweave.collaboration.requests import make_request
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.grid import MapGrid
from skyweave.perception.batch import PerceptionBatch, PerceptionSample
from skyweave.perception.evaluation import PerceptionScores, evaluate
from skyweave.perception.model import PerceptionModel
from skyweave.perception.results import ScenePrediction
from skyweave.recordings.recording import RecordedScene
from skyweave.wire import FrameContent, WireGrid, decode_frame

MAX_DELAY_S = 3600.0
UNCODED_BYTES = 2  # of a number of a feature cell that is sent as it is


@dataclass
class EvaluationConditions:
    """The conditions that a model is scored under.

    Attributes:
        budget: bytes a frame and platform; None: no limit.
        packet_loss: share of chunks that are lost.
        delay: seconds by which others' messages arrive late and nobody waits for them; what was captured at an earlier
            frame of the model's memory still reaches that frame.
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

    def __post_init__(self) -> None:
        if not 0 <= self.packet_loss <= 1:
            raise ConfigError(f"a packet loss of {self.packet_loss:g}; give a share from 0 to 1")
        if not 0 <= self.delay <= MAX_DELAY_S:
            raise ConfigError(f"a delay of {self.delay:g} s; give 0 to {MAX_DELAY_S:g} seconds")


@dataclass
class BandwidthLog:
    """What went over the wire.

    Attributes:
        frames: bytes of each frame of a platform, headers and handshakes included.
    """

    frames: list[int] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Return the mean bytes a frame and platform."""
        return float(np.mean(self.frames)) if self.frames else 0.0


class SentMessages:
    """What every platform sends in every frame: encoded once, the same for all receivers.

    Args:
        agent: that composes and encodes.
        cache: of the maps that are sent.
        seen: cache of the maps that platforms see, which decide what they ask for.
        budget: bytes a frame and platform; None: no limit.

    Attributes:
        log: bytes of each frame.
    """

    def __init__(self, agent: Agent, cache: FeatureCache, seen: FeatureCache, budget: int | None) -> None:
        self.agent, self.cache, self.seen, self.budget = agent, cache, seen, budget
        self.log = BandwidthLog()
        self._chunks: dict[Key, list[bytes]] = {}
        self._requests: dict[Key, FrameContent] = {}

    def chunks(self, key: Key) -> list[bytes]:
        """Return the chunks of a platform's frame; none where the strategy sends nothing.

        Args:
            key: of the cache.
        """
        strategy = self.agent.model.strategy
        if not (strategy.sends_boxes or strategy.sends_features):
            return []
        if key not in self._chunks:
            self.agent.requests = self._requests_to(key)
            message = self.agent.compose(self.cache[key], self.budget, sequence=key[1])
            self._chunks[key] = self.agent.encode(message, self.budget)
            self.log.frames.append(sum(map(len, self._chunks[key])) + strategy.handshake_bytes)
        return self._chunks[key]

    def uncoded(self, key: Key | None) -> EgoMaps | None:
        """Return the maps of a platform as an ideal link would carry them, and count their bytes.

        Args:
            key: of the cache; None gives None.
        """
        if key is None:
            return None
        if key not in self._chunks:
            self._chunks[key] = []
            maps = self.cache[key]
            self.log.frames.append(UNCODED_BYTES * maps.features.shape[0] * int(maps.visible.sum()))
        return self.seen[key]

    def _requests_to(self, key: Key) -> list[FrameContent]:
        """Return what the others asked for a frame before."""
        scene, f, platform = key
        before = max(f - 1, 0)
        asking = self._requesting_keys(scene, before, platform)
        self._make_requests(asking)
        return [self._requests[other] for other in asking]

    def _make_requests(self, asking: list[tuple[str, int, str]]) -> None:
        """Make the requests that were not made before."""
        for other in asking:
            if other not in self._requests:
                maps = self.seen[other]
                request = make_request(maps.visible.numpy(), maps.grid)
                self._requests[other] = FrameContent(0, 0, 0, WireGrid.from_map(maps.grid), request=request)

    def _requesting_keys(self, scene: str, before: int, platform: str) -> list[tuple[str, int, str]]:
        """Return the keys of the peers that request of a platform."""
        return [other for other in self.seen.entries if other[:2] == (scene, before) and other[2] != platform]


class CollaborationEvaluator:
    """What one platform perceives with the others' messages: a predictor of `skyweave.perception.evaluation.evaluate`.

    Args:
        model: its tables frozen, where features travel.
        samples: that are scored.
        conditions: of the links and peers.
        sent_cache: of what peers send, where that differs from what they see, such as maps drawn from wrong poses.

    Attributes:
        sent: all messages.
    """

    def __init__(
        self,
        model: CollaborativeModel,
        samples: CachedDataset,
        conditions: EvaluationConditions,
        sent_cache: FeatureCache | None = None,
    ) -> None:
        self.model, self.samples, self.conditions = model.eval(), samples, conditions
        self.sent = SentMessages(Agent(model), sent_cache or samples.cache, samples.cache, conditions.budget)
        self._numbers = {(samples.scenes[s].name, f): number for number, (s, f) in enumerate(samples.index)}
        self._agents: dict[tuple[str, str], Agent] = {}
        self._aligned: dict[tuple[str, str, str], int] = {}
        self._platforms: dict[str, int] = {}

    @torch.inference_mode()
    def __call__(self, perception: PerceptionModel, batch: PerceptionBatch) -> list[ScenePrediction]:
        """Perceive each sample of a batch.

        Args:
            perception: not used: the collaborative model has its own.
            batch: of samples.
        """
        return [self._perceive(sample) for sample in batch.samples]

    def received_frame(self, number: int, platform: str, step: int, time: int, rank: int) -> FrameContent | None:
        """Return what has come of a platform's frame for one of the model's frames, moved to that frame's time.

        Args:
            number: of the sample.
            platform: name of the peer.
            step: which of the model's frames, the oldest first.
            time: of that frame, UTC nanoseconds.
            rank: of the peer among the others.
        """
        key = self._arrived_key(number, platform, step)
        chunks = [] if key is None else self.sent.chunks(key)
        generator = np.random.default_rng([self.conditions.seed, number, step, rank])
        chunks = PacketLoss(self.conditions.packet_loss).apply(chunks, generator)
        frame = self.sent.agent.receive(chunks)
        if frame is None or key is None:
            return None
        return self._impair_frame(frame, platform, rank, time, key)

    def _impair_frame(
        self, frame: FrameContent, platform: str, rank: int, time: int, key: tuple[str, int, str]
    ) -> FrameContent | None:
        """Impair a received frame as the conditions say."""
        frame = replace(frame, platform=self._platform_number(platform))
        if rank < self.conditions.boxes_only_peers:
            frame = BoxesOnly().apply(frame)
        frame = compensate(frame, time)
        return IrrelevantPeer().apply(frame, self._elsewhere(key)) if self.conditions.irrelevant_peers else frame

    def _perceive(self, sample: PerceptionSample) -> ScenePrediction:
        number = self._numbers[sample.scene, sample.frame_index]
        peers = self._selected_peers(sample)
        agent = self._agent(sample.scene, sample.ego)
        self._align(agent, number, sample.ego, peers)
        numbers = [self._platform_number(name) for name in peers]
        errors = dict(zip(numbers, agent.pose_errors(numbers), strict=False))
        keys = self.samples.keys(number, sample.ego)
        fused = [self._fuse(agent, sample, number, step, peers, errors) for step in range(len(keys))]
        present = torch.tensor([[key is not None for key in keys]])
        maps = [frame.maps for frame in fused]
        return agent.read_out(maps, present, fused[-1].boxes, sample.grid, sample.ground, sample.time)

    def _selected_peers(self, sample: PerceptionSample) -> list[str]:
        """Return the peers that the conditions allow."""
        return [name for name in sample.platforms if name != sample.ego][: self.conditions.max_peers]

    def _fuse(
        self,
        agent: Agent,
        sample: PerceptionSample,
        number: int,
        step: int,
        peers: Sequence[str],
        errors: Mapping[int, PoseError],
    ) -> FusedMap:
        """Fuse one of the model's frames with what has come of it by now."""
        ego = self.samples.cache.get(self.samples.keys(number, sample.ego)[step])
        features, visible = crop_to_grid(ego, sample.grid, self.model.perception.config.lift.channels)
        if self.model.strategy.sends_uncoded:
            return self._fuse_uncoded(features, visible, sample.grid, number, peers, step)
        time = sample.time if ego is None else ego.time
        frames = [self.received_frame(number, name, step, time, rank) for rank, name in enumerate(peers)]
        arrived = [frame for frame in frames if frame is not None]
        of_frames = _errors_of(errors, arrived)
        return agent.fuse(features, visible, sample.grid, arrived, time, of_frames, sample.ground)

    def _align(self, agent: Agent, number: int, ego: str, peers: Sequence[str]) -> None:
        """Count all frames of the scene that have come of each peer towards the error of its pose."""
        if not self.model.strategy.aligns_poses:
            return
        s, f = self.samples.index[number]
        scene = self.samples.scenes[s]
        newest = self._newest_arrived(s, f)
        end = 0 if newest is None else newest + 1
        first = {name: self._aligned.get((scene.name, ego, name), 0) for name in peers}
        self._align_frames(first, end, scene, ego, peers, agent)
        self._aligned |= {(scene.name, ego, name): max(start, end) for name, start in first.items()}

    def _align_frames(
        self, first: dict[str, int], end: int, scene: RecordedScene, ego: str, peers: Sequence[str], agent: Agent
    ) -> None:
        """Align poses by the frames that arrived since the last time."""
        for frame in range(min(first.values(), default=end), end):
            ego_key = (scene.name, frame, ego)
            if ego_key in self.samples.cache:
                frames = self._sent_frames(scene.name, frame, [name for name in peers if first[name] <= frame])
                agent.align(self.samples.cache.boxes(ego_key), frames, scene.frames[frame].time)

    def _sent_frames(self, scene: str, frame: int, platforms: Sequence[str]) -> list[FrameContent]:
        """Return one frame of platforms as it was sent, without cells, which take time and say nothing of poses."""
        sent = []
        for name in platforms:
            chunks = self.sent.chunks((scene, frame, name)) if (scene, frame, name) in self.samples.cache else []
            if chunks:
                sent.append(replace(decode_frame(chunks), platform=self._platform_number(name)))
        return sent

    def _agent(self, scene: str, platform: str) -> Agent:
        if (scene, platform) not in self._agents:
            self._agents[scene, platform] = Agent(self.model)
        return self._agents[scene, platform]

    def _platform_number(self, name: str) -> int:
        """Return a number by which agents know a platform; its messages carry 0, as all do here."""
        return self._platforms.setdefault(name, len(self._platforms))

    def _newest_arrived(self, s: int, f: int) -> int | None:
        times = [frame.time for frame in self.samples.scenes[s].frames]
        return Delay(self.conditions.delay).newest_arrived(times, f)

    def _arrived_key(self, number: int, platform: str, step: int) -> Key | None:
        """Return where the message is that has come for a step: the frame's own, or an earlier one."""
        s, f = self.samples.index[number]
        key, newest = self.samples.keys(number, platform)[step], self._newest_arrived(s, f)
        return self._newest_key(newest, key, s, platform)

    def _newest_key(self, newest: int | None, key: tuple[str, int, str] | None, s: int, platform: str) -> Key | None:
        """Return the newest key that arrived by the time of the one wanted."""
        if newest is None or (key is not None and key[1] > newest):
            key = None if newest is None else (self.samples.scenes[s].name, newest, platform)
            key = key if key is not None and key in self.samples.cache else None
        return key

    def _elsewhere(self, key: Key) -> FrameContent | None:
        """Return the same platform's frame of another scene; None where there is none."""
        scenes = sorted({entry[0] for entry in self.samples.cache.entries})
        other = (scenes[(scenes.index(key[0]) + 1) % len(scenes)], *key[1:])
        if other not in self.samples.cache or other[0] == key[0]:
            return None
        return self.sent.agent.receive(self.sent.chunks(other))

    def _fuse_uncoded(
        self,
        features: torch.Tensor,
        visible: torch.Tensor,
        grid: MapGrid,
        number: int,
        peers: Sequence[str],
        step: int,
    ) -> FusedMap:
        """Fuse the maps of all platforms as they are, which no link carries."""
        strategy, nothing = self.model.strategy, torch.zeros(grid.shape)
        maps = []
        for name in peers:
            ego = self.sent.uncoded(self.samples.keys(number, name)[step])
            peer, seen = crop_to_grid(ego, grid, features.shape[0])
            boxes = torch.zeros(strategy.box_channels, *grid.shape)
            maps.append(PeerMap(peer, seen.float(), nothing, boxes, age=0.0))
        device = self.sent.agent.device
        inputs = FusionInput.from_peers(features.to(device), visible.to(device), maps, strategy.box_channels)
        return FusedMap(strategy.fuse(inputs), [])


def _errors_of(errors: Mapping[int, PoseError], arrived: list[FrameContent]) -> list[PoseError]:
    """Return the error of each frame's platform, where they are estimated."""
    return [errors[frame.platform] for frame in arrived] if errors else []


def evaluate_collaboration(
    model: CollaborativeModel,
    samples: CachedDataset,
    conditions: EvaluationConditions,
    every: int = 1,
    progress: Callable[[int, int], None] | None = None,
    sent_cache: FeatureCache | None = None,
) -> tuple[PerceptionScores, BandwidthLog]:
    """Score a collaborative model with all metrics of `skyweave.perception.evaluation.evaluate`.

    Args:
        model: its tables frozen, where features travel.
        samples: that are scored.
        conditions: of the links and peers.
        every: score every so many-th sample.
        progress: called with samples done and all.
        sent_cache: of what peers send, where that differs from what they see.

    Returns:
        the scores and the bytes that they cost.
    """
    evaluator = CollaborationEvaluator(model, samples, conditions, sent_cache)
    scores = evaluate(model.perception, samples, every=every, predictor=evaluator, progress=progress)
    return scores, evaluator.sent.log
