"""A fleet over the toy scene, small enough for unit tests: who sees what is known, or a model of seconds."""

from dataclasses import replace

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.grid import MapGrid
from skyweave.fleet.link.clocks import Clock
from skyweave.fleet.link.transport import Transport
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
from skyweave.perception.model import PerceptionModel
from skyweave.recordings.recording import Frame

CATEGORIES = ("car", "truck")
START = 1_750_000_000_000_000_000


class HandClock:
    """A clock that is set by hand."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def frame(number: int, platform: str, time: int | None = None) -> Frame:
    """What one platform of the toy scene captures; it sees the objects of its own half."""
    whole = toy.frame(number)
    capture = whole.captures[platform]
    assert whole.annotations is not None
    east = whole.annotations.boxes.centres[:, 1] > 0
    visible = (east if platform in ("UAV_1", "UAV_2") else ~east).astype(float)
    time = START + whole.time if time is None else time
    return replace(
        whole,
        time=time,
        captures={platform: replace(capture, time=time)},
        annotations=replace(whole.annotations, visibility={platform: visible}),
    )


def moved(frame: Frame, east: float) -> Frame:
    """The same capture, as of a camera so many metres further east; the objects stay where they are."""
    ((name, capture),) = frame.captures.items()
    geometry = capture.geometry
    assert isinstance(geometry, CameraGeometry)
    pose = geometry.world_from_camera.copy()
    pose[0, 3] += east
    return replace(frame, captures={name: replace(capture, geometry=replace(geometry, world_from_camera=pose))})


def truth_perceiver(seed: int = 0, **changes: float) -> GroundTruthPerceiver:
    return GroundTruthPerceiver(CATEGORIES, seed, **{"missed": 0.0, "noise": 0.05, "size": 32.0, **changes})  # type: ignore[arg-type]


def model_perceiver(seed: int = 0) -> LateFusionPerceiver:
    backbone = build_backbone(BackboneConfig(width=32, depth=2, heads=2, patch_size=8), [toy.RGB], seed=seed)
    return LateFusionPerceiver(PerceptionModel(toy.config(), backbone, seed), MapGrid(-16, 16, 1.0, 32, 32))


def node(name: str, transport: Transport, clock: Clock, options: NodeOptions | None = None, **changes: object) -> Node:
    perceiver = changes.pop("perceiver", None) or truth_perceiver(seed=int(name[-1]))
    return Node("test", name, perceiver, transport, None, options, clock=clock, **changes)  # type: ignore[arg-type]


def meet(*nodes: Node) -> None:
    """Let nodes exchange heartbeats until each knows that the others are no replays."""
    for _ in range(2):
        for one in nodes:
            one.send_heartbeat()
    for one in nodes:
        one.peers.drain()
