"""What is lost when a disk fails at a random instant: training, cache of features, map, recording, fleet's state.

    OMP_NUM_THREADS=1 python benchmarks/chaos_disk.py --rounds 200 --json results/chaos_disk.json

Each work has a disk of its own (ext4 in a file, so this needs root), on which something complete lies already. The work
is done again while the disk fails after a random time, no longer than the work takes undisturbed: it fills up; or
(``--fault``) hangs for a second, turns read-only, breaks so that everything is an I/O error, or goes away. Then, once
the disk is as it was: what was complete is, or a newer one is in its place; what ended with an error named the disk;
and the work can be done. Of a recording no message is missing that came a second before.
"""

import argparse
import contextlib
import errno
import functools
import importlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.core.errors import FleetError
from skyweave.core.sensors import get_sensor
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.fleet.config import FleetConfig
from skyweave.fleet.link.clocks import wall_clock
from skyweave.fleet.link.envelope import EnvelopeSealer
from skyweave.fleet.link.loopback import LoopbackNetwork
from skyweave.fleet.sinks.mcap import record_mcap
from skyweave.fleet.sinks.mcap_reading import read_recorded_messages
from skyweave.fleet.sinks.recorder import RecordingSession
from skyweave.fleet.supervisor import node_process
from skyweave.fleet.supervisor.supervisor import Supervisor
from skyweave.perception.model import PerceptionModel
from skyweave.training import OptimiserConfig, SkyweaveModule, StepLoss, TrainerConfig, fit

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
fabricated_scene: Any = importlib.import_module("fabricated_scene")
FailingDisk: Any = importlib.import_module("small_disk").FailingDisk
DISK_BYTES = 16_000_000
HANG_S = 1.0
MAX_LOST_S = 1.0  # of the end of a recording
DISK_ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO)
FORK = multiprocessing.get_context("fork")


@dataclass
class Work:
    """Work on a disk: ``run`` does it in a folder, ``check`` raises AssertionError where something complete is lost."""

    run: Callable[[Path], None]
    check: Callable[[Path], None]


class Regression(SkyweaveModule[list[Tensor]]):
    """A training of a second whose checkpoints have a size."""

    def __init__(self) -> None:
        super().__init__(OptimiserConfig(learning_rate=0.01, steps=40, warmup=0))
        self.layer = torch.nn.Linear(3000, 10)

    def step_loss(self, batch: list[Tensor]) -> StepLoss:
        return StepLoss(self.layer(batch[0]).square().mean(), len(batch[0]))

    def train_dataloader(self) -> "DataLoader[list[Tensor]]":
        return self.resumable_loader(TensorDataset(torch.randn(200, 3000)), batch_size=4, seed=3)


def train(folder: Path) -> None:
    config = TrainerConfig("32-true", accelerator="cpu", checkpoint_every=5, log_every=1)
    resume = (folder / "run" / "last.ckpt").exists()
    if resume and torch.load(folder / "run" / "last.ckpt")["global_step"] >= 40:
        (folder / "run" / "last.ckpt").write_bytes((folder / "run" / "first.ckpt").read_bytes())
    fit(Regression(), folder / "run", {}, config, resume=resume, progress=False)
    if not (folder / "run" / "first.ckpt").exists():
        (folder / "run" / "first.ckpt").write_bytes((folder / "run" / "last.ckpt").read_bytes())


def check_training(folder: Path) -> None:
    checkpoints = {path.name: torch.load(path) for path in (folder / "run").glob("*.ckpt")}
    assert checkpoints["last.ckpt"]["global_step"] > 0 and "previous.ckpt" in checkpoints


def embed(folder: Path) -> None:
    backbone = build_backbone("tiny", seed=0, width=48, depth=2, heads=2).eval()
    scene = folder.parent / "scene.tif"
    if not scene.exists():
        profile = {"driver": "GTiff", "height": 512, "width": 512, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
        pixels = np.random.default_rng(0).integers(1, 255, (3, 512, 512)).astype(np.uint8)
        with rasterio.open(scene, "w", **profile, transform=rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)) as target:
            target.write(pixels)
    config = EmbeddingConfig(storage="float16")
    embed_scene(scene, folder / "map.tif", backbone, get_sensor("rgb"), unit="uint8", config=config)


