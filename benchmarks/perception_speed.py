"""Time one frame of four platforms, stage by stage, from images to boxes, beside the floor of each stage.

    python benchmarks/perception_speed.py --weights crossing --threads 2
    python benchmarks/perception_speed.py --threads 2 --frames 24 --json results/perception/stages.json

Images of 256 x 448 pixels of a simulated crossing; bfloat16; past frames are kept as maps, as in a live system.
Times are medians over the frames, wall clock; ``--cpu`` takes processor time (for one thread on a busy machine). The
floor of a stage is the larger of two times on the same threads: that of its matrix products and convolutions at the
speed of one large product in bfloat16, and that of its bytes (inputs, weights and outputs, each once) at the speed of a
large copy.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from result_file import write_result
from torch.profiler import ProfilerActivity, profile

from skyweave.core.malloc import keep_freed_memory
from skyweave.mapping import plan_lift
from skyweave.perception import PerceptionDataset, PerceptionModel, Views, collate, decode_maps, load_perception
from skyweave.simulator.config import CameraConfig, PlatformConfig, WorldConfig
from skyweave.simulator.world import simulate_scene

T = TypeVar("T")
POOLING = "_Pool"  # the sparse product of the lift, which the profiler counts as a dense one
SIDE, PRODUCTS = 2048, 5  # of the square matrices whose product is the fastest that there is, and how often
COPIED_NUMBERS = 1 << 26  # of the copy that measures the memory, far beyond the caches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="crossing", help="shipped name or .safetensors file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall clock")
    parser.add_argument("--json", type=Path, help="write the table there, as a file of results/")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    model = load_perception(args.weights)
    drones = PlatformConfig(count=4, cameras=[CameraConfig(rows=256, columns=448, field_of_view=(60.0, 75.0))])
    scene = simulate_scene(WorldConfig(frames=3, platforms=[drones]), 0)
    dataset = PerceptionDataset([scene], model.config)
    batch = collate([dataset[2]])
    timer = StageTimer(time.process_time if args.cpu else time.perf_counter)
    for number in range(args.frames + 2):
        timer.recording = number >= 2
        time_frame(model, batch.frames[-1], batch, timer)
    peak, bandwidth = measure_peak(timer.clock), measure_bandwidth(timer.clock)
    rows = list_stages(timer, peak, bandwidth)
    print("| " + " | ".join(rows[0]) + " |\n" + "| --- " * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    if args.json:
        title = "Time of one frame of four platforms by stage, beside its floor"
        clock = "processor" if args.cpu else "wall"
        note = (
            f"bfloat16, {args.threads} threads, median of {args.frames} frames, {clock} time. Floors: products at "
            f"{peak / 1e9:.0f} billion operations a second, bytes (inputs, weights and outputs, once) at "
            f"{bandwidth / 1e9:.1f} GB/s, both measured in the same run."
        )
        write_result(args.json, title, rows, note)


def list_stages(timer: "StageTimer", peak: float, bandwidth: float) -> list[dict[str, str]]:
    """Return time, operations, bytes and floor of each stage and of all.

    Args:
        timer: that ran them.
        peak: operations a second of a large product.
        bandwidth: bytes a second of a large copy.
    """
    rows, total, whole, all_operations = [], 0.0, 0.0, 0
    for name, times in timer.times.items():
        seconds, operations, moved = float(np.median(times)), timer.operations[name], timer.bytes[name]
        floors = {"products": operations / peak, "memory": moved / bandwidth}
        limit = max(floors, key=lambda one: floors[one])
        total, whole, all_operations = total + seconds, whole + floors[limit], all_operations + operations
        rows.append(_row(name, seconds, operations, f"{moved / 1e6:.1f}", floors[limit], limit))
    last = _row("all", total, all_operations, "", whole, "") | {"frames/s": f"{1 / total:.1f}"}
    return [*rows, last]


def _row(name: str, seconds: float, operations: int, moved: str, floor: float, limit: str) -> dict[str, str]:
    return {
        "stage": name,
        "time (ms)": f"{1000 * seconds:.1f}",
        "operations (billions)": f"{operations / 1e9:.2f}",
        "bytes (millions)": moved,
        "floor (ms)": f"{1000 * floor:.1f}",
        "set by": limit,
        "frames/s": "",
    }


def measure_peak(clock: Callable[[], float]) -> float:
    """Return the operations a second of a large product in bfloat16.

    Args:
        clock: in seconds.
    """
    matrix, seconds = torch.rand(SIDE, SIDE).bfloat16(), []
    for _ in range(PRODUCTS):
        started = clock()
        matrix @ matrix
        seconds.append(clock() - started)
    return float(2 * SIDE**3 / min(seconds))


def measure_bandwidth(clock: Callable[[], float]) -> float:
    """Return the bytes a second that a large copy reads and writes.

    Args:
        clock: in seconds.
    """
    source, target, seconds = torch.rand(COPIED_NUMBERS), torch.rand(COPIED_NUMBERS), []
    for _ in range(PRODUCTS):
        started = clock()
        target.copy_(source)
        seconds.append(clock() - started)
    return float(2 * source.nbytes / min(seconds))


def count_bytes(*things: Any) -> int:
    """Return the bytes of all tensors and arrays in modules, dataclasses, mappings and sequences, each once.

    Args:
        things: to look into.
    """
    found: dict[int, int] = {}

    def look(thing: Any) -> None:
        if isinstance(thing, torch.nn.Module):
            look([*thing.parameters(), *thing.buffers()])
        elif isinstance(thing, torch.Tensor):
            found[id(thing)] = _values(thing).nbytes
        elif isinstance(thing, np.ndarray):
            found[id(thing)] = thing.nbytes
        elif is_dataclass(thing) and not isinstance(thing, type):
            look([getattr(thing, field.name) for field in fields(thing)])
        elif isinstance(thing, Mapping):
            look(list(thing.values()))
        elif isinstance(thing, Sequence) and not isinstance(thing, str):
            for part in thing:
                look(part)

    look(things)
    return sum(found.values())


def _values(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.values() if tensor.layout is not torch.strided else tensor


class StageTimer:
    """The times that stages take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.recording, self.times = clock, False, dict[str, list[float]]()
        self.operations: dict[str, int] = {}
        self.bytes: dict[str, int] = {}

    def __call__(self, name: str, run: Callable[[], T], *read: Any) -> T:
        """Run a stage.

        Args:
            name: of the stage.
            run: the stage.
            read: what it reads: inputs and modules.
        """
        if name not in self.operations:
            with profile(activities=[ProfilerActivity.CPU], with_flops=True) as counted:
                run()
            self.operations[name] = sum(map(count_operations, counted.events()))
            self.bytes[name] = count_bytes(read, run())
        started = self.clock()
        result = run()
        if self.recording:
            self.times.setdefault(name, []).append(self.clock() - started)
        return result


