"""A fleet that runs: four processes with a perception model over Zenoh on this machine, watched and scored.

The crossing that all play is simulated first and never seen by any training. Everything here has a time limit: what
does not come is an error that says so, never a wait without end.
"""

import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skyweave.collaboration.weights import holds_collaboration, load_collaboration
from skyweave.core.errors import DataError
from skyweave.demo.fleet_figure import draw_fleet
from skyweave.demo.perception import unseen_scenes
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame
from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver
from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
from skyweave.fleet.perceivers.offline import perceive_together
from skyweave.fleet.sources.base import platform_captures
from skyweave.perception.weights import load_perception
from skyweave.recordings.recording import RecordedScene

PACES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between frames: the first that the machine keeps up with
SPARE = 1.5  # times the work of a moment that should fit between two
BUDGET = 4_000  # bytes a frame
FRAMES = 16  # of the recording
MOMENTS, LEAST = 12, 16.0  # that are scored, and seconds for which it runs at least


@dataclass(frozen=True)
class FleetShown:
    """What a fleet did.

    Attributes:
        names: of the platforms. features: whether they told features, not only boxes. pace: seconds between frames.
        picture: (rows, columns, 3) uint8, like the live page.
        address: at which the live page was.
        own, together, offline: mean average precision of each platform alone, of the fleet's pictures, and of the same
            moments with everything told at once.
        pictures, expected: how many were made, and how many moments there were.
        whole: frames of others in a picture, on average.
        bytes_sent: by platform, of a frame. budget: bytes that it might have had.
        latency: seconds from capture to picture (half of them, 99 of 100).
        starting: seconds until all heard all. seconds: that were played.
    """

    names: tuple[str, ...]
    features: bool
    pace: float
    picture: np.ndarray
    address: str
    own: float
    together: float
    offline: float
    pictures: int
    expected: int
    whole: float
    bytes_sent: dict[str, float]
    budget: int
    latency: tuple[float, float]
    starting: float
    seconds: float

    def figures(self) -> dict[str, float]:
        """The numbers, plain."""
        return {
            "mAP own": self.own,
            "mAP fleet": self.together,
            "mAP offline": self.offline,
            "pictures": self.pictures,
            "expected": self.expected,
            "bytes a frame": float(np.mean(list(self.bytes_sent.values()))),
            "latency p50": self.latency[0],
            "latency p99": self.latency[1],
            "seconds between frames": self.pace,
        }


def check_fleet(port: int | None = None) -> None:
    """Raise ``ValueError`` for what keeps a fleet from running here: a missing library, a port that is taken."""
    try:
        import aiohttp  # noqa: F401
        import prometheus_client  # noqa: F401
        import zenoh  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"the fleet of the demo needs {error.name}: pip install 'skyweave[geo,link]', or leave it out: --fleet 0"
        ) from None
    if port is not None and not is_free(port):
        raise DataError(f"port {port} is taken; give another with --port, or none for any that is free")


def make_fleet(
    weights: str | Path,
    port: int | None = None,
    moments: int = MOMENTS,
    least: float = LEAST,
    told: Callable[[str], None] = lambda text: None,
) -> FleetShown:
    """Run a fleet over a crossing that it never saw, serve its page meanwhile, and score what it made.

    Args:
        weights: of a perception model. Where a codec is among them features travel, else boxes.
        port: of the live page; None: the usual one, or any that is free.
        moments: that are scored.
        least: seconds that it runs at least, for people to watch.
        told: called with what happens, one line each.

    Raises:
        ValueError: what is missing, taken or broken. TimeoutError: the nodes do not come together.
    """
    check_fleet(port)
    from skyweave.demo.fleet_run import fleet_config, running
    from skyweave.fleet.sinks.scene_file import read_saved_scenes
    from skyweave.fleet.sinks.score import score_fleet
    from skyweave.recordings.nuscenes import load_recording

    features = holds_collaboration(weights)
    make = _perceivers(weights, features)
    pace = _pace(make)
    scene = unseen_scenes(1, FRAMES, pace)[0]
    names = tuple(sorted({capture.platform for capture in scene.frames[0].captures.values()}))
    seconds = max(moments * pace, least)
    with tempfile.TemporaryDirectory(prefix="skyweave-fleet-") as name:
        folder = Path(name)
        told("recording a crossing")
        _write(folder / "recording", scene)
        told("starting a fleet")
        kind = "intermediate_fusion" if features else "late_fusion"
        with running(fleet_config(names, folder, kind, str(weights), pace, BUDGET), port) as fleet:
            told(f"a fleet runs: watch it at {fleet.address}")
            begin = time.time()
            fleet.watch(seconds)
            end = time.time()
            picture = draw_fleet(json.loads(fleet.state.to_json()), fleet.state.jpeg)
            sent = {name: fleet.status(name) for name in names}
        scene = load_recording(folder / "recording").scenes[0]  # as the nodes saw it
        scenes = [saved for name in names for saved in read_saved_scenes(folder / f"{name}.jsonl", begin, end - pace)]
        told("the same moments offline")
        found = score_fleet(scene, scenes, {name: make() for name in names}, pace, BUDGET)
    return FleetShown(
        names=names,
        features=features,
        pace=pace,
        picture=picture,
        address=fleet.address,
        own=found.ego_only,
        together=found.live,
        offline=found.offline,
        pictures=found.scenes,
        expected=found.expected,
        whole=found.complete_peers,
        bytes_sent={
            name: status["bytes_sent"].get("frame", 0) / max(status["frames_sent"], 1) for name, status in sent.items()
        },
        budget=BUDGET,
        latency=(found.latency(0.5), found.latency(0.99)),
        starting=fleet.starting,
        seconds=seconds,
    )


def _write(folder: Path, scene: RecordedScene) -> None:
    from skyweave.recordings.nuscenes import finish_recording, write_scene
    from skyweave.simulator.surface_classes import CATEGORIES

    write_scene(folder, scene, CATEGORIES)
    finish_recording(folder, scene.name, {"val": [scene.name]})


def _perceivers(weights: str | Path, features: bool) -> Callable[[], Perceiver[Any]]:
    """Makes new ones of a model that is read once."""
    if features:
        collaborative = load_collaboration(weights)
        return lambda: IntermediateFusionPerceiver(collaborative)
    model = load_perception(weights)
    return lambda: LateFusionPerceiver(model)


def _pace(make: Callable[[], Perceiver[Any]]) -> float:
    """Seconds between frames that a process for each platform can keep up with here."""
    scene, threads = unseen_scenes(1, 2)[0], torch.get_num_threads()
    names = sorted({capture.platform for capture in scene.frames[0].captures.values()})
    perceivers, place = {name: make() for name in names}, WorldFrame(scene.crs, scene.ground)
    torch.set_num_threads(1)  # like a node
    try:
        seconds = []
        for frame in scene.frames:
            moments = {name: moment for name in names if (moment := platform_captures(frame, name, 0)) is not None}
            for moment in moments.values():
                for capture in moment.captures.values():
                    capture.load()
            began = time.perf_counter()
            perceive_together(perceivers, moments, place, BUDGET)
            seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    needed = SPARE * min(seconds) / min(cores, len(names))
    return next((pace for pace in PACES if pace >= needed), PACES[-1])


def is_free(port: int) -> bool:
    """Whether nobody serves on it."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
