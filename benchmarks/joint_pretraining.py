"""What sharing one backbone over sensors is worth (the claim of OFA-Net, arXiv 2401.07527), at equal processor time.

    python benchmarks/joint_pretraining.py joint rare unseen bands tokenizer --data DATA -o OUT --cpu-seconds 900

Each question is a pair of pretrainings of `configs/pretrain/tiny.yaml` that differ in one thing, scored by linear
probes on the suite's tasks of a sensor:

joint       all sensors against the sensor alone
rare        the same, the sensor with 1, 10 and 100 % of its images in both
unseen      all sensors but those of the sensor's physics against untrained weights and the strongest baseline
bands       all bands against red, green and blue
tokenizer   `spectral` against `per_sensor`

Differences have the paired 95 % interval over the tasks' test groups, of the mean over seeds. What is finished in the
output folder is not repeated, and a run that was stopped goes on.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pretraining_runs import CONFIG, ROOT, images_seen, pretrained

from skyweave.downstream.suite import SuiteConfig, run_suite
from skyweave.downstream.suite.comparison import Comparison, mean_comparison

TASKS = {
    "rgb": ["eurosat_rgb", "neon_site"],
    "sentinel2-l1c": ["eurosat_ms"],
    "landsat8-l2": ["landsat_water", "landsat_cover"],
    "sentinel1-rtc": ["terramesh_s1"],
    "enmap": ["enmap_potsdam"],
    "thermal-uint8": ["thermal_objects"],
}
"""The suite's tasks by the sensor of their images."""
SOURCES = {
    "rgb": ["eurosat-rgb", "neon", "drone", "drone-buildings"],
    "sentinel2-l1c": ["eurosat-ms", "terramesh-s2-l1c", "oscd", "s2-20m"],
    "landsat8-l2": ["landsat-hls"],
    "sentinel1-rtc": ["sentinel1-rtc"],
    "enmap": ["enmap"],
    "thermal-uint8": ["thermal-drone"],
}
"""Keys of `images_per_step` by sensor."""
ALIKE = {"sentinel2-l1c": ["s2-l2a-patches", "terramesh-s2-l2a"], "sentinel1-rtc": ["sentinel1-grd"]}
"""Further keys of `images_per_step` that leave with a sensor: other levels of the same instrument."""
SHARES = (0.01, 0.1)
RARE = ("rgb", "sentinel2-l1c", "landsat8-l2", "thermal-uint8")
"""Sensors of which the sample data have so many images that a hundredth means something."""
RGB_ONLY = {"sentinel2": ["B04", "B03", "B02"], "landsat": ["red", "green", "blue"], "naip": ["red", "green", "blue"]}


