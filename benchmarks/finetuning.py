"""What adaptation is worth on real labels: frozen, decoder, LoRA, full fine-tuning; beside floors, scratch, a U-Net.

    python benchmarks/finetuning.py --data ../shared/data -o runs/finetuning

One JSON a run (task, row, share of the labels, seed); what is there is not run again, so it may be stopped at any
time. Every seed deals other training, validation and test parts, draws another share of the labels and starts from
other weights. Learning rates are chosen by validation in the first seed of each row and share. `--table` only prints.
`full as scratch` differs from `scratch` in its first weights alone; `full` and `lora` begin with a trained head and
take a third of the steps.

Intervals are 95 %, from resampling the units of the test parts (plots, tiles) and the seeds together; the lead over
scratch is paired: the same seeds, parts and units.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

TASKS = ("terramesh_s2", "enmap_potsdam", "neon_site", "oscd_change", "neon_crown")
ROWS = (
    "statistics", "random-convolutions", "frozen linear", "frozen pyramid",
    "lora", "full", "full as scratch", "scratch", "unet",
)  # fmt: skip
FRACTIONS = (0.1, 1.0)
PARTS = ("train", "validation", "test")
MOST = {  # samples of each part, so that a run takes a minute or two
    "terramesh_s2": (80, 12, 40), "enmap_potsdam": (80, 12, 40), "neon_site": (200, 32, 96),
    "oscd_change": (400, 100, 100), "neon_crown": (400, 64, 240), "slovenia": (80, 30, 40),
}  # fmt: skip
BATCH = {  # 200 to 512 tokens
    "terramesh_s2": 4, "enmap_potsdam": 8, "neon_crown": 4, "neon_site": 4, "oscd_change": 2, "slovenia": 8,
}  # fmt: skip
STEPS = (60, 100)  # of the network, of the head; on one core
MORE_STEPS = {"oscd_change": (100, 400), "neon_crown": (100, 400)}  # where few pixels count
LONGER = {"scratch": 3, "unet": 3}  # these learn everything from few labels, and may take longer
CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "finetune"
RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real imagery")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="of configs/finetune, or a YAML beside the data")
    parser.add_argument("--rows", nargs="+", default=ROWS)
    parser.add_argument("--fractions", nargs="+", type=float, default=FRACTIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--steps", type=int, help=f"of the network (default: {STEPS[0]} to 100; thrice from scratch)")
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    args = parser.parse_args()
    if not args.table:
        for fraction in args.fractions:
            for task in args.tasks:
                for seed in args.seeds:
                    for row in args.rows:
                        run(args, task, row, fraction, seed)
    for fraction in args.fractions:
        print(table(args.output, args.tasks, args.rows, fraction, args.seeds))


def run(args: argparse.Namespace, task: str, row: str, fraction: float, seed: int) -> None:
    """One run, unless it is there."""
    path = name_of(args.output, task, row, fraction, seed)
    if path.exists():
        return
    import torch

    from skyweave.backbone import load_backbone
    from skyweave.core.atomic_write import write_aside
    from skyweave.core.config import load_config_file
    from skyweave.downstream.baselines.encoders import BASELINES, DEFAULT_PATCH_SIZE
    from skyweave.downstream.finetuning import finetune_model, load_labelled_dataset, with_rates
    from skyweave.downstream.finetuning.finetune import FinetuneConfig

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    beside = args.data / f"{task}.yaml"
    config = load_config_file(beside if beside.exists() else CONFIGS / f"{task}.yaml", FinetuneConfig)
    declared = replace(config.data, split=replace(config.data.split, seed=seed))
    data = load_labelled_dataset(declared, config.make_task(), args.data)
    parts = zip(PARTS, MOST[task], strict=True)
    train, validation, test = (some(getattr(data, part), most, seed) for part, most in parts)
    data = replace(data, train=train, validation=validation, test=test)
    steps, head_steps = MORE_STEPS.get(task, STEPS)
    recipe = replace(config.recipe, training=replace(config.recipe.training, head_steps=head_steps))
    recipe = recipe_of(recipe, row, config.task, BATCH[task], args.steps or steps)
    first = name_of(args.output, task, row, fraction, args.seeds[0])
    if seed != args.seeds[0] and first.exists():
        recipe = with_rates(recipe, json.loads(first.read_text())["rates"])
    started = time.perf_counter()
    backbone = (
        BASELINES[row](config.patch_size or DEFAULT_PATCH_SIZE) if row in BASELINES else load_backbone(args.weights)
    )
    result = finetune_model(data, backbone, recipe, seed=seed, fraction=fraction, missing_classes="note")
    units = [sample.name for sample in data.test]
    files = [name.partition("[")[0] for name in units]
    metric = data.task.main_metric
    tables = data.task.confusion_tables(result.predictions, data.test)  # type: ignore[attr-defined]  # all have classes
    content: dict[str, Any] = {
        **result.to_dict(),
        "main": metric,
        "units": files if len(set(files)) >= 8 else units,
        "confusion": tables.astype(int).tolist(),
        "wall": time.perf_counter() - started,
    }
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content))
    print(f"{path.stem}: {metric} {result.scores[metric]:.3f}, {content['wall']:.0f} s, {result.rates}", flush=True)


def recipe_of(recipe: Any, row: str, task: str, batch: int, steps: int) -> Any:
    """A row's method and head, and the learning rates to choose from."""
    if row == "full as scratch":
        recipe = recipe_of(recipe, "scratch", task, batch, steps)
        return replace(recipe, method=replace(recipe.method, kind="full", head_first=False, layer_decay=1.0))
    kind, _, head = row.partition(" ")
    if kind in ("statistics", "random-convolutions"):
        kind, head = "frozen", "linear"
    if not head:  # the configuration's own; a U-Net has none
        head = recipe.head.kind
    elif head == "pyramid" and task == "classification":
        head = "attentive"
    training = replace(recipe.training, batch=batch)
    steps *= LONGER.get(kind, 1)
    training = replace(training, steps=steps, evaluations=4, patience=4)
    rates = {"lora": [5e-4, 1e-3, 2e-3], "full": [1e-4, 3e-4, 1e-3]}
    rates |= {"scratch": [3e-4, 1e-3, 3e-3], "unet": [1e-3, 3e-3, 1e-2]}
    training = replace(training, learning_rates=rates.get(kind, []), head_learning_rates=[1e-3, 3e-3, 1e-2])
    return replace(
        recipe,
        method=replace(recipe.method, kind=kind),
        head=replace(recipe.head, kind=head),
        training=training,
    )


