"""What bad links do to a fleet: four nodes over emulated links, in simulated time, everything seeded.

    skyweave simulate configs/world/hidden.yaml -o recordings/hidden --scenes 1 --frames 40
    OMP_NUM_THREADS=1 python benchmarks/fleet_links.py recordings/hidden

The detector is the stand-in that reads the truth about what each platform's own cameras see, and adds noise
(`GroundTruthPerceiver`): the table shows what the network does to a fused scene, not what any model can do. `ego only`
is the mean average precision (nuScenes' definition) of what each platform sees alone, against all objects that any of
them sees.
"""

import argparse
import json
from dataclasses import replace
from typing import Any

import numpy as np

from skyweave.fleet.link.emulated import EmulatedNetwork
from skyweave.fleet.link.emulated_link import EmulatedLinkConfig
from skyweave.fleet.node.node import Node
from skyweave.fleet.node.options import NodeOptions
from skyweave.fleet.perceivers.base import WorldFrame
from skyweave.fleet.perceivers.ground_truth import GroundTruthPerceiver
from skyweave.fleet.sources.base import platform_captures
from skyweave.perception.metrics import evaluate_detection, visible_objects
from skyweave.recordings.nuscenes import load_recording
from skyweave.recordings.recording import RecordedScene

START = 1_750_000_000_000_000_000
STEP = 20_000_000  # nanoseconds
WARM = 4  # frames that are not scored: heartbeats are exchanged first

LINKS: dict[str, tuple[EmulatedLinkConfig, float]] = {  # and seconds by which each clock is ahead of the one before it
    "perfect": (EmulatedLinkConfig(), 0.0),
    "loss 10 %": (EmulatedLinkConfig(loss=0.1), 0.0),
    "loss 20 %": (EmulatedLinkConfig(loss=0.2), 0.0),
    "loss 30 %": (EmulatedLinkConfig(loss=0.3), 0.0),
    "loss 50 %": (EmulatedLinkConfig(loss=0.5), 0.0),
    "loss 50 % in bursts of 10": (EmulatedLinkConfig(loss=0.5, burst=10), 0.0),
    "delay 100 ms": (EmulatedLinkConfig(delay=0.1), 0.0),
    "delay 300 ms": (EmulatedLinkConfig(delay=0.3), 0.0),
    "delay 500 ms": (EmulatedLinkConfig(delay=0.5), 0.0),
    "jitter 500 ms, reordered": (EmulatedLinkConfig(jitter=0.5, reorder=0.5), 0.0),
    "clocks 2 s apart": (EmulatedLinkConfig(delay=0.03, jitter=0.02), 2.0),
    "62.5 kbit/s each": (EmulatedLinkConfig(rate=62_500 / 8, queue=8_000), 0.0),
    "all: loss 50 %, clocks 2 s apart, jitter 500 ms": (
        EmulatedLinkConfig(loss=0.5, burst=3, delay=0.03, jitter=0.5, reorder=0.3, duplicate=0.1),
        2.0,
    ),
    "cut": (EmulatedLinkConfig(loss=1.0), 0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    scene = load_recording(args.recording).scenes[0]
    rows = []
    for name, (config, offset) in LINKS.items():
        runs = [run(scene, config, offset, seed) for seed in range(args.seeds)]
        rows.append({"link": name, **{key: float(np.mean([scores[key] for scores in runs])) for key in runs[0]}})
    if args.json:
        print(json.dumps(rows))
        return
    print("| link | ego only | fused | fused with | age (s) | rejected |\n| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row['link']} | {row['ego_only']:.3f} | {row['fused']:.3f} | {row['peers']:.2f} | {row['age']:.2f} | "
            f"{row['rejected']:.0f} |"
        )


def run(scene: RecordedScene, config: EmulatedLinkConfig, offset: float, seed: int) -> dict[str, float]:
    """One pass over the scene."""
    network = EmulatedNetwork(config, seed)
    platforms = sorted({capture.platform for frame in scene.frames for capture in frame.captures.values()})
    categories = tuple(sorted({c for frame in scene.frames for c in (frame.annotations or NOTHING).categories}))
    true = [START]
    nodes, clocks = {}, {}
    for number, name in enumerate(platforms):
        shift = round(number * offset * 1e9)
        clocks[name] = lambda shift=shift: true[0] + shift
        perceiver = GroundTruthPerceiver(categories, seed=100 * seed + number)
        world_frame = WorldFrame(scene.crs, scene.ground)
        options = NodeOptions(max_wait=0.4)
        nodes[name] = Node(
            "links", name, perceiver, network.join(name), world_frame, options, number + 1, None, clocks[name]
        )
    truth, ego_only, fused, peers, ages = [], [], [], [], []
    for number, frame in enumerate(scene.frames):
        start = START + number * 500_000_000
        true[0] = start
        pending: dict[str, Any] = {}
        for name, node in nodes.items():
            node.send_heartbeat()
            captured = platform_captures(frame, name, 0)
            if captured is not None:
                pending[name] = node.observe_and_send(replace(captured, time=clocks[name]()))
        while true[0] < start + 400_000_000:
            true[0] += STEP
            network.advance(true[0])
            for node in nodes.values():
                node.peers.drain()
        for name, waiting in pending.items():
            fused_scene = nodes[name].fuse(waiting)
            if number < WARM or frame.annotations is None:
                continue
            truth.append(frame.annotations)
            ego_only.append(waiting.observation.scene.detections)
            fused.append(fused_scene.prediction.detections)
            peers.append(len(fused_scene.peer_frames))
            ages += [-peer_frame.time_offset for peer_frame in fused_scene.peer_frames]
        true[0] = start + 480_000_000
        network.advance(true[0])
    counted = [visible_objects(objects) for objects in truth]
    return {
        "ego_only": evaluate_detection(truth, ego_only, counted=counted).mean_ap,
        "fused": evaluate_detection(
            truth, [detections for detections in fused if detections is not None], counted=counted
        ).mean_ap,
        "peers": float(np.mean(peers)),
        "age": float(np.mean(ages)) if ages else float("nan"),
        "rejected": float(
            sum(sum(counts.values()) for node in nodes.values() for counts in node.peers.rejection_counts().values())
        ),
    }


class NOTHING:
    categories: tuple[str, ...] = ()


if __name__ == "__main__":
    main()