def check_map(folder: Path) -> None:
    with rasterio.open(folder / "map.tif") as source:
        assert np.isfinite(source.read()).all(), "not finite"


@functools.cache
def perception() -> PerceptionModel:
    small = BackboneConfig(width=32, depth=2, heads=2, patch_size=8)
    return PerceptionModel(fabricated_scene.config(), build_backbone(small, [fabricated_scene.RGB], seed=0)).eval()


def cache_features(folder: Path) -> None:
    """A cache of another model each time, so that it is made anew."""
    scenes, name = [fabricated_scene.scene(4, 4, "one")], str(time.time_ns())
    cache = build_feature_cache(folder / "cache", perception(), name, scenes)
    assert cache.model == name


def check_cache(folder: Path) -> None:
    cache = FeatureCache(folder / "cache")
    assert cache.entries and all(torch.isfinite(cache[key].features).all() for key in cache.entries)


def record(folder: Path) -> None:
    hub, stop, topic = LoopbackNetwork(), threading.Event(), "skyweave/chaos/result/UAV_1/numbers"
    sender, sealer = hub.join(), EnvelopeSealer(None, wall_clock)

    def publish() -> None:
        number = 0
        while not stop.wait(0.01):
            content = {"number": number, "time": time.monotonic(), "filler": os.urandom(2000).hex()}
            sender.publish(topic, sealer.seal(topic, json.dumps(content).encode()))
            number += 1

    thread = threading.Thread(target=publish)
    thread.start()
    receiver, closed = hub.join(), list[float]()
    close = receiver.close

    def close_and_note() -> None:
        closed.append(time.monotonic())
        close()

    vars(receiver)["close"] = close_and_note  # until then it takes what comes
    (folder.parent / "started").write_text(str(time.monotonic()))
    try:
        record_mcap(folder / "flight.mcap", RecordingSession("chaos", receiver, threading.Event(), 2.5))
    finally:
        (folder.parent / "ended").write_text(str(min(closed, default=time.monotonic())))
        stop.set()
        thread.join()


def check_recording(folder: Path) -> None:
    started, ended = (float((folder.parent / name).read_text()) for name in ("started", "ended"))
    for path in folder.glob("*.mcap"):
        contents = read_contents(path)
        numbers = [content["number"] for content in contents]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, "one is missing"
        if "partial" in path.name:
            path.unlink()
            lost = ended - (contents[-1]["time"] if contents else started)
            assert lost < MAX_LOST_S, f"{lost:.2f} s are lost"
    assert read_contents(folder / "flight.mcap")


def read_contents(path: Path) -> list[dict[str, Any]]:
    """The messages of a recording; none of one whose disk failed before it was saved the first time."""
    try:
        return [json.loads(message.data) for message in read_recorded_messages(path)]
    except FleetError:
        return []


def supervise(folder: Path) -> None:
    """Two stand-ins for nodes, of which one is killed now and then, so that the state changes."""

    def start(name: str, content: dict[str, Any], log: Path) -> Any:
        signs, writer = FORK.Pipe(duplex=False)
        os.set_blocking(signs.fileno(), False)
        process = FORK.Process(target=_give_signs, args=(writer,), daemon=True)
        process.start()
        writer.close()
        return process, signs

    vars(node_process)["start_process"] = start
    node = {"source": {"path": "nothing"}, "perceiver": {"kind": "ground_truth"}}
    supervisor = Supervisor(FleetConfig("x", ["A", "B"], node, {}, 9000, str(folder / "state")))
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        while not all(process.pid() for process in supervisor.processes):
            time.sleep(0.02)
        for _ in range(5):
            time.sleep(0.3)
            killed, other = supervisor.processes
            if killed.pid() is not None:
                os.kill(killed.pid() or 0, 9)
            assert thread.is_alive() and other.starts == 1 and other.pid() is not None, "the other was ended"
    finally:
        stop.set()
        thread.join()


