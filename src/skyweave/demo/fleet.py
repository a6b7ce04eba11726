"""A fleet that runs: four processes with a perception model over Zenoh on this machine, watched and scored.

The crossing that all play is simulated first and never seen by any training. Everything here has a time limit: what
does not come is an error that says so, never a wait without end.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skyweave import load
from skyweave.core.errors import DataError
from skyweave.demo.fleet_figure import draw_fleet
from skyweave.demo.perception import simulate_unseen_scenes
from skyweave.demo.ports import is_free
from skyweave.fleet.perceivers.base import Perceiver, WorldFrame
from skyweave.fleet.perceivers.intermediate_fusion import IntermediateFusionPerceiver
from skyweave.fleet.perceivers.late_fusion import LateFusionPerceiver
from skyweave.fleet.perceivers.offline import perceive_together
from skyweave.fleet.sources.base import platform_captures
from skyweave.perception import PerceptionModel
from skyweave.recordings.recording import Frame, RecordedScene

INTERVALS_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between frames: the first that the machine keeps up with
WORK_MARGIN = 1.5  # times the work of a moment that should fit between two
BUDGET_BYTES = 4_000  # bytes a frame
FRAMES = 16  # of the recording
SCORED_FRAMES, MIN_SECONDS = 12, 16.0  # that are scored, and seconds for which it runs at least


@dataclass(frozen=True)
class FleetFigures:
    """What a fleet did.

    Attributes:
        names: of the platforms. features: whether they report_status features, not only boxes. pace: seconds between
            frames.
        image: (rows, columns, 3) uint8, like the live page.
        address: at which the live page was.
        ego_only, collaborative, offline: mean average precision of each platform alone, of the fleet, and of the same
            frames with all messages at once.
        scenes, expected: fused scenes that were made, and frames that there were.
        whole: frames of others in a fused scene, on average.
        bytes_sent: by platform, of a frame. budget: bytes that it might have had.
        latency: seconds from capture to picture (half of them, 99 of 100).
        starting: seconds until all heard all. seconds: that were played.
    """

    names: tuple[str, ...]
    features: bool
    pace: float
    image: np.ndarray
    address: str
    ego_only: float
    collaborative: float
    offline: float
    scenes: int
    expected: int
    whole: float
    bytes_sent: dict[str, float]
    budget: int
    latency: tuple[float, float]
    starting: float
    seconds: float

    def figures(self) -> dict[str, float]:
        """Return the numbers by name."""
        return {
            "mAP own": self.ego_only,
            "mAP fleet": self.collaborative,
            "mAP offline": self.offline,
            "fused scenes": self.scenes,
            "expected": self.expected,
            "bytes a frame": float(np.mean(list(self.bytes_sent.values()))),
            "latency p50": self.latency[0],
            "latency p99": self.latency[1],
            "seconds between frames": self.pace,
        }


def check_fleet(port: int | None = None) -> None:
    """Check that a fleet can run here.

    Args:
        port: of the live page; None: any that is free.

    Raises:
        DataError: a library is missing, or the port is taken.
    """
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


def run_demo_fleet(
    weights: str | Path,
    port: int | None = None,
    scored_frames: int = SCORED_FRAMES,
    min_seconds: float = MIN_SECONDS,
    report_status: Callable[[str], None] = lambda text: None,
) -> FleetFigures:
    """Run a fleet over a crossing that it never saw, serve its page meanwhile, and score what it made.

    Args:
        weights: of a perception model. Where a codec is among them features travel, else boxes.
        port: of the live page; None: the usual one, or any that is free.
        scored_frames: that are scored.
        min_seconds: seconds that it runs at least, for people to watch.
        report_status: called with what happens, one line each.

    Raises:
        ValueError: what is missing, taken or broken. TimeoutError: the nodes do not come together.
    """
    check_fleet(port)
    from skyweave.demo.fleet_run import fleet_config, run_fleet
    from skyweave.fleet.sinks.scene_file import read_saved_scenes
    from skyweave.fleet.sinks.score import score_fleet
    from skyweave.recordings.nuscenes import load_recording

    model = load(weights)
    features = not isinstance(model, PerceptionModel)
    make = _perceivers(model, features)
    pace = _choose_interval(make)
    scene = simulate_unseen_scenes(1, FRAMES, pace)[0]
    names = tuple(sorted({capture.platform for capture in scene.frames[0].captures.values()}))
    seconds = max(scored_frames * pace, min_seconds)
    with tempfile.TemporaryDirectory(prefix="skyweave-fleet-") as name:
        folder = Path(name)
        report_status("recording a crossing")
        _write(folder / "recording", scene)
        report_status("starting a fleet")
        kind = "intermediate_fusion" if features else "late_fusion"
        with run_fleet(fleet_config(names, folder, kind, str(weights), pace, BUDGET_BYTES), port) as fleet:
            report_status(f"a fleet runs: watch it at {fleet.address}")
            begin = time.time()
            fleet.watch(seconds)
            end = time.time()
            image = draw_fleet(json.loads(fleet.state.to_json()), fleet.state.jpeg)
            sent = {name: fleet.status(name) for name in names}
        scene = load_recording(folder / "recording").scenes[0]  # as the nodes saw it
        scenes = [saved for name in names for saved in read_saved_scenes(folder / f"{name}.jsonl", begin, end - pace)]
        report_status("the same frames offline")
        score = score_fleet(scene, scenes, {name: make() for name in names}, pace, BUDGET_BYTES)
    return FleetFigures(
        names=names,
        features=features,
        pace=pace,
        image=image,
        address=fleet.address,
        ego_only=score.ego_only,
        collaborative=score.live,
        offline=score.offline,
        scenes=score.scenes,
        expected=score.expected,
        whole=score.complete_peers,
        bytes_sent={name: _bytes_per_frame(status) for name, status in sent.items()},
        budget=BUDGET_BYTES,
        latency=(score.latency(0.5), score.latency(0.99)),
        starting=fleet.starting,
        seconds=seconds,
    )


def _bytes_per_frame(status: dict[str, Any]) -> float:
    """Return the mean size of the frames that a node sent."""
    return float(status["bytes_sent"].get("frame", 0) / max(status["frames_sent"], 1))


def _write(folder: Path, scene: RecordedScene) -> None:
    from skyweave.recordings.nuscenes import finish_recording, write_scene
    from skyweave.simulator.surface_classes import CATEGORIES

    write_scene(folder, scene, CATEGORIES)
    finish_recording(folder, scene.name, {"val": [scene.name]})


def _perceivers(model: Any, features: bool) -> Callable[[], Perceiver[Any]]:
    """Return what makes new perceivers of one model."""
    kind = IntermediateFusionPerceiver if features else LateFusionPerceiver
    return lambda: kind(model)


def _choose_interval(make: Callable[[], Perceiver[Any]]) -> float:
    """Seconds between frames that a process for each platform can keep up with here."""
    scene, threads = simulate_unseen_scenes(1, 2)[0], torch.get_num_threads()
    names = sorted({capture.platform for capture in scene.frames[0].captures.values()})
    perceivers, place = {name: make() for name in names}, WorldFrame(scene.crs, scene.ground)
    torch.set_num_threads(1)  # like a node
    try:
        seconds = []
        for frame in scene.frames:
            inputs = _load_captures(frame, names)
            began = time.perf_counter()
            perceive_together(perceivers, inputs, place, BUDGET_BYTES)
            seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    needed = WORK_MARGIN * min(seconds) / min(_count_cores(), len(names))
    return next((pace for pace in INTERVALS_S if pace >= needed), INTERVALS_S[-1])


def _load_captures(frame: Frame, names: list[str]) -> dict[str, Frame]:
    """Return the captures of each platform that has any, their images loaded."""
    inputs = {name: given for name in names if (given := platform_captures(frame, name, 0)) is not None}
    for given in inputs.values():
        for capture in given.captures.values():
            capture.load()
    return inputs


def _count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
