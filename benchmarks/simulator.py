"""How many pictures a second `skyweave simulate` makes, in one process and in two.

    python benchmarks/simulator.py [--config configs/world/crossing.yaml] [--frames 20] [--workers 1 2]

Rendering alone (image, depth and instances, 256 x 448, about a hundred objects) is timed in this process, after the
scene is built. Then whole recordings are timed, from nothing to files on the disk. Processor seconds are given beside
seconds on the clock, for a machine that does other things as well.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from skyweave.core.config import load_config_file
from skyweave.simulator.config import WorldConfig
from skyweave.simulator.world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="configs/world/crossing.yaml")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    print(f"{'what':<44}{'pictures':>9}{'seconds':>9}{'a second':>10}{'per cpu s':>11}")
    for row in rendering(args.config, args.frames):
        print(row)
    for workers in args.workers:
        print(recording(args.config, args.frames, workers))


def rendering(path: str, frames: int) -> list[str]:
    clock, cpu = time.perf_counter(), time.process_time()
    world = World(load_config_file(path, WorldConfig))
    for capture in world.frame().captures.values():
        capture.load()
    rows = [line("build a scene", 0, time.perf_counter() - clock, time.process_time() - cpu)]
    clock, cpu, pictures, objects = time.perf_counter(), time.process_time(), 0, 0
    for _ in range(frames):
        world.step()
        frame = world.frame()
        objects = len(frame.annotations.boxes) if frame.annotations else 0
        for capture in frame.captures.values():
            assert capture.load_depth and capture.load_instances
            capture.load(), capture.load_depth(), capture.load_instances()
            pictures += 1
    seconds = time.perf_counter() - clock, time.process_time() - cpu
    return [*rows, line(f"render and simulate, {objects} objects", pictures, *seconds)]


def recording(path: str, frames: int, workers: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "skyweave", "simulate", path, "-o", folder, "--json", "--frames", str(frames)]
        clock, cpu = time.perf_counter(), children()
        done = subprocess.run(
            [*command, "--scenes", "4", "--workers", str(workers)], check=True, capture_output=True, text=True
        )
        seconds, cpu = time.perf_counter() - clock, children() - cpu
        json.loads(done.stdout)
        pictures = len(list(Path(folder).glob("samples/*/*")))
    return line(f"skyweave simulate, 4 scenes, --workers {workers}", pictures, seconds, cpu)


def children() -> float:
    """Processor seconds of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def line(what: str, pictures: int, seconds: float, cpu: float) -> str:
    rate = f"{pictures / seconds:>10.1f}" if pictures else f"{'':>10}"
    per_cpu = f"{pictures / cpu:>11.1f}" if pictures else f"{'':>11}"
    return f"{what:<44}{pictures or '':>9}{seconds:>9.1f}{rate}{per_cpu}"


if __name__ == "__main__":
    main()
