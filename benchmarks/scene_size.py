"""Scenes of full size through `skyweave embed`, beside the encoder alone, an older checkout and Galileo's own code.

    python benchmarks/scene_size.py large NAIP/*.tif --json results/backbone/scene-inference.json
    python benchmarks/scene_size.py tile S2L2A/*.tif --before CHECKOUT --galileo CHECKOUT --weights GALILEO_NANO \
        --json results/backbone/scene-speed.json

Both make their scene of real samples side by side. `large` embeds 20,000 x 20,000 pixels of four bands: memory, time,
the remaining time that is named after a tenth of the windows, and the time of the encoder alone on the same windows,
which is measured on a part of them before and after. `tile` embeds a Sentinel-2 tile of 10,980 x 10,980 pixels of
twelve bands; the other codes take parts of it, of which the pixels a second count, without starting and loading.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import rasterio
import torch
from result_file import write_result
from scene_inference import SENSORS, SOURCE, make_scene, memory, run

Row = dict[str, Any]
LARGE, TILE = 20_000, 10_980
START = 64  # pixels a side of a scene whose time is that of starting


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    if arguments.part:
        print({"encoder": encoder_alone, "galileo": galileo_alone}[arguments.what](arguments))
        return
    title, rows, note = {"large": large, "tile": tile}[arguments.what](arguments)
    for row in rows:
        print(row)
    if arguments.json:
        write_result(arguments.json, title, rows, note)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("large", "tile", "encoder", "galileo"))
    parser.add_argument("samples", nargs="+", help="rasters of one sensor")
    parser.add_argument("--side", type=int, help="pixels a side (default: as said above)")
    parser.add_argument("--rows", type=int, help="height in pixels of the scene (default: its side)")
    parser.add_argument("--scene", help="the scene, if it is there already")
    parser.add_argument("--folder", default="/var/tmp", help="where scenes and outputs are made")
    parser.add_argument("--patch", type=int, help="pixels a patch side (default: 16 of `large`, 8 of `tile`)")
    parser.add_argument("--part-rows", type=int, default=1000, help="height in pixels of the parts")
    parser.add_argument("--rounds", type=int, default=1, help="of the parts, in turns")
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--galileo", type=Path, help="a checkout of nasaharvest/galileo")
    parser.add_argument("--weights", type=Path, help="folder with galileo_nano_encoder.pt and galileo_nano_config.json")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", type=int, nargs=2, metavar=("ROW", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    return parser.parse_args()


def large(arguments: argparse.Namespace) -> tuple[str, list[Row], str]:
    """Embed a large scene between two runs of the encoder alone on parts of it."""
    arguments.side, arguments.patch = arguments.side or LARGE, arguments.patch or 16
    with scene_of(arguments) as scene:
        size = (arguments.rows or arguments.side, arguments.side)
        arguments.options = f"patch-size={arguments.patch} workers=2"
        parts = [0, size[0] // 2]
        seconds = [alone("encoder", arguments, scene, row) for row in parts[:1]]
        report = memory(arguments, scene)
        seconds += [alone("encoder", arguments, scene, row) for row in parts[1:]]
    windows = sum(float(words.split()[0]) for words in seconds)
    each = sum(float(words.split()[1]) for words in seconds) / windows
    total = int(seconds[0].split()[2])
    after = report["after_a_tenth"] or {"remaining_said": "-", "remaining_was_s": 0}
    row = {
        "scene (width x height x bands)": f"{size[1]:,} x {size[0]:,} x 4",
        "largest memory (MB)": f"{report['peak_mb']:.0f}",
        "wall time (s)": f"{report['wall_s']:.0f}",
        "processor time (s)": f"{report['cpu_s']:.0f}",
        "the encoder alone (s)": f"{each * total:.0f}",
        "ratio": f"{report['wall_s'] / (each * total):.2f}",
        "remaining time at a tenth: named": after["remaining_said"],
        "was": f"{after['remaining_was_s'] / 60:.1f} min",
    }
    note = (
        f"Patches of {arguments.patch} pixels, {total:,} windows of 16 patches, bfloat16, two workers. The whole "
        f"command, with its start and the finished GeoTIFF. The encoder alone: {windows:.0f} of the windows, held in "
        "memory, half of them before and half after."
    )
    return "`skyweave embed` of a large scene with `tiny`, beside the encoder alone on the same windows", [row], note


def tile(arguments: argparse.Namespace) -> tuple[str, list[Row], str]:
    """Embed a Sentinel-2 tile; the codes that it is compared with take parts of it, in turns."""
    arguments.side, arguments.patch = arguments.side or TILE, arguments.patch or 8
    with scene_of(arguments) as scene:
        rows, side = arguments.rows or arguments.side, arguments.side
        first, small = scene.with_name("part.tif"), scene.with_name("small.tif")
        samples = [Path(path) for path in arguments.samples]
        make_scene(first, samples, side, arguments.part_rows)
        make_scene(small, samples, START)
        times: dict[str, list[float]] = {}
        parts: list[tuple[str, Callable[[], float]]] = [
            ("`skyweave embed`, a part", partial(embedding, first, small, SOURCE))
        ]
        if arguments.before:
            parts.append(
                (
                    "`skyweave embed` of before, the same part",
                    partial(embedding, first, small, arguments.before / "src"),
                )
            )
        if arguments.galileo:
            for precision in ("float32", "bfloat16"):
                code = partial(galileo_part, arguments, scene, precision)
                parts.append((f"Galileo-nano's own code, {precision}, its encoder alone", code))
        for _ in range(arguments.rounds):
            for name, measure in parts:
                times.setdefault(name, []).append(measure())
                print(name, times[name], file=sys.stderr, flush=True)
        whole = run(scene, scene.with_name("out.tif"), SOURCE, "")
    speeds = {"`skyweave embed`, the whole tile": side * rows / whole["wall_s"]}
    pixels = side * arguments.part_rows
    speeds |= {
        name: float(np.median(one)) if "Galileo" in name else pixels / float(np.median(one))
        for name, one in times.items()
    }
    now = speeds["`skyweave embed`, a part"]
    table = [
        {"code": name, "pixels a second": f"{speed:,.0f}", "`embed` is faster by": f"{now / speed:.2f}"}
        for name, speed in speeds.items()
    ]
    note = (
        f"{side:,} x {rows:,} pixels of 12 bands, patches of {arguments.patch} pixels, rounds: {arguments.rounds}; "
        f"parts have {arguments.part_rows:,} rows. The whole tile with its start took {whole['wall_s']:.0f} s and "
        f"{whole['peak_mb']:.0f} MB. Galileo reads ten of the bands, in windows of as many patches, without overlap, "
        "which are held in memory."
    )
    return "A Sentinel-2 tile with `tiny`: pixels of it a second", table, note


@contextmanager
def scene_of(arguments: argparse.Namespace) -> Iterator[Path]:
    """Give the scene, which is made if it is not there, in a folder for outputs."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        scene = Path(folder) / "scene.tif"
        if arguments.scene:
            os.link(arguments.scene, scene)
        else:
            make_scene(scene, [Path(path) for path in arguments.samples], arguments.side, arguments.rows)
        yield scene


