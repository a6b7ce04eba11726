"""SIGKILL at random instants of a flight's import and of its tracks: does `--resume` end in the same bytes?

    python benchmarks/locating_kills.py MODEL.onnx --kills 20 --json results/locating/kills.json

Each trial is killed at an instant of the time that an undisturbed run takes, some twice, and then goes on to its end.
Every file is compared with that of the undisturbed run; files that are not there or too many count as differing.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from locating_speed import write_log, write_video
from result_file import write_result

FORMATS = ("geojson", "geoparquet", "csv", "kml", "mot", "report", "mcap", "ros2", "nuscenes", "video")
KILLED_TWICE = 0.25  # share of the trials
NOTE = (
    "A video of 1920 x 1080 and its log, made here; each trial is killed at a random instant of the time that an "
    "undisturbed run takes, a quarter of them twice, and then goes on with --resume. Files that are missing or too "
    "many count as differing."
)


def commands(folder: Path, model: Path) -> dict[str, list[str]]:
    """Return the commands that are killed, without their output folder."""
    flight = [str(folder / "flight.mp4"), "--telemetry", str(folder / "flight.csv")]
    program = [sys.executable, "-m", "skyweave"]
    detector = ["--detector", str(model), "--rate", "5", "--min-score", "0.05"]
    return {
        "locate": [*program, "locate", *flight, *detector, "--formats", *FORMATS],
        "import": [*program, "import", *flight, "--no-alignment", "--interval", "0.1", "--max-columns", "640"],
    }


def run_whole(command: list[str], folder: Path) -> float:
    """Run a command to its end; return its seconds."""
    start = time.monotonic()
    subprocess.run([*command, "-o", str(folder), "--resume"], check=True, capture_output=True)
    return time.monotonic() - start


def kill(command: list[str], folder: Path, after: float) -> bool:
    """Kill a command; return whether it was still running."""
    with subprocess.Popen(
        [*command, "-o", str(folder), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder by their names."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def try_command(name: str, command: list[str], folder: Path, kills: int, generator: random.Random) -> dict[str, Any]:
    """Kill a command at random instants and let it go on; return what was seen."""
    whole, output = folder / "whole" / "out", folder / "killed" / "out"
    seconds = run_whole(command, whole)
    expected, differing, interrupted = files_of(whole), [], 0
    for number in range(kills):
        subprocess.run(["rm", "-rf", str(output)], check=True)
        times = 2 if generator.random() < KILLED_TWICE else 1
        for _ in range(times):
            interrupted += kill(command, output, generator.uniform(0, seconds))
        run_whole(command, output)
        found = files_of(output)
        wrong = sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
        differing += [f"trial {number}: {path}" for path in wrong]
        print(name, number, times, wrong, flush=True)
    return {
        "command": name, "trials": kills, "kills while it ran": interrupted, "files": len(expected),
        "trials that differ": len({line.partition(":")[0] for line in differing}),
        "undisturbed (s)": f"{seconds:.1f}", "differing": differing,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="ONNX detector")
    parser.add_argument("--kills", type=int, default=20, help="trials of each command")
    parser.add_argument("--seconds", type=float, default=6.0, help="of the video")
    parser.add_argument("--only", choices=("locate", "import"), help="one command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    generator, rows = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "flight.mp4", arguments.seconds)
        write_log(folder / "flight.csv", arguments.seconds)
        for word, command in commands(folder, arguments.model).items():
            if arguments.only in (None, word):
                rows.append(try_command(word, command, folder / word, arguments.kills, generator))
    print(json.dumps(rows, indent=1))
    if arguments.json:
        table = [{key: value for key, value in row.items() if key != "differing"} for row in rows]
        write_result(arguments.json, "Kills of a flight's commands", table, NOTE)
    sys.exit(any(row["differing"] for row in rows))


if __name__ == "__main__":
    main()