def _give_signs(writer: Any) -> None:
    while True:
        os.write(writer.fileno(), b".")
        time.sleep(0.1)


def check_state(folder: Path) -> None:
    assert set(json.loads((folder / "state" / "fleet.json").read_text())["nodes"]) == {"A", "B"}


WORKS = {
    "training": Work(train, check_training),
    "cache of features": Work(cache_features, check_cache),
    "embedding": Work(embed, check_map),
    "recording": Work(record, check_recording),
    "fleet state": Work(supervise, check_state),
}


def fill(disk: Any) -> None:
    with (disk.path / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(65_536))


def hang(disk: Any) -> None:
    with disk.hang():
        time.sleep(HANG_S)


def clear(disk: Any) -> None:
    (disk.path / "filler").unlink(missing_ok=True)


def attach(disk: Any) -> None:
    """Mount a disk again, over what was written into the folder where it had been."""
    for path in disk.path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    disk.attach()


FAULTS: dict[str, tuple[Callable[[Any], None], Callable[[Any], None]]] = {
    "fills up": (fill, clear),
    "hangs": (hang, lambda disk: None),
    "turns read-only": (FailingDisk.turn_read_only, FailingDisk.repair),
    "breaks": (FailingDisk.fail, FailingDisk.repair),
    "goes away": (FailingDisk.detach, attach),
}
"""What befalls a disk, and what makes it usable again."""


def try_once(work: Work, disk: Any, fault: str, delay: float) -> str:
    """Do the work while the disk fails; return how it ended."""
    timer = threading.Timer(delay, FAULTS[fault][0], (disk,))
    timer.start()
    try:
        work.run(disk.path)
        outcome = "done"
    except Exception as error:
        says = str(error).replace(str(disk.path), "THE DISK")
        named = getattr(error, "errno", None) in DISK_ERRORS or "space" in says or "THE DISK" in says
        outcome = "an error that names the disk" if named else f"another error: {type(error).__name__}: {error}"
    timer.join()
    return outcome


def measure(name: str, fault: str, rounds: int, generator: random.Random) -> dict[str, Any]:
    work, outcomes, lost = WORKS[name], Counter[str](), []
    with tempfile.TemporaryDirectory() as parent:
        disk = FailingDisk(Path(parent) / "failing", DISK_BYTES)
        try:
            work.run(disk.path)
            started = time.monotonic()
            work.run(disk.path)
            seconds = time.monotonic() - started
            work.check(disk.path)
            for number in range(rounds):
                os.sync()  # what was complete a while ago
                outcomes[try_once(work, disk, fault, generator.uniform(0, seconds))] += 1
                FAULTS[fault][1](disk)
                try:
                    work.check(disk.path)
                    if number % 10 == 9:
                        work.run(disk.path)
                        work.check(disk.path)
                except Exception as error:
                    lost.append(f"round {number}: {type(error).__name__}: {error}")
                print(f"{name}, {fault}: {number + 1} of {rounds}, {len(lost)} lost", file=sys.stderr)
        finally:
            disk.detach()
    kinds = {"work": name, "fault": fault, "rounds": rounds, "seconds": round(seconds, 2)}
    return {**kinds, "outcomes": dict(outcomes), "lost": lost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", choices=WORKS, action="append")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="default: fills up")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    generator = random.Random(0)
    rows = []
    for name in args.only or WORKS:
        for fault in args.fault or ["fills up"]:
            row = measure(name, fault, args.rounds, generator)
            print(
                f"{name}: a disk {fault}, {args.rounds} times; lost {len(row['lost'])}; {row['outcomes']}", flush=True
            )
            for text in row["lost"]:
                print(f"  {text}", flush=True)
            rows.append(row)
    if args.json:
        args.json.write_text(json.dumps({"works": rows, "load": os.getloadavg()[0]}, indent=1) + "\n")
    sys.exit(any(row["lost"] for row in rows))


if __name__ == "__main__":
    main()
