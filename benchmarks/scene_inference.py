"""Whole scenes through `skyweave embed`: memory, speed beside another checkout, remaining time, seams, kills.

    python benchmarks/scene_inference.py memory naip_5m/*.tif --side 20000
    python benchmarks/scene_inference.py speed s1_s2_terramesh/S2L2A/*.tif --side 2745 --before CHECKOUT
    python benchmarks/scene_inference.py kills naip_5m/*.tif --side 1200 --count 100
    python benchmarks/scene_inference.py seams naip_5m/*.tif --side 1500

A scene is made of real samples side by side. Speed runs the code of another checkout and this one in turns, each in a
process of its own, and counts pixels of the scene a second of wall time and of processor time, model loading left out.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

SOURCE = Path(__file__).resolve().parents[1] / "src"
BLOCK = 512
SENSORS = {4: ("naip", "uint8"), 12: ("sentinel2-l2a", "dn")}


def main() -> None:
    arguments = parse()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        scene = Path(folder) / "scene.tif"
        make_scene(scene, [Path(path) for path in arguments.samples], arguments.side, arguments.rows)
        report = {"memory": memory, "speed": speed, "kills": kills, "seams": seams}[arguments.what](arguments, scene)
    print(json.dumps(report, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("memory", "speed", "kills", "seams"))
    parser.add_argument("samples", nargs="+", help="rasters of one sensor")
    parser.add_argument("--side", type=int, default=2000, help="pixels a side of the scene")
    parser.add_argument("--rows", type=int, help="height of the scene in pixels (default: its side)")
    parser.add_argument("--folder", default="/var/tmp", help="where the scene is made")
    parser.add_argument("--before", help="another checkout, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=100, help="kills")
    parser.add_argument("--minutes", type=float, default=60, help="after which no further run is begun")
    tiles = "128:0,128:8,128:16,128:24,128:32,256:32,256:64"
    parser.add_argument("--tiles", default=tiles, help="of seams: pixels a window side and of the overlap")
    parser.add_argument("--options", default="", help="further options of `skyweave embed`, such as patch-size=16")
    return parser.parse_args()


def make_scene(path: Path, samples: list[Path], side: int, height: int | None = None) -> None:
    """Write samples side by side until the scene is full; each as large as the smallest."""
    images = []
    for sample in samples:
        with rasterio.open(sample) as source:
            images.append(source.read())
    total = height or side
    height, width = (min(image.shape[axis] for image in images) for axis in (1, 2))
    row_of_images = max(1, side // width + 1)
    profile = {"driver": "GTiff", "width": side, "height": total, "count": len(images[0]), "dtype": images[0].dtype}
    tiles = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 1}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 4e5, 0, -10, 5e6)}
    with rasterio.open(path, "w", **profile, **tiles, **place, bigtiff="if_safer") as target:
        for number, top in enumerate(range(0, total, height)):
            order = [images[(number * 7 + place) % len(images)] for place in range(row_of_images)]
            rows = min(height, total - top)
            strip = np.concatenate([image[:, :rows, :width] for image in order], axis=2)[:, :, :side]
            target.write(strip, window=Window(0, top, side, rows))


def command(scene: Path, output: Path, source: Path, options: str) -> tuple[list[str], dict[str, str]]:
    with rasterio.open(scene) as file:
        sensor, unit = SENSORS[file.count]
    words = [sys.executable, "-m", "skyweave", "embed", str(scene), "-o", str(output), "--sensor", sensor]
    return [*words, "--unit", unit, "--bands", "sensor", *(f"--{option}" for option in options.split())], {
        **os.environ,
        "PYTHONPATH": str(source),
    }


def run(scene: Path, output: Path, source: Path, options: str) -> dict[str, Any]:
    """Run once; return times, memory and the lines of progress with their seconds."""
    words, environment = command(scene, output, source, options)
    start, lines = time.monotonic(), []
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as job:
        assert job.stderr is not None
        for line in job.stderr:
            lines.append((time.monotonic() - start, line.strip()))
        _, status, usage = os.wait4(job.pid, 0)  # of this process alone, not of all that ended so far
        job.returncode = os.waitstatus_to_exitcode(status)
    if job.returncode:
        raise SystemExit("\n".join(text for _, text in lines))
    return {
        "wall_s": time.monotonic() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        "lines": lines,
    }


def memory(arguments: argparse.Namespace, scene: Path) -> dict[str, Any]:
    """Peak memory of the process, and how right the remaining time was after a tenth of the windows."""
    report = run(scene, scene.with_name("out.tif"), SOURCE, arguments.options)
    early = None
    for seconds, line in report.pop("lines"):
        match = re.search(r"windows: (\d+) of (\d+) .*, (.*) left", line)
        if match and early is None and int(match[1]) >= 0.1 * int(match[2]):
            early = {"at_s": seconds, "remaining_said": match[3], "remaining_was_s": report["wall_s"] - seconds}
    size = scene.with_name("out.tif").stat().st_size
    return {
        "side": arguments.side,
        "rows": arguments.rows or arguments.side,
        **report,
        "after_a_tenth": early,
        "output_mb": size / 1e6,
    }


def speed(arguments: argparse.Namespace, scene: Path) -> dict[str, Any]:
    """Pixels of the scene a second, of another checkout and this one in turns; start of the process left out."""
    small = scene.with_name("small.tif")
    make_scene(small, [Path(path) for path in arguments.samples], 64)
    contenders = {"before": Path(arguments.before) / "src", "now": SOURCE}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, source in contenders.items():
            options = arguments.options if name == "now" else ""
            start = run(small, scene.with_name("out.tif"), source, options)
            whole = run(scene, scene.with_name("out.tif"), source, options)
            times[name].append((whole["wall_s"] - start["wall_s"], whole["cpu_s"] - start["cpu_s"]))
    pixels = arguments.side**2
    result: dict[str, Any] = {"side": arguments.side, "rounds": arguments.rounds}
    for name, values in times.items():
        wall, cpu = np.median(np.array(values), axis=0)
        result[name] = {"pixels_per_s": pixels / wall, "pixels_per_cpu_s": pixels / cpu}
    for key in ("pixels_per_s", "pixels_per_cpu_s"):
        result[f"ratio_of_{key}"] = result["now"][key] / result["before"][key]
    return result


def kills(arguments: argparse.Namespace, scene: Path) -> dict[str, Any]:
    """Kill a run at random instants again and again until it is through; is its file that of an undisturbed one?"""
    from skyweave.backbone import load_encoder
    from skyweave.core.sensors import get_sensor
    from skyweave.embedding import EmbeddingConfig, embed_scene
    from skyweave.inference import InferenceConfig

    encoder, sensor = load_encoder("tiny", "cpu"), get_sensor("naip")
    config = EmbeddingConfig(inference=InferenceConfig(workers=1, batch=4))

    def embed(output: Path) -> None:
        embed_scene(scene, output, encoder, sensor, unit="uint8", bands="sensor", config=config)

    start = time.monotonic()
    embed(scene.with_name("whole.tif"))
    duration, output = time.monotonic() - start, scene.with_name("out.tif")
    expected, killed, same, through = scene.with_name("whole.tif").read_bytes(), 0, True, 0
    random.seed(0)
    until = start + 60 * arguments.minutes
    while killed < arguments.count and time.monotonic() < until:
        child = os.fork()
        if child == 0:
            embed(output)
            os._exit(0)
        deadline = time.monotonic() + random.uniform(0.02, 0.4) * duration
        while time.monotonic() < deadline and not os.waitpid(child, os.WNOHANG)[0]:
            time.sleep(0.005)
        if output.exists() and not output.with_name("out.tif.partial").exists():
            through += 1
            same &= output.read_bytes() == expected
            output.unlink()
            continue
        os.kill(child, 9)
        os.waitpid(child, 0)
        killed += 1
    embed(output)
    same &= output.read_bytes() == expected
    return {"side": arguments.side, "kills": killed, "runs_that_got_through": through + 1, "all_the_same_bytes": same}


def seams(arguments: argparse.Namespace, scene: Path) -> dict[str, Any]:
    """Differences between neighbouring patches where windows meet, beside those elsewhere, by overlap."""
    report: dict[str, Any] = {"side": arguments.side}
    width = min(rasterio.open(path).width for path in arguments.samples)
    borders = {border // 8 + at for border in range(width, arguments.side, width) for at in (-1, 0)}
    for tile, overlap in (map(int, words.split(":")) for words in arguments.tiles.split(",")):
        output = scene.with_name("out.tif")
        options = f"dtype=float32 tile={tile} overlap={overlap} {arguments.options}"
        run(scene, output, SOURCE, options)
        with rasterio.open(output) as source:
            features = source.read()
        steps = np.sqrt(((features[:, :, 1:] - features[:, :, :-1]) ** 2).mean(axis=(0, 1)))
        step, size = (tile - overlap) // 8, tile // 8
        starts = range(step, features.shape[2] - size, step)
        seen = set(range(len(steps))) - borders  # where two samples meet there is a seam in the scene itself
        near = sorted({start + at for start in starts for at in range(-1, overlap // 8 + 1)} & seen)
        inside = steps[sorted(seen - set(near))]
        ratio = float(np.max([steps[near].max()]) / np.percentile(inside, 99))
        report[f"tile {tile} overlap {overlap}"] = {
            "where_windows_meet": float(steps[near].mean()),
            "inside": float(inside.mean()),
            "spread_inside": float(inside.std()),
            "largest_over_99th_percentile_inside": ratio,
            "encoded_times": (tile / (tile - overlap)) ** 2,
        }
    return report


if __name__ == "__main__":
    main()
