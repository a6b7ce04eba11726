"""Several sensors of one place: through the map, one sensor alone, features side by side, predictions averaged.

    OMP_NUM_THREADS=1 python benchmarks/several_sensors.py --data ../shared/data -o /tmp/sensors
    OMP_NUM_THREADS=1 python benchmarks/several_sensors.py --data ../shared/data -o /tmp/landsat --config landsat_map

The configuration is one of configs/finetune with `further` sources. Every row reads features of the same frozen
backbone and trains a head on them, for as many steps at the same learning rate:

- `map A+B`: each on one map, fused there by the fusion of the drones, trained with sensors left out;
- `stacked A+B`: features side by side in one head (pyramid), which needs all of them;
- `averaged A+B`: the mean of the probabilities of the heads of one sensor each;
- `map A+B without B`: the same model where B is missing at test, beside `map A`, which never knew B.

Learning rates are chosen on the validation part, of each row by the first seed. Every seed draws other training,
validation and test parts, other weights and another order. Intervals are 95 %, from
resampling tiles of the test parts and seeds together; differences are paired. What is there is not run again.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result_file import write_result
from torch import nn

from skyweave.backbone import Backbone, Features, load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import load_config_file
from skyweave.downstream.finetuning import FinetuneResult, LabelledData, finetune_model, load_labelled_dataset
from skyweave.downstream.finetuning.batches import ImageBatches, SampleCache
from skyweave.downstream.finetuning.finetune import FinetuneConfig
from skyweave.downstream.finetuning.module import predict_samples
from skyweave.downstream.finetuning.tasks.base import Prediction
from skyweave.downstream.labels.sample import LabelledSample
from skyweave.downstream.scoring.bootstrap import percentile_interval, resample_weights, seed_interval
from skyweave.downstream.scoring.confusion import table_mean_iou

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "finetune"
RESAMPLES = 1000
Tables = dict[str, np.ndarray]
"""By row (units, classes, classes) confusion counts of the test part."""


class SomeSources(Sequence[LabelledSample]):
    """Samples with some of their observations.

    Args:
        samples: all of them.
        chosen: numbers of the observations.
    """

    def __init__(self, samples: Sequence[LabelledSample], chosen: Sequence[int]) -> None:
        self.samples, self.chosen = samples, chosen

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        sample = self.samples[index]
        return replace(sample, observations=tuple(sample.observations[number] for number in self.chosen))


class RememberingBackbone(nn.Module):
    """A frozen backbone that encodes no image twice: all rows read the same features.

    Args:
        backbone: that encodes.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.known: dict[tuple[str, int | None, bytes], Features] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "RememberingBackbone":
        return self

    @torch.no_grad()
    def forward(self, batch: SensorBatch, patch_size: int | None = None) -> Features:
        """Return the features of a batch."""
        keys = [
            (batch.sensor.name, patch_size, sha256(pixels.numpy().tobytes() + valid.numpy().tobytes()).digest())
            for pixels, valid in zip(batch.pixels, batch.valid, strict=True)
        ]
        new = [number for number, key in enumerate(keys) if key not in self.known]
        if new:
            metres = batch.ground_sample_distance[new]
            some = self.backbone(SensorBatch(batch.pixels[new], batch.valid[new], batch.sensor, metres), patch_size)
            for place, number in enumerate(new):
                self.known[keys[number]] = select_features(some, place)
        return join_features([self.known[key] for key in keys])


def select_features(features: Features, place: int) -> Features:
    """Features of one image of a batch."""
    part = slice(place, place + 1)
    levels = tuple(level[part] for level in features.levels)
    return replace(
        features, tokens=features.tokens[part], valid=features.valid[part], levels=levels, stem=features.stem[part]
    )


