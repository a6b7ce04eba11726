"""The benchmark's command, from miniatures to a table: every task, resumed, floors, intervals, published rows."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from fabricated_geobench import miniature, place_of
from skyweave.backbone import Backbone, build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.backbone.pretrained.vision_transformer import PublishedConfig
from skyweave.backbone.pretrained.vit import MAE
from skyweave.cli.main import main
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.benchmark.command_benchmark import _failure_lines
from skyweave.downstream.finetuning.benchmark.config import BenchmarkConfig
from skyweave.downstream.finetuning.benchmark.run_benchmark import (
    RESAMPLES,
    _Runner,
    run_benchmark,
)
from skyweave.downstream.finetuning.benchmark.runs import BenchmarkRun, FailedRun, read_runs
from skyweave.downstream.finetuning.benchmark.table import as_markdown, published_rows, summarise_runs
from skyweave.downstream.finetuning.config import RecipeConfig, TrainingConfig
from skyweave.downstream.finetuning.tasks.base import Prediction, Task, make_task
from skyweave.downstream.geobench import get_task, list_tasks
from skyweave.downstream.labels import LabelledSample
from skyweave.downstream.scoring.average_precision import micro_average_precision
from skyweave.downstream.scoring.bootstrap import resample_weights, seed_interval

QUICK = TrainingConfig(
    steps=2, head_steps=30, batch=4, learning_rates=[1e-3], head_learning_rates=[1e-2], evaluations=1
)
COMMAND = [
    "--seeds",
    "1",
    "--set",
    "training.head_steps=30",
    "--set",
    "training.evaluations=1",
    "--set",
    "training.steps=2",
]
COMMAND += ["--set", "training.head_learning_rates=[0.01]", "--set", "training.learning_rates=[0.001]"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature(tmp_path_factory.mktemp("geobench"), samples=(8, 4, 4))


@pytest.fixture
def backbone() -> Backbone:
    return build_backbone(BackboneConfig(width=24, depth=4, heads=2, patch_size=4, mixes=8), [], seed=0).eval()


def test_all_twelve_tasks_train_and_score_with_the_users_command(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["benchmark", "geobench", str(archive), "-o", str(tmp_path), "--weights", "none", "--json", *COMMAND]
    assert main([*arguments, "--method", "statistics"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failures"] == [] and [row["task"] for row in found["rows"]] == list(list_tasks())
    for row in found["rows"]:
        metric = {"accuracy": "accuracy", "micro_map": "micro_map", "mean_iou": "miou"}[get_task(row["task"]).metric]
        assert row["metric"] == metric and 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
        assert row["samples"] == [8, 4, 4] and not row["published"]
    table = (tmp_path / "table.md").read_text()
    for task in list_tasks():
        assert f"## {task}:" in table
    assert "(recalled)" in table and "do not compare with published rows" in table


def test_every_method_on_an_image_and_a_dense_task(archive: Path, tmp_path: Path, backbone: Backbone) -> None:
    plan = BenchmarkConfig(
        ["m-eurosat", "m-chesapeake"],
        ("statistics", "random-convolutions", "unet", "scratch", "frozen", "lora", "last", "full"),
        seeds=1,
        recipe=RecipeConfig(training=QUICK),
        patch_size=4,
    )
    runs, failures = run_benchmark(archive, plan, tmp_path, backbone, "own (1)")
    assert not failures and len(runs) == 16
    by_name = {(run.task, run.method): run for run in runs}
    for task in plan.tasks:
        assert by_name[task, "frozen"].trained < by_name[task, "lora"].trained + 10_000
        assert by_name[task, "full"].trained == by_name[task, "full"].parameters
        assert by_name[task, "frozen"].weights == "own (1)" and by_name[task, "unet"].weights == ""
    assert {len(run.resampled) for run in runs} == {RESAMPLES}


def test_runs_are_not_made_twice(archive: Path, tmp_path: Path, backbone: Backbone) -> None:
    plan = BenchmarkConfig(
        ["m-pv4ger"], ("statistics", "frozen"), seeds=2, fractions=(1.0, 0.5), recipe=RecipeConfig(training=QUICK)
    )
    said: list[str] = []
    first, _ = run_benchmark(archive, plan, tmp_path, backbone, "own", log=said.append)
    assert sum("starts" in line for line in said) == len(first) == 8
    assert {run.samples[0] for run in first} == {8, 4}
    path = tmp_path / "runs" / "m-pv4ger" / "frozen-0.50-1.json"
    path.unlink()
    said.clear()
    again, _ = run_benchmark(archive, plan, tmp_path, backbone, "own", log=said.append)
    assert [line for line in said if "starts" in line] == ["m-pv4ger frozen 0.5 seed 1: starts"]
    assert [(run.digest, run.scores) for run in again] == [
        (run.digest, run.scores) for run in first
    ]  # also deterministic
    said.clear()
    run_benchmark(archive, replace(plan, statistics="task"), tmp_path, backbone, "own", log=said.append)
    assert sum("starts" in line for line in said) == 8  # other settings are other runs
    assert {run.digest for run in read_runs(tmp_path)}.isdisjoint({run.digest for run in first})
    path.write_text('{"task": "m-pv4ger"')
    with pytest.raises(ValueError, match=r"frozen-0.50-1\.json is no run of this benchmark"):
        read_runs(tmp_path)


def test_a_run_that_was_stopped_goes_on(archive: Path, tmp_path: Path, backbone: Backbone) -> None:
    plan = BenchmarkConfig(
        ["m-pv4ger"], ("lora",), seeds=1, recipe=RecipeConfig(training=replace(QUICK, steps=6, evaluations=3))
    )
    (whole,), _ = run_benchmark(archive, plan, tmp_path / "whole", backbone)

    def stop(line: str) -> None:
        if "scoring" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(archive, plan, tmp_path, backbone, log=stop)
    assert list((tmp_path / "unfinished").glob("*/**/done.json"))
    (run,), _ = run_benchmark(archive, plan, tmp_path, backbone)
    assert run.scores == whole.scores and run.rates == whole.rates
    assert not list((tmp_path / "unfinished").iterdir())


def test_a_run_that_cannot_be_made_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = miniature(tmp_path / "data", "m-pv4ger", "m-eurosat")
    (place_of(folder, "m-eurosat") / "id_0003.hdf5").write_bytes(b"broken")
    arguments = ["benchmark", "geobench", str(folder), "-o", str(tmp_path / "out"), "--weights", "none", *COMMAND]
    assert main([*arguments, "--method", "statistics"]) == 1
    told = capsys.readouterr()
    assert (
        "m-pv4ger" in told.out and "failed: m-eurosat statistics 1 seed 0:" in told.err and "id_0003.hdf5" in told.err
    )


def test_sensors_first_or_all(archive: Path, tmp_path: Path, backbone: Backbone) -> None:
    plan = BenchmarkConfig(["m-so2sat"], ("frozen",), seeds=1, recipe=RecipeConfig(training=QUICK), limit=5)
    (one,), _ = run_benchmark(archive, plan, tmp_path / "first", backbone)
    (two,), _ = run_benchmark(archive, replace(plan, sensors="all"), tmp_path / "all", backbone)
    assert two.trained > one.trained and one.samples == [5, 4, 4]
    assert "5 of 8 train samples, by --limit" in one.notes


def test_published_encoders_run_through_the_same_harness(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in MAE's layout: its bands are found in other sensors; a task in another unit is told, not guessed."""
    torch.manual_seed(0)
    mae = MAE(PublishedConfig("test", width=192, depth=4, heads=3, patch_size=16, side=4), get_sensor("rgb"))
    torch.save(mae.state_dict(), tmp_path / "mae.pth")
    arguments = ["benchmark", "geobench", str(archive), "-o", str(tmp_path), "--weights", str(tmp_path / "mae.pth")]
    arguments += ["--task", "m-pv4ger", "--task", "m-chesapeake", "--task", "m-eurosat", "--method", "frozen", "--json"]
    assert main([*arguments, *COMMAND]) == 1
    found = json.loads(capsys.readouterr().out)
    assert sorted(row["task"] for row in found["rows"]) == ["m-chesapeake", "m-pv4ger"]
    assert found["rows"][0]["weights"].startswith("mae.pth (")
    (failure,) = found["failures"]
    assert failure["task"] == "m-eurosat" and "normalises red in uint8" in failure["reason"]


