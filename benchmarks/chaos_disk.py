"""What is lost when a disk fills up at a random instant: training, cache of features, map, recording, fleet's state.

    OMP_NUM_THREADS=1 python benchmarks/chaos_disk.py --rounds 200 --json results/chaos_disk.json

Each round has a disk of its own (a tmpfs, so this needs root), on which something complete lies already. The work is
done again while a thread fills the disk up after a random time, no longer than the work takes undisturbed. Then: what
was complete is, or a newer one is in its place; what ends with an error names the disk; and once there is space again,
the work can be done. Of a recording no message is missing that came a second before the disk was full.
"""

import argparse
import contextlib
import errno
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from skyweave.backbone import build_backbone
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
from skyweave.training import OptimiserConfig, SkyweaveModule, StepLoss, TrainerConfig, fit

DISK_BYTES = 8_000_000
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
    assert not [path for path in folder.iterdir() if path.name.startswith(".")], "something half-written is left"


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
    try:
        record_mcap(folder / "flight.mcap", RecordingSession("chaos", hub.join(), threading.Event(), 2.5))
    finally:
        (folder.parent / "ended").write_text(str(time.monotonic()))
        stop.set()
        thread.join()


def check_recording(folder: Path) -> None:
    for path in folder.glob("*.mcap"):
        contents = [json.loads(message.data) for message in read_recorded_messages(path)]
        numbers = [content["number"] for content in contents]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a message is missing"
        if "partial" in path.name:
            lost = float((folder.parent / "ended").read_text()) - contents[-1]["time"]
            assert lost < 1.5, f"{lost:.1f} s are lost"  # half a second between two savings, and a busy machine
            path.unlink()
    assert (folder / "flight.mcap").exists()


def supervise(folder: Path) -> None:
    """Two stand-ins for nodes, of which one is killed now and then, so that the state changes."""

    def start(file: Path, log: Path) -> Any:
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
    "embedding": Work(embed, check_map),
    "recording": Work(record, check_recording),
    "fleet state": Work(supervise, check_state),
}


@contextlib.contextmanager
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "disk"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(65_536))


def try_once(work: Work, folder: Path, delay: float) -> str:
    """Do the work while the disk fills up; return how it ended."""
    timer = threading.Timer(delay, fill, (folder,))
    timer.start()
    try:
        work.run(folder)
        outcome = "done"
    except Exception as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "space" in str(error) or "disk" in str(error)
        outcome = "an error that names the disk" if full else f"another error: {type(error).__name__}: {error}"
    timer.join()
    return outcome


def measure(name: str, rounds: int, generator: random.Random) -> dict[str, Any]:
    work, outcomes, faults = WORKS[name], Counter[str](), []
    with disk() as folder:
        work.run(folder)
        started = time.monotonic()
        work.run(folder)
        seconds = time.monotonic() - started
        work.check(folder)
        for number in range(rounds):
            outcomes[try_once(work, folder, generator.uniform(0, seconds))] += 1
            try:
                work.check(folder)
                (folder / "filler").unlink()
                if number % 10 == 9:
                    work.run(folder)
                    work.check(folder)
            except Exception as error:
                faults.append(f"round {number}: {type(error).__name__}: {error}")
                (folder / "filler").unlink(missing_ok=True)
    return {"work": name, "rounds": rounds, "seconds": round(seconds, 2), "outcomes": dict(outcomes), "lost": faults}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", choices=WORKS, action="append")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    generator = random.Random(0)
    rows = [measure(name, args.rounds, generator) for name in args.only or WORKS]
    for row in rows:
        print(f"{row['work']}: {row['rounds']} disks filled up, {len(row['lost'])} lost something; {row['outcomes']}")
        for fault in row["lost"]:
            print(f"  {fault}")
    if args.json:
        args.json.write_text(json.dumps({"works": rows, "load": os.getloadavg()[0]}, indent=1) + "\n")
    sys.exit(any(row["lost"] for row in rows))


if __name__ == "__main__":
    main()