def some(samples: Sequence[Any], most: int, seed: int) -> Sequence[Any]:
    """A fixed random part of the samples."""
    if len(samples) <= most:
        return samples
    return [samples[i] for i in sorted(np.random.default_rng([seed, 7]).permutation(len(samples))[:most].tolist())]


def name_of(output: Path, task: str, row: str, fraction: float, seed: int) -> Path:
    """The file of a run."""
    return output / f"{task}-{row.replace(' ', '_')}-{fraction:g}-{seed}.json"


def table(output: Path, tasks: Sequence[str], rows: Sequence[str], fraction: float, seeds: Sequence[int]) -> str:
    """Markdown: scores with their spread over seeds and intervals, and the lead over scratch."""
    lines = [f"\n{fraction:.0%} of the labels, {len(seeds)} seeds", ""]
    lines += [
        "| task | row | score | lead over scratch | of full | trained of the backbone | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        scratch = _load(output, task, "scratch", fraction, seeds)
        full = _load(output, task, "full", fraction, seeds)
        for row in rows:
            runs = _load(output, task, row, fraction, seeds)
            if len(runs) < len(seeds):
                continue
            mean, low, high = interval([_scorer(own) for own in runs])
            spread = np.std([own["scores"][own["main"]] for own in runs], ddof=min(1, len(runs) - 1))
            cells = [f"{runs[0]['main']} {mean:.3f} ± {spread:.3f} ({low:.3f} to {high:.3f})", "", ""]
            if row != "scratch" and len(scratch) == len(seeds):
                mean_lead, low, high = interval([_scorer(own, base) for own, base in zip(runs, scratch, strict=True)])
                cells[1] = f"{mean_lead:+.3f} ({low:+.3f} to {high:+.3f})"
            if len(full) == len(seeds):
                whole = np.mean([own["scores"][own["main"]] for own in full])
                cells[2] = f"{mean / whole:.3f}"
            backbone = runs[0]["parameters"] - (runs[0]["trained"] - runs[0]["trained_backbone"])
            share = 100 * runs[0]["trained_backbone"] / max(1, backbone)
            seconds = np.mean([own["seconds"] for own in runs])
            lines.append(f"| {task} | {row} | {' | '.join(cells)} | {share:.3g} % | {seconds:.0f} |")
    return "\n".join(lines)


def _load(output: Path, task: str, row: str, fraction: float, seeds: Sequence[int]) -> list[dict[str, Any]]:
    paths = [name_of(output, task, row, fraction, seed) for seed in seeds]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def interval(scorers: Sequence[Any]) -> tuple[float, float, float]:
    """Mean over seeds, and 95 % of resampling seeds and, inside each, units."""
    random = np.random.default_rng(0)
    mean = float(np.mean([scorer(np.ones(scorer.units)) for scorer in scorers]))
    drawn = []
    for _ in range(RESAMPLES):
        chosen = random.integers(len(scorers), size=len(scorers))
        drawn.append(
            np.nanmean(
                [
                    scorers[i](random.multinomial(scorers[i].units, np.full(scorers[i].units, 1 / scorers[i].units)))
                    for i in chosen
                ]
            )
        )
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return mean, float(low), float(high)


class _scorer:
    """The main score of a run (or its lead over another) with units weighted."""

    def __init__(self, own: dict[str, Any], base: dict[str, Any] | None = None) -> None:
        index = np.unique(own["units"], return_inverse=True)[1]
        self.units = int(index.max()) + 1
        self.main = own["main"]
        self.tables = [self._by_unit(entry, index) for entry in (own, *([base] if base else []))]

    def _by_unit(self, entry: dict[str, Any], index: np.ndarray) -> np.ndarray:
        tables = np.array(entry["confusion"], float)
        summed = np.zeros((self.units, *tables.shape[1:]))
        np.add.at(summed, index, tables)
        return summed

    def __call__(self, weights: np.ndarray) -> float:
        scores = [_main(self.main, np.tensordot(weights, own, 1)) for own in self.tables]
        return scores[0] - (scores[1] if len(scores) > 1 else 0.0)


def _main(name: str, confusion: np.ndarray) -> float:
    """The score of a confusion table, true class first."""
    hits, true, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    there = true + said > 0
    if name == "accuracy":
        return float(hits.sum() / max(1, true.sum()))
    if name == "change_f1":
        return float(2 * hits[1] / max(1, true[1] + said[1]))
    return float((hits[there] / (true + said - hits)[there]).mean())


if __name__ == "__main__":
    main()