def test_every_picture_has_enough_patches(backbone: Backbone) -> None:
    def patch_size(name: str, config: BenchmarkConfig) -> int:
        runner = _Runner(config, Path(), backbone, "", "cpu", lambda line: None)
        return runner._recipe("frozen", name).patch_size or 0

    sizes = {name: patch_size(name, BenchmarkConfig()) for name in list_tasks()}
    assert sizes["m-so2sat"] == 2 and sizes["m-eurosat"] == 4 and sizes["m-nz-cattle"] == 16
    for name, patch in sizes.items():
        assert 15 <= get_task(name).size / patch <= 32
    assert patch_size("m-so2sat", BenchmarkConfig(patch_size=8)) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "magic"], "there is no method 'magic'; use statistics"),
        (["--seeds", "0"], "one seed"),
        (["--task", "m-mars"], "GEO-Bench has no task"),
        (["--method", "frozen", "--weights", "none"], "needs a backbone"),
        (["--set", "training.stepz=3"], "stepz"),
        (["--set", "steps"], "write key=value"),
        (["--fabricate"], "has tasks already"),
        (["--fraction", "0.3", "--method", "statistics", "--weights", "none"], "fraction 0.3"),
    ],
)
def test_the_command_explains_itself(
    archive: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["benchmark", "geobench", str(archive), "-o", str(tmp_path), *arguments])
    assert code in (1, 2) and message in capsys.readouterr().err


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["benchmark", "geobench", str(tmp_path), "-o", str(tmp_path), "--weights", "none", "--method", "unet"])
        == 2
    )
    assert "has no task of GEO-Bench; run: skyweave download geobench --all" in capsys.readouterr().err


