"""Does one backbone pretrained on all sensors beat one pretrained on the sensor alone, at equal steps and images?

The claim of OFA-Net (arXiv 2401.07527), as a controlled pair: the same code, steps, images per step and seeds; only
where the images come from differs. Each pretrained backbone is frozen and probed on labels of that sensor.

    python benchmarks/joint_pretraining.py --data ../shared/data -o /tmp/joint

Finished runs are kept in the output folder and not repeated.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from skyweave.backbone import Backbone, build_backbone, load_backbone
from skyweave.downstream.probing import PreparedProbe, prepare_probe, run_probe
from skyweave.pretraining.train import pretrain

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "pretrain" / "tiny.yaml"
PROBES = {
    "sentinel2-l2a": "terramesh_s2",
    "sentinel1-rtc": "terramesh_s1",
    "enmap": "enmap_potsdam",
    "rgb": "neon_site",
}
JOINT = {
    "sentinel2-l1c": 4,
    "sentinel2-l2a": 6,
    "sentinel1-rtc": 5,
    "sentinel1-grd": 1,
    "naip": 3,
    "enmap": 6,
    "rgb": 7,
}


def main() -> None:
    """Train, probe and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    probes = {
        sensor: prepare_probe(ROOT / "configs" / "probe" / f"{name}.yaml", args.data, seeds=1)
        for sensor, name in PROBES.items()
    }
    scores: dict[tuple[str, str], list[float]] = {}
    for seed in range(args.seeds):
        runs = {"random": None, "joint": JOINT, **{sensor: {sensor: sum(JOINT.values())} for sensor in PROBES}}
        for run, images in runs.items():
            sensors = list(PROBES) if run in ("random", "joint") else [run]
            for sensor, value in _scores(args, run, seed, images, {s: probes[s] for s in sensors}).items():
                scores.setdefault((sensor, run if run in ("random", "joint") else "single"), []).append(value)
    _print_table(scores)


def _scores(
    args: argparse.Namespace, run: str, seed: int, images: dict[str, int] | None, probes: dict[str, PreparedProbe]
) -> dict[str, float]:
    """Probe score by sensor of one run, from the file of an earlier call where there is one."""
    file = args.output / f"{run}_{args.steps}_{seed}.json"
    if file.exists():
        scores: dict[str, float] = json.loads(file.read_text())
        return scores
    backbone = build_backbone("tiny", seed=seed) if images is None else pretrained(args.data, args.steps, seed, images)
    result = {}
    for sensor, prepared in probes.items():
        probe = run_probe(prepared, backbone=backbone, with_baselines=False, classifiers=["linear"])
        result[sensor] = probe.rows[0].scores[prepared.config.metric].mean
    file.write_text(json.dumps(result))
    print(run, seed, {sensor: round(value, 3) for sensor, value in result.items()}, flush=True)
    return result


def pretrained(data: Path, steps: int, seed: int, images: dict[str, int]) -> Backbone:
    """A tiny backbone pretrained on these sensors (images of each in a step)."""
    changes = [
        f"optimiser.steps={steps}",
        f"seed={seed}",
        f"images_per_step={json.dumps(images)}",
        "trainer.checkpoint_every=100000",
        "objectives={pixels: {}}",  # the published objective and no other
        "masking={ratios: [0.75]}",
        "optimiser.schedule=cosine",
        "optimiser.learning_rate=0.0012",
        "source_weights={}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        return load_backbone(pretrain(CONFIG, data, Path(folder), changes, progress=False))


def _print_table(scores: dict[tuple[str, str], list[float]]) -> None:
    print("\n| sensor | probe | random | single | joint | joint - single |\n| --- | --- | --- | --- | --- | --- |")
    differences = []
    for sensor, probe in PROBES.items():
        cells = [np.array(scores[sensor, run]) for run in ("random", "single", "joint")]
        differences.append(cells[2] - cells[1])
        texts = " | ".join(f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" for values in cells)
        print(f"| {sensor} | {probe} | {texts} | {differences[-1].mean():+.3f} ± {differences[-1].std(ddof=1):.3f} |")
    mean = np.mean(differences, axis=0)
    print(f"| mean | | | | | {mean.mean():+.3f} ± {mean.std(ddof=1):.3f} |")


if __name__ == "__main__":
    main()