def join_features(parts: Sequence[Features]) -> Features:
    """Features of several images as a batch."""
    levels = tuple(torch.cat(level) for level in zip(*(part.levels for part in parts), strict=True))
    tokens, valid, stem = (torch.cat([getattr(part, name) for part in parts]) for name in ("tokens", "valid", "stem"))
    return replace(parts[0], tokens=tokens, valid=valid, levels=levels, stem=stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real imagery")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--config", default="terramesh_map", help="of configs/finetune, or a file")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rates", nargs="+", type=float, default=(1e-3, 3e-3, 1e-2), help="chosen on validation")
    parser.add_argument("--results", type=Path, help="folder of the tables, as files of results/")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    path = CONFIGS / f"{args.config}.yaml"
    config = load_config_file(path if path.exists() else Path(args.config), FinetuneConfig)
    backbone = RememberingBackbone(load_backbone(config.weights))
    by_seed = [tables_of(args, config, seed, backbone) for seed in args.seeds]
    write_tables(by_seed, args.results)


def tables_of(args: argparse.Namespace, config: FinetuneConfig, seed: int, backbone: RememberingBackbone) -> Tables:
    """Confusion tables of every row of a seed."""
    file = args.output / f"{config.name}-{args.steps}-{seed}.json"
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    tables = {row: np.array(table) for row, table in kept.items()}
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    declared = replace(config.data, split=replace(config.data.split, seed=seed))
    data = load_labelled_dataset(declared, config.make_task(), args.data)
    parts = [SampleCache(part, data.task) for part in (data.train, data.validation, data.test)]
    data = replace(data, train=parts[0], validation=parts[1], test=parts[2])
    names = [short_name(image.sensor.name) for image in parts[0][0].observations]
    runner = Runner(config, data, names, args, seed, backbone)
    for row in rows_of(names):
        if row not in tables:
            tables |= runner.run(row)
            with write_aside(file) as aside:
                aside.write_text(json.dumps({name: table.astype(int).tolist() for name, table in tables.items()}))
            print(f"seed {seed}, {row}: mIoU {score(tables[row]):.3f}", flush=True)
    return tables


class Runner:
    """Trainings of one seed.

    Args:
        config: of the recipe.
        data: with every sensor.
        names: of the sensors, short.
        args: of the command.
        seed: of weights and order.
        backbone: that all rows read.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        data: LabelledData,
        names: list[str],
        args: argparse.Namespace,
        seed: int,
        backbone: RememberingBackbone,
    ) -> None:
        self.config, self.data, self.names, self.args, self.seed = config, data, names, args, seed
        self.backbone = backbone
        self.probabilities: dict[str, list[np.ndarray]] = {}
        self.rates_file = args.output / f"{config.name}-{args.steps}-rates.json"

    def run(self, row: str) -> Tables:
        """Tables of a row, and of what comes with it."""
        kind, _, sensors = row.partition(" ")
        chosen = [self.names.index(name) for name in sensors.split("+")]
        if kind == "averaged":
            return {row: self.tables(self.average([self.names[number] for number in chosen]))}
        result = self.train(row, chosen, "pyramid" if kind == "stacked" else "map")
        tables = {row: self.tables(result.predictions)}
        if len(chosen) == 1:
            self.probabilities[sensors] = [one.probabilities for one in result.predictions]  # type: ignore[misc]
        elif kind == "map":
            source = ImageBatches(SampleCache(SomeSources(self.data.test, chosen), self.data.task), False)
            for place, number in enumerate(chosen):
                predictions = predict_samples(result.model, source, 8, [place])
                tables[f"{row} without {self.names[number]}"] = self.tables(predictions)
        return tables

    def train(self, row: str, chosen: Sequence[int], head: str) -> FinetuneResult:
        """One training, at the learning rate that the first seed chose for the row."""
        known: dict[str, float] = json.loads(self.rates_file.read_text()) if self.rates_file.exists() else {}
        parts = (SomeSources(part, chosen) for part in (self.data.train, self.data.validation, self.data.test))
        train, validation, test = parts
        data = replace(self.data, train=train, validation=validation, test=test)
        recipe = self.config.recipe
        rates = [known[row]] if row in known else list(self.args.rates)
        training = replace(
            recipe.training, head_steps=self.args.steps, head_learning_rates=rates, evaluations=8, patience=8
        )
        recipe = replace(recipe, head=replace(recipe.head, kind=head), training=training)  # type: ignore[arg-type]
        result = finetune_model(data, self.backbone, recipe, seed=self.seed, missing_classes="note")
        self.rates_file.write_text(json.dumps(known | {row: result.rates["head"]}))
        return result

    def average(self, names: Sequence[str]) -> list[Prediction]:
        """Predictions of the mean of several models' probabilities."""
        for name in names:
            if name not in self.probabilities:
                self.run(f"map {name}")
        both = zip(*(self.probabilities[name] for name in names), strict=True)
        return [Prediction(np.mean(one, axis=0).argmax(0)) for one in both]

    def tables(self, predictions: Sequence[Prediction]) -> np.ndarray:
        """(units, classes, classes) confusion counts."""
        tables: np.ndarray = self.data.task.confusion_tables(predictions, self.data.test)  # type: ignore[attr-defined]
        return tables