# Scores, intervals and the table.


def made_up(
    kind: str, classes: int, count: int, rng: np.random.Generator
) -> tuple[Task, list[Prediction], list[LabelledSample]]:
    task = make_task(kind, "t", tuple("abcdefgh"[:classes]))
    picture = Observation.from_pixels(np.zeros((3, 6, 6), np.float32), get_sensor("rgb"), 1.0)
    found, samples = [], []
    for _ in range(count):
        label: object = int(rng.integers(classes))
        answer = np.asarray(label if rng.random() < 0.7 else rng.integers(classes))
        likely = None
        if kind == "segmentation":
            label = rng.integers(-1, classes, size=(6, 6))
            answer = np.where(rng.random((6, 6)) < 0.6, np.maximum(label, 0), rng.integers(classes, size=(6, 6)))
        if kind == "multilabel":
            label = rng.random(classes) < 0.4
            likely = np.round(0.3 * label + 0.7 * rng.random(classes), 2).astype(np.float32)
            answer = likely >= 0.5
        samples.append(LabelledSample((picture,), label, ""))  # type: ignore[arg-type]
        found.append(Prediction(answer, likely))
    return task, found, samples


@pytest.mark.parametrize("kind", ["classification", "segmentation", "multilabel"])
def test_resampled_scores_surround_the_score(kind: str) -> None:
    task, found, samples = made_up(kind, 4, 60, np.random.default_rng(1))
    main_score = next(iter(task.scores(found, samples).values()))
    weights = resample_weights(len(samples), seed=len(samples), resamples=RESAMPLES)
    drawn = task.resampled_scores(found, samples, weights)
    assert drawn.shape == (RESAMPLES,) and drawn.std() > 0.001
    assert main_score == pytest.approx(drawn.mean(), abs=0.03)
    low, high = seed_interval([drawn.tolist()])
    assert low < main_score < high
    with pytest.raises(ValueError, match=r"has no resampled scores"):
        make_task("regression", "t").resampled_scores(found, samples, weights)


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, likely = rng.random((15, 4)) < 0.4, np.round(rng.random((15, 4)), 1)
        weights = rng.integers(0, 3, size=(3, 15))
        expected = [
            average_precision_score(truth.ravel(), likely.ravel(), sample_weight=np.repeat(weight, 4))
            for weight in weights
        ]
        assert micro_average_precision(likely, truth, weights) == pytest.approx(expected)
    assert micro_average_precision(likely, np.zeros((15, 4), bool), weights).tolist() == [0, 0, 0]