def count_operations(event: Any) -> int:
    """Return the operations of a dense product or convolution; what calls itself in another precision counts once.

    Args:
        event: of the profiler.
    """
    above = event.cpu_parent
    while above is not None:
        if above.flops or above.name == POOLING:
            return 0
        above = above.cpu_parent
    return int(event.flops or 0)


@torch.inference_mode()
def time_frame(model: PerceptionModel, views: Views, batch: Any, timer: StageTimer) -> None:
    """The stages of `PerceptionModel.observe`, ``fuse``, ``perceive`` and `decode_maps`, one by one."""
    (images,), (cameras,), (maps,) = views.images, views.cameras, views.maps
    sample, config = batch.samples[0], model.config
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        backbone = model.backbone
        features = timer(
            "backbone",
            lambda: backbone(images, config.patch_size, config.stride, model.neck.detail),
            images.pixels,
            backbone,
        )
        encoded = timer("neck", lambda: model.neck(features), features.levels, features.detail, model.neck)
        grids = [grid for grid in views.grids for _ in range(views.platforms)]
        shape = (encoded.shape[-2], encoded.shape[-1])
        plan = timer("plan", lambda: plan_lift(cameras, grids, model.lift.bins, shape, [sample.ground] * 4, maps))
        bev, _ = timer("lift", lambda: model.lift(encoded, plan), encoded, plan, model.lift)
        lifted = bev.features.to(encoded.dtype).unflatten(0, (1, views.platforms))
        visible = bev.visible.unflatten(0, (1, views.platforms))
        fused = timer("fusion", lambda: model.fusion(lifted, visible), lifted, visible, model.fusion)
        past = [fused] * (model.config.history - 1)
        modules = model.memory, model.trunk, model.heads
        outputs = timer("memory, trunk, heads", lambda: model.perceive([*past, fused]), *past, fused, *modules)
    timer("to boxes", lambda: decode_maps(model, outputs, [sample.grid], [sample.ground], [sample.time]), outputs)


if __name__ == "__main__":
    main()