def embedding(part: Path, small: Path, source: Path) -> float:
    """Return the seconds of `skyweave embed` of a part, less those of its start."""
    output = part.with_name("out.tif")
    start = run(small, output, source, "")["wall_s"]
    return float(run(part, output, source, "")["wall_s"] - start)


def alone(what: str, arguments: argparse.Namespace, scene: Path, row: int, *options: str) -> str:
    """Return what this script prints of one part in a process of its own."""
    words = [sys.executable, __file__, what, str(scene), "--patch", str(arguments.patch), *options]
    words += ["--part", str(row), str(arguments.part_rows)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def encoder_alone(arguments: argparse.Namespace) -> str:
    """Windows of a part, their seconds in the encoder alone, and the windows of the whole scene."""
    from skyweave.backbone import load_encoder
    from skyweave.core.sensors import get_sensor
    from skyweave.embedding.config import PATCHES_PER_TILE
    from skyweave.embedding.encoder_model import EncoderModel
    from skyweave.inference import InferenceConfig, open_scene, plan_windows
    from skyweave.inference.groups import compute_group, read_group

    (scene,) = arguments.samples
    with rasterio.open(scene) as file:
        sensor, unit = SENSORS[file.count]
    config, size = InferenceConfig(), arguments.patch
    encoder, first = load_encoder("tiny", "cpu"), arguments.part[0] // size
    source = open_scene([scene], [get_sensor(sensor)], size, config, [{"unit": unit, "bands": "sensor"}])
    model = EncoderModel(encoder, size, config.resolved_precision("cpu"), (unit,))
    plan = plan_windows(source.shape, size, PATCHES_PER_TILE * size, config, model.channels)
    last = first + arguments.part[1] // size
    groups = [group for strip in plan.strips() for group in strip.groups if first <= group.windows[0].row < last]
    pixels = [read_group(source, group) for group in groups]
    compute = partial(compute_group, model, config.batch)
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(compute, pixels[:2]))  # allocates what is kept
        start = monotonic()
        for _ in pool.map(compute, pixels):
            pass
        seconds = monotonic() - start
    return f"{sum(len(group.windows) for group in groups)} {seconds} {len(plan)}"


