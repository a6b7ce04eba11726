"""Are features of a sensor that pretraining never saw useful: above statistics of the same pixels?

A backbone is pretrained on every sensor but those of one kind, frozen, and probed on labels of that kind.

    python benchmarks/unseen_sensor.py --data ../shared/data --sensor sentinel2-l2a

Prints the probe's rows, and the lead over each statistics row with its paired 95 % interval.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import joint_pretraining
import numpy as np

from skyweave.downstream.probing import prepare_probe, run_probe

ALIKE = {
    "sentinel2-l2a": ("sentinel2-l2a", "sentinel2-l1c"),
    "sentinel1-rtc": ("sentinel1-rtc", "sentinel1-grd"),
    "enmap": ("enmap",),
    "rgb": ("rgb",),
}
"""Sensors that leave together: the two levels of Sentinel-2 share their bands."""
BASELINES = ["statistics", "statistics+", "statistics 3x3 cells", "random initialisation"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sensor", choices=ALIKE, default="sentinel2-l2a")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    images = {name: count for name, count in joint_pretraining.JOINT.items() if name not in ALIKE[args.sensor]}
    name = joint_pretraining.PROBES[args.sensor]
    prepared = prepare_probe(joint_pretraining.ROOT / "configs" / "probe" / f"{name}.yaml", args.data, seeds=1)
    prepared = replace(prepared, config=replace(prepared.config, baselines=BASELINES))
    leads: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        backbone = joint_pretraining.pretrained(args.data, args.steps, seed, images)
        result = run_probe(prepared, backbone=backbone)
        metric = prepared.config.metric
        for row in result.rows:
            print(f"seed {seed}: {row.name}: {row.scores[metric].mean:.3f}", flush=True)
        for comparison in result.comparisons:
            leads.setdefault(comparison.baseline, []).append(comparison.difference.mean)
            print(f"seed {seed}: {comparison.model} over {comparison.baseline}: {comparison.difference}", flush=True)
    print("\n| baseline | lead, mean over seeds |\n| --- | --- |")
    for baseline, values in leads.items():
        print(f"| {baseline} | {np.mean(values):+.3f} ± {np.std(values, ddof=1):.3f} |")


if __name__ == "__main__":
    main()