def run_of(method: str, seed: int, values: np.ndarray, notes: list[str] | None = None) -> BenchmarkRun:
    return BenchmarkRun(
        "m-eurosat",
        method,
        1.0,
        seed,
        "d",
        "s",
        "w (f)",
        {"accuracy": float(values.mean()), "macro_f1": 0.5},
        values.tolist(),
        {},
        10,
        5,
        [2000, 1000, 1000],
        3.0,
        "cpu",
        notes or [],
    )


def test_leads_are_over_the_best_floor_and_paired() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 0.05, RESAMPLES)  # the same test samples are hard for both
    runs = [run_of("frozen", seed, 0.9 + luck + rng.normal(0, 0.002, RESAMPLES)) for seed in range(3)]
    runs += [run_of("unet", seed, 0.86 + luck + rng.normal(0, 0.002, RESAMPLES)) for seed in range(3)]
    runs += [run_of("statistics", 0, 0.7 + luck)]
    rows = {row.method: row for row in summarise_runs(runs)}
    assert list(rows) == ["statistics", "unet", "frozen"]
    lead = rows["frozen"].lead
    assert rows["frozen"].baseline == "unet" and lead is not None and rows["unet"].lead is None
    assert lead[0] == pytest.approx(0.04, abs=0.003) and 0.03 < lead[1] < lead[2] < 0.05
    assert rows["frozen"].high - rows["frozen"].low > 0.1  # the scores themselves are less certain
    table = as_markdown(list(rows.values()))
    assert "all 7 runs took 0.0 hours" in table
    assert "| 100% | frozen | " in table and "*OFA-Net ViT-B, linear probe, 50 epochs* (recalled)" in table
    assert "do not compare" not in table.split("## m-eurosat")[1]
    other = replace(runs[0], method="full", settings="other")
    assert "different recipes or options" in as_markdown(summarise_runs([*runs, other]))


def test_published_rows_are_of_our_tasks_and_marked() -> None:
    rows = published_rows()
    assert {row.read for row in rows} == {True, False}
    for row in rows:
        assert set(row.scores) <= set(list_tasks()) and all(0 < score < 1 for score in row.scores.values())
        kinds = {get_task(name).kind == "segmentation" for name in row.scores}
        assert len(kinds) == 1, "a row is of classification or of segmentation"
    ofa = [row for row in rows if row.row.startswith("OFA-Net")]
    assert len(ofa) == 2 and not any(row.read for row in ofa)


def test_runs_that_fail_alike_are_one_line() -> None:
    failures = [FailedRun("m-forestnet", "full", 1.0, seed, "no such folder") for seed in range(20)]
    failures.append(FailedRun("m-forestnet", "full", 1.0, 20, "another reason"))
    assert _failure_lines(failures) == [
        "failed: m-forestnet full 1 seed 0 and 19 more runs: no such folder",
        "failed: m-forestnet full 1 seed 20: another reason",
    ]