@dataclass(frozen=True)
class Run:
    """A pretraining: its name, and what it changes."""

    name: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A question's two sides on one sensor; no opponent: untrained weights and the strongest baseline."""

    question: str
    sensor: str
    first: Run
    second: Run | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="+", choices=list(QUESTIONS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cpu-seconds", type=float, default=900.0, help="of training, on one thread (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    differences: dict[tuple[str, str, str], list[list[Comparison]]] = {}
    for seed in range(args.seeds):
        for question in args.questions:
            for pair in QUESTIONS[question](args.output, args.data):
                for opponent, comparisons in compare(args, pair, seed).items():
                    key = pair.question, pair.sensor, opponent
                    differences.setdefault(key, []).append(comparisons)
        print_table(differences)


def joint(output: Path, data: Path) -> Iterator[Pair]:
    """All sensors against one, every image of it in both."""
    for sensor in TASKS:
        yield Pair("joint", sensor, Run("joint"), single(sensor))


def rare(output: Path, data: Path) -> Iterator[Pair]:
    """The same with fewer images of the sensor; of the whole, `joint` tells."""
    for sensor in RARE:
        for share in SHARES:
            file = fewer_images(output, data, SOURCES[sensor], share)
            changes, name = (f"data={file}",), f"{sensor}_{share:g}"
            alone = replace(single(sensor), name=f"single_{name}", changes=(*single(sensor).changes, *changes))
            yield Pair(f"rare {share:.0%}", sensor, Run(f"joint_{name}", changes), alone)
        yield Pair("rare 100%", sensor, Run("joint"), single(sensor))


def unseen(output: Path, data: Path) -> Iterator[Pair]:
    """A sensor that pretraining never saw."""
    for sensor in TASKS:
        gone = [*SOURCES[sensor], *ALIKE.get(sensor, [])]
        kept = {key: count for key, count in images_per_step().items() if key not in gone}
        yield Pair("unseen", sensor, Run(f"without_{sensor}", (f"images_per_step={json.dumps(kept)}",)), None)


def bands(output: Path, data: Path) -> Iterator[Pair]:
    """All bands against those that a camera has, on every sensor that has them."""
    file = colour_bands_only(output)
    optical = [key for key in images_per_step() if not key.startswith(("sentinel1", "thermal", "enmap", "s2-20m"))]
    kept = f"images_per_step={json.dumps({key: images_per_step()[key] for key in optical})}"
    for sensor in ("sentinel2-l1c", "landsat8-l2", "rgb"):
        yield Pair("bands", sensor, Run("all_bands", (kept,)), Run("three_bands", (kept, f"data={file}")))


def tokenizer(output: Path, data: Path) -> Iterator[Pair]:
    """One projection by wavelength for all bands against a projection for each sensor."""
    for sensor in TASKS:
        yield Pair("tokenizer", sensor, Run("joint"), Run("per_sensor", ("backbone.tokenizer=per_sensor",)))


QUESTIONS = {"joint": joint, "rare": rare, "unseen": unseen, "bands": bands, "tokenizer": tokenizer}


def single(sensor: str) -> Run:
    """The sensor alone, with as many images a step as all have together."""
    counts = {key: count for key, count in images_per_step().items() if key in SOURCES[sensor]}
    factor = sum(images_per_step().values()) / sum(counts.values())
    counts = {key: max(1, round(count * factor)) for key, count in counts.items()}
    return Run(f"single_{sensor}", (f"images_per_step={json.dumps(counts)}",))


def images_per_step() -> dict[str, int]:
    """Those of the configuration, by source or sensor."""
    counts: dict[str, int] = yaml.safe_load(CONFIG.read_text())["images_per_step"]
    return counts


def fewer_images(output: Path, data: Path, keys: list[str], share: float) -> Path:
    """Write the sample data with a share of the images of some sources or sensors, at least one of each source."""
    dataset = sample_data()
    for source in dataset["sources"]:
        if source["name"] in keys or source["sensor"] in keys:
            patterns = source["files"] if isinstance(source["files"], list) else [source["files"]]
            if "{band}" not in patterns[0]:
                files = sorted(str(path.relative_to(data)) for pattern in patterns for path in data.glob(pattern))
                order = np.random.default_rng(0).permutation(len(files))
                source["files"] = [files[i] for i in sorted(order[: max(1, round(share * len(files)))])]
    return write_dataset(output / f"{'_'.join(keys)}_{share:g}.yaml", dataset)


def colour_bands_only(output: Path) -> Path:
    """Write the sample data with red, green and blue of every sensor that has them."""
    dataset = sample_data()
    for source in dataset["sources"]:
        for prefix, colours in RGB_ONLY.items():
            if source["sensor"].startswith(prefix) and source["name"] != "s2-20m":
                source["bands"] = colours
    return write_dataset(output / "three_bands.yaml", dataset)


def sample_data() -> dict[str, Any]:
    """The dataset of the configuration."""
    dataset: dict[str, Any] = yaml.safe_load((CONFIG.parent / yaml.safe_load(CONFIG.read_text())["data"]).read_text())
    for source in dataset["sources"]:
        if source["sensor"].endswith(".yaml"):
            source["sensor"] = str((ROOT / "configs" / "data" / source["sensor"]).resolve())
    return dataset


def write_dataset(file: Path, dataset: dict[str, Any]) -> Path:
    """Write a dataset's YAML and return its whole path."""
    file.write_text(yaml.safe_dump(dataset, sort_keys=False))
    return file.resolve()


def compare(args: argparse.Namespace, pair: Pair, seed: int) -> dict[str, list[Comparison]]:
    """Comparisons of the first run with the second (or with what needs no training), one a task, by opponent."""
    runs = [run for run in (pair.first, pair.second) if run is not None]
    weights = [pretrained(args.output, run.name, run.changes, seed, args.data, args.cpu_seconds) for run in runs]
    config = SuiteConfig(
        configs=ROOT / "configs" / "suite",
        data=args.data,
        output=args.output / "suite",
        weights=[str(path) for path in weights],
        tasks=TASKS[pair.sensor],
        methods=["linear"],
        baselines=pair.second is None,
        half_precision=True,
    )
    found: dict[str, list[Comparison]] = {}
    for task in run_suite(config).tasks.values():
        for one in task.comparisons:
            if one.source == weights[0].stem and one.method == "linear":
                opponent = pair.second.name if pair.second and one.opponent == weights[-1].stem else one.opponent
                found.setdefault(opponent, []).append(one)
    wanted = ["untrained", "strongest baseline"] if pair.second is None else [pair.second.name]
    counts = ", ".join(f"{run.name} {images_seen(path)} images" for run, path in zip(runs, weights, strict=True))
    for opponent in wanted:
        differences = ", ".join(f"{one.difference.mean:+.3f}" for one in found[opponent])
        print(f"{pair.question} {pair.sensor} seed {seed} over {opponent}: {differences} ({counts})", flush=True)
    return {opponent: found[opponent] for opponent in wanted}


def print_table(differences: dict[tuple[str, str, str], list[list[Comparison]]]) -> None:
    """Mean over a sensor's tasks and seeds; test groups are drawn anew, seeds are averaged first."""
    print("\n| question | sensor | minus | difference [95 % interval] | by seed |\n| --- | --- | --- | --- | --- |")
    for (question, sensor, opponent), seeds in differences.items():
        mean = mean_comparison([over_seeds(list(task)) for task in zip(*seeds, strict=True)]).difference
        by_seed = ", ".join(f"{np.mean([one.difference.mean for one in tasks]):+.3f}" for tasks in seeds)
        interval = f"{mean.mean:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]"
        print(f"| {question} | {sensor} | {opponent} | {interval} | {by_seed} |", flush=True)


def over_seeds(comparisons: list[Comparison]) -> Comparison:
    """One task's comparison, of the mean over seeds: their test groups are drawn alike."""
    mean = float(np.mean([one.difference.mean for one in comparisons]))
    resampled = np.mean([one.resampled for one in comparisons], axis=0)
    return replace(comparisons[0], difference=replace(comparisons[0].difference, mean=mean), resampled=resampled)


if __name__ == "__main__":
    main()