def galileo_part(arguments: argparse.Namespace, scene: Path, precision: str) -> float:
    """Return the pixels a second of Galileo's encoder."""
    options = ["--galileo", str(arguments.galileo), "--weights", str(arguments.weights), "--precision", precision]
    return float(alone("galileo", arguments, scene, 0, *options))


def galileo_alone(arguments: argparse.Namespace) -> float:
    """Pixels a second of Galileo's own encoder, windows of 16 patches in batches, both cores at work."""
    from pretraining_galileo import import_reference

    import_reference(arguments.galileo)
    stand_in(
        "torchvision", "torchvision.transforms", "torchvision.transforms.v2", "torchvision.transforms.v2.functional"
    )
    construct_galileo_input = importlib.import_module("src.data.utils").construct_galileo_input
    encoder = load_galileo(importlib.import_module("src.galileo").Encoder, arguments.weights).eval()
    side, batch = 16 * arguments.patch, 8
    with rasterio.open(arguments.samples[0]) as file:
        count = file.width // side // batch * batch
        names = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")
        kept = [names.index(name) + 1 for name in names if name not in ("B1", "B9")]
        strip = torch.from_numpy(file.read(kept, window=((0, side), (0, count * side))).astype(np.float32))
    windows = strip.unflatten(2, (count, side)).permute(2, 1, 3, 0)  # windows, rows, columns, bands
    inputs = [construct_galileo_input(s2=window[:, :, None], normalize=True) for window in windows]

    @torch.inference_mode()
    def encode(part: Sequence[Any]) -> None:
        fields = [torch.stack([getattr(one, name) for one in part]).float() for name in type(part[0])._fields[:8]]
        months = torch.stack([one.months for one in part])
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16"):
            encoder(*fields, months, patch_size=arguments.patch, add_layernorm_on_exit=True)

    batches = [inputs[first : first + batch] for first in range(0, count, batch)]
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(encode, batches[:2]))
        start = monotonic()
        for _ in pool.map(encode, batches):
            pass
        return float(count * side**2 / (monotonic() - start))


def stand_in(*names: str) -> None:
    """Make modules importable that only Galileo's training needs."""
    for name in names:
        sys.modules.setdefault(name, MagicMock())


def load_galileo(encoder_class: Any, folder: Path) -> Any:
    """Return Galileo's encoder with its weights, as its `load_from_folder` does."""
    import json

    config = json.loads((folder / "galileo_nano_config.json").read_text())
    encoder = encoder_class(**config["model"]["encoder"])
    state = torch.load(folder / "galileo_nano_encoder.pt", map_location="cpu", weights_only=True)
    encoder.load_state_dict({name.replace(".backbone", ""): values for name, values in state.items()})
    return encoder


if __name__ == "__main__":
    main()
