"""Time one frame of four platforms, stage by stage, from images to boxes.

    python benchmarks/perception_speed.py --weights crossing --threads 2

Images of 256 x 448 pixels of a simulated crossing; bfloat16; past frames are kept as maps, as in a live system.
Times are medians over the frames, wall clock; ``--cpu`` takes processor time (for one thread on a busy machine).
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from skyweave.core.malloc import keep_freed_memory
from skyweave.mapping import plan_lift
from skyweave.perception import PerceptionDataset, PerceptionModel, Views, collate, decode_maps, load_perception
from skyweave.simulator.config import CameraConfig, PlatformConfig, WorldConfig
from skyweave.simulator.world import simulate_scene

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="crossing", help="shipped name or .safetensors file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of wall clock")
    parser.add_argument("--json", action="store_true")
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
    stages = {name: 1000 * float(np.median(times)) for name, times in timer.times.items()}
    total = sum(stages.values())
    if args.json:
        print(json.dumps({"threads": args.threads, "stages_ms": stages, "frames_per_second": 1000 / total}))
        return
    print(f"| stage ({args.threads} threads) | ms | share |\n| --- | --- | --- |")
    for name, value in stages.items():
        print(f"| {name} | {value:.1f} | {100 * value / total:.0f} % |")
    print(f"| **all: {1000 / total:.1f} frames a second** | **{total:.1f}** | |")


class StageTimer:
    """The times that stages take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.recording, self.times = clock, False, dict[str, list[float]]()

    def __call__(self, name: str, run: Callable[[], T]) -> T:
        started = self.clock()
        result = run()
        if self.recording:
            self.times.setdefault(name, []).append(self.clock() - started)
        return result


@torch.inference_mode()
def time_frame(model: PerceptionModel, views: Views, batch: Any, timer: StageTimer) -> None:
    """The stages of `PerceptionModel.observe`, ``fuse``, ``perceive`` and `decode_maps`, one by one."""
    (images,), (cameras,), (maps,) = views.images, views.cameras, views.maps
    sample, config = batch.samples[0], model.config
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
        features = timer("backbone", lambda: model.backbone(images, config.patch_size, detail=config.stride))
        encoded = timer("neck", lambda: model.neck(features))
        grids = [grid for grid in views.grids for _ in range(views.platforms)]
        shape = (encoded.shape[-2], encoded.shape[-1])
        plan = timer("plan", lambda: plan_lift(cameras, grids, model.lift.bins, shape, [sample.ground] * 4, maps))
        bev, _ = timer("lift", lambda: model.lift(encoded, plan))
        lifted = bev.features.to(encoded.dtype).unflatten(0, (1, views.platforms))
        visible = bev.visible.unflatten(0, (1, views.platforms))
        fused = timer("fusion", lambda: model.fusion(lifted, visible))
        past = [fused] * (model.config.history - 1)
        outputs = timer("memory, trunk, heads", lambda: model.perceive([*past, fused]))
    timer("to boxes", lambda: decode_maps(model, outputs, [sample.grid], [sample.ground], [sample.time]))


if __name__ == "__main__":
    main()