def rows_of(names: Sequence[str]) -> list[str]:
    """One sensor; every subset on the map; the first two, and all, in the other ways."""
    joined = ["+".join(chosen) for size in range(2, len(names) + 1) for chosen in combinations(names, size)]
    others = dict.fromkeys(("+".join(names[:2]), "+".join(names)))
    rows = [f"map {sensors}" for sensors in (*names, *joined)]
    return [*rows, *(f"{kind} {sensors}" for kind in ("stacked", "averaged") for sensors in others)]


def short_name(sensor: str) -> str:
    """Name of a sensor without its product."""
    return sensor.partition("-")[0]


def score(tables: np.ndarray) -> float:
    """Mean intersection over union of all units."""
    return float(np.nan_to_num(table_mean_iou(tables.sum(0)[None])[0]))


def write_tables(by_seed: Sequence[Tables], folder: Path | None) -> None:
    """Scores of every row, with its lead over the best single sensor, and what a missing sensor costs."""
    rows = [row for row in by_seed[0] if " without " not in row]
    single = [row for row in rows if "+" not in row]
    best = max(single, key=lambda row: np.mean([score(tables[row]) for tables in by_seed]))
    compared = [
        {
            "sensors": row,
            "mIoU": mean_and_spread(by_seed, row),
            f"against {best}": difference(by_seed, row, best) if row != best else "",
        }
        for row in rows
    ]
    missing = []
    for row in (row for row in by_seed[0] if " without " in row):
        whole, _, name = row.removeprefix("map ").partition(" without ")
        rest = "map " + "+".join(other for other in whole.split("+") if other != name)
        values = mean_and_spread(by_seed, row), mean_and_spread(by_seed, rest)
        cells = row, *values, difference(by_seed, row, rest)
        missing.append(dict(zip(("missing at test", "mIoU", "trained without it", "difference"), cells, strict=True)))
    for name, title, table in (
        ("sensors", "Several sensors of one place", compared),
        ("missing-sensors", "A sensor that is missing at test", missing),
    ):
        print(f"\n| {' | '.join(table[0])} |\n|{' --- |' * len(table[0])}")
        for cells_of_row in table:
            print(f"| {' | '.join(cells_of_row.values())} |")
        if folder:
            write_result(folder / f"{name}.json", title, table, f"{len(by_seed)} seeds; in brackets 95 % intervals.")


def mean_and_spread(by_seed: Sequence[Tables], row: str) -> str:
    """Mean over seeds, and their standard deviation where there are several."""
    values = np.array([score(tables[row]) for tables in by_seed])
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def difference(by_seed: Sequence[Tables], row: str, other: str) -> str:
    """Paired difference with its interval."""
    value = float(np.mean([score(tables[row]) - score(tables[other]) for tables in by_seed]))
    runs = []
    for number, tables in enumerate(by_seed):
        weights = resample_weights(len(tables[row]), seed=number, resamples=RESAMPLES)
        one, two = (table_mean_iou(np.einsum("ru,uij->rij", weights, tables[name])) for name in (row, other))
        runs.append(np.nan_to_num(one - two))
    if len(runs) > 1:
        low, high = seed_interval(runs)
    else:
        interval = percentile_interval(value, runs[0])
        low, high = interval.low, interval.high
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
