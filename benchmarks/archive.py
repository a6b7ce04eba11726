"""An archive of small scenes, some of them hostile: whether each is delivered once, and what a scene costs.

    python benchmarks/archive.py --scenes 1000 --json runs/archive.json
    python benchmarks/archive.py --scenes 1000 --ray local

One scene in a hundred is hostile: cut off, empty, no raster, of other bands, or gone. The command is killed after a
quarter and run again. It is checked that the report names exactly the hostile scenes, that each other one has one whole
output, and that a further run finds nothing to do.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from result_file import write_result

SKYWEAVE = [sys.executable, "-m", "skyweave"]
HOSTILE_EVERY = 100
KINDS = ("cut off", "empty", "text", "one band", "gone")
CRS = "EPSG:32633"


def write_scenes(folder: Path, count: int, side: int) -> set[str]:
    """Write scenes and a list of them; return the names of the hostile ones."""
    random = np.random.default_rng(0)
    hostile = set()
    folder.mkdir()
    for number in range(count):
        path = folder / f"scene-{number:05d}.tif"
        is_hostile = number % HOSTILE_EVERY == HOSTILE_EVERY // 2
        kind = KINDS[number // HOSTILE_EVERY % len(KINDS)] if is_hostile else ""
        write_scene(path, random.integers(1, 255, (1 if kind == "one band" else 3, side, side), np.uint8))
        if kind:
            hostile.add(path.stem)
            spoil(path, kind)
    names = [str(folder / f"scene-{number:05d}.tif") for number in range(count)]
    (folder.parent / "scenes.txt").write_text("\n".join(names) + "\n")
    return hostile


def write_scene(path: Path, pixels: np.ndarray) -> None:
    bands, rows, columns = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=rows, width=columns, dtype="uint8", crs=CRS,
        transform=rasterio.Affine(1, 0, 4e5, 0, -1, 5e6), compress="deflate",
    ) as target:  # fmt: skip
        target.write(pixels)


def spoil(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no raster")
    elif kind == "gone":
        path.unlink()


def command(folder: Path, into: str, options: Sequence[str]) -> list[str]:
    arguments = ["embed", "--list", str(folder / "scenes.txt"), "--into", str(folder / into), "--sensor", "rgb"]
    return [*SKYWEAVE, *arguments, "--unit", "uint8", "--bands", "sensor", *options]


def count_outputs(folder: Path, into: str) -> int:
    return len(list((folder / into).glob("*.tif")))


def run(arguments: Sequence[str]) -> tuple[int, float]:
    """Return the exit code and the seconds of a run."""
    start = time.monotonic()
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode, time.monotonic() - start


def kill_in_the_middle(arguments: Sequence[str], folder: Path, into: str, outputs: int) -> None:
    """Run until so many outputs are there, and kill the command and all that it started."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while count_outputs(folder, into) < outputs and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check(folder: Path, into: str, count: int, hostile: set[str]) -> None:
    report = json.loads((folder / into / "report.json").read_text())
    named = {row["name"] for row in report["failed"]}
    assert named == hostile, f"named {sorted(named)}, hostile are {sorted(hostile)}"
    outputs = sorted((folder / into).glob("*.tif"))
    assert len(outputs) == count - len(hostile), f"{len(outputs)} outputs of {count - len(hostile)}"
    left = [path.name for path in (folder / into).iterdir() if path.suffix not in (".tif", ".json")]
    assert left == [".archive"], f"left over: {left}"
    for path in outputs[:: max(1, len(outputs) // 50)]:
        with rasterio.open(path) as source:
            assert np.isfinite(source.read()).all(), path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--side", type=int, default=64, help="pixels a side of a scene")
    parser.add_argument("--processes", type=int, nargs="+", default=[2], help="each is a run of its own")
    parser.add_argument("--ray", help="address of a cluster; the processes are its actors then")
    parser.add_argument("--json", type=Path, help="write the table there, as a file of results/")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hostile = write_scenes(folder / "scenes", arguments.scenes, arguments.side)
        for processes in arguments.processes:
            into = f"out{processes}"
            options = [
                "--processes",
                str(processes),
                *(["--ray", arguments.ray, "--workers", "1"] if arguments.ray else []),
            ]
            call = command(folder, into, options)
            kill_in_the_middle(call, folder, into, arguments.scenes // 4)
            kept = count_outputs(folder, into)
            code, seconds = run(call)
            assert code == 3, f"exit code {code}"
            check(folder, into, arguments.scenes, hostile)
            report = json.loads((folder / into / "report.json").read_text())
            again, idle_seconds = run([*call, "--retries", "0"])
            done_before = json.loads((folder / into / "report.json").read_text())["done_before"]
            assert again == 3 and done_before == arguments.scenes - len(hostile)
            row = {
                "workers": f"{processes} {'actors' if arguments.ray else 'processes'}",
                "scenes": arguments.scenes,
                "hostile, all named": len(hostile),
                "written before the kill": kept,
                "scenes a second after it": round(report["scenes"] and (report["computed"] / seconds), 2),
                "seconds of a worker a scene": round(report["worker_seconds"] / max(1, report["computed"]), 3),
                "seconds to find all done": round(idle_seconds, 1),
            }
            print(json.dumps(row), flush=True)
            rows.append(row)
    if arguments.json:
        title = f"`skyweave embed --list`: {arguments.scenes:,} scenes, killed after a quarter and run again"
        write_result(arguments.json, title, rows, f"Scenes of {arguments.side} x {arguments.side} pixels.")


if __name__ == "__main__":
    main()
