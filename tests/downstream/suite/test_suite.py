"""The suite on small images written here: protocol, splits, resume, comparisons, page."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from skyweave.backbone import build_backbone
from skyweave.backbone.checkpoint import save_checkpoint
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.core.sensors import get_sensor
from skyweave.downstream.labels.config import SplitConfig
from skyweave.downstream.labels.grouping import group_names
from skyweave.downstream.labels.image_files import ImageFiles, find_image_files
from skyweave.downstream.probing.config import load_probe_config, probe_config_from_dict
from skyweave.downstream.probing.prepared import draw_labels, prepare_probe
from skyweave.downstream.suite import finetuned
from skyweave.downstream.suite.comparison import minimal_detectable_difference
from skyweave.downstream.suite.config import SuiteConfig
from skyweave.downstream.suite.run import run_suite
from skyweave.downstream.suite.task import SuiteTask

SCENES = {
    "name": "scenes",
    "data": {
        "source": {"sensor": "rgb", "files": "images/*/*.tif", "bands": "sensor", "unit": "uint8"},
        "labels": {"kind": "folder", "classes": ["dark", "bright"]},
        "split": {"kind": "groups", "distance": 200.0, "folds": 2},
    },
    "patch_size": 8,
    "readout": ["half", "normed"],
    "pooling": ["mean", "mean_std"],
    "metric": "accuracy",
    "random_filters": 8,
}
PIXELS = {
    "name": "pixels",
    "data": {
        "source": {"sensor": "rgb", "files": "images/*/*.tif", "bands": "sensor", "unit": "uint8"},
        "labels": {"kind": "mask", "files": "masks/{name}.png", "classes": {0: "low", 1: "high"}},
        "split": {"kind": "groups", "folds": 2},
    },
    "cell": 1,
    "patch_size": 8,
    "samples_per_image": 20,
    "metric": "mean_iou",
    "random_filters": 8,
}


def write(path: Path, pixels: np.ndarray, place: tuple[float, float] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "dtype": pixels.dtype}
    where = {}
    if place is not None:
        where = {"crs": "EPSG:32633", "transform": Affine(1, 0, place[0], 0, -1, place[1])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **size, **where) as raster:
            raster.write(pixels)


def make(root: Path, images: int = 12, seed: int = 0) -> Path:
    """Dark and bright images, two and two at one place, whose lower half is labelled high."""
    random = np.random.default_rng(seed)
    for number in range(images):
        label = ("dark", "bright")[number % 2]
        pixels = np.clip(60 + 60 * (number % 2) + random.normal(0, 15, (3, 24, 24)), 0, 255).astype(np.uint8)
        pixels[:, 12:] += 40
        mask = np.zeros((1, 24, 24), np.uint8)
        mask[:, 12:] = 1
        name = f"{label}_{number}"
        write(root / f"images/{label}/{name}.tif", pixels, (5e5 + 1000 * (number // 2) + number, 5e6))
        write(root / f"masks/{name}.png", mask)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    make(root / "data")
    make(root / "twin", images=8, seed=1)
    for task in (SCENES, PIXELS):
        path = root / f"configs/{task['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(task))
    backbone = build_backbone("tiny", [get_sensor("rgb")], seed=0, width=24, depth=4, heads=3, patch_size=8).eval()
    save_checkpoint(root / "small.safetensors", backbone, "small")
    return root


def config(folder: Path, output: Path, **changes: object) -> SuiteConfig:
    values = {"configs": folder / "configs", "data": folder / "data", "output": output}
    return SuiteConfig(**{**values, "weights": [str(folder / "small.safetensors")], **changes})  # type: ignore[arg-type]


def test_one_command_writes_page_and_json_and_resumes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["suite", str(folder / "small.safetensors"), "--data", str(folder / "data"), "-o", str(tmp_path)]
    command += ["--configs", str(folder / "configs")]
    assert main(command) == 0
    first = capsys.readouterr()
    assert "scenes: small, linear" in first.err
    summary = json.loads((tmp_path / "suite.json").read_text())
    assert set(summary["tasks"]) == {"scenes", "pixels"}
    rows = {(row["source"], row["method"]): row for row in summary["tasks"]["scenes"]["rows"]}
    assert {("small", "linear"), ("untrained", "knn"), ("texture", "boosting"), ("statistics", "forest")} <= set(rows)
    assert rows["statistics", "linear"]["score"]["mean"] > 0.9
    assert rows["small", "linear"]["choices"][0][0] in ("half mean", "half mean+std", "normed mean", "normed mean+std")
    opponents = {one["opponent"] for one in summary["tasks"]["scenes"]["comparisons"]}
    assert opponents == {"strongest baseline", "untrained"}
    means = {(one["method"], one["opponent"]): one for one in summary["means"]}
    assert means["linear", "strongest baseline"]["tasks"] == 2
    assert (tmp_path / "suite.md").read_text() == first.out
    assert "<table>" in (tmp_path / "suite.html").read_text()

    assert main(command) == 0
    second = capsys.readouterr()
    assert second.err == ""  # nothing is run again
    assert second.out == first.out


def test_other_data_and_other_seeds_are_run_anew(folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    run_suite(config(folder, tmp_path, tasks=["scenes"], baselines=False), lines.append)
    assert len(lines) == 4  # weights and untrained, two methods
    run_suite(config(folder, tmp_path, tasks=["scenes"], baselines=False, methods=["knn"], seeds=2), lines.append)
    assert len(lines) == 6
    run_suite(config(folder, tmp_path, tasks=["scenes"], baselines=False, data=folder / "twin"), lines.append)
    assert len(lines) == 10


def test_twins_are_tested_whole_and_never_trained_on(folder: Path, tmp_path: Path) -> None:
    summary = run_suite(config(folder, tmp_path, tasks=["scenes"], test_data=folder / "twin", methods=["knn"]))
    assert summary.tasks["scenes"].samples == 8
    task = summary.tasks["scenes"].task.scored
    for fold in task.folds[0]:
        assert not task.samples.testable[fold.train].any()
        assert task.samples.testable[fold.test].all()


def test_blocks_of_twins_are_not_trained_on_either(folder: Path, tmp_path: Path) -> None:
    blocks = {**PIXELS, "data": {**PIXELS["data"], "split": {"kind": "blocks", "block": 8, "gap": 4, "folds": 2}}}
    task = SuiteTask(probe_config_from_dict(blocks), folder / "data", folder / "twin", 1, tmp_path)
    [[fold]] = task.scored.folds
    assert not task.scored.samples.testable[fold.train].any()
    assert len(np.unique(task.scored.samples.place[fold.test])) == 8


def test_changed_labels_are_run_anew(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "data", images=4)
    config_of_pixels = load_probe_config(folder / "configs/pixels.yaml")
    before = SuiteTask(config_of_pixels, tmp_path / "data", None, 1, tmp_path).key
    write(tmp_path / "data/masks/dark_0.png", np.random.default_rng(0).integers(0, 2, (1, 24, 24)).astype(np.uint8))
    assert SuiteTask(config_of_pixels, tmp_path / "data", None, 1, tmp_path).key != before


def test_no_place_is_on_both_sides(folder: Path) -> None:
    prepared = prepare_probe(load_probe_config(folder / "configs/scenes.yaml"), folder / "data", seeds=2)
    assert len(np.unique(prepared.samples.group)) == 6  # of twelve images
    for folds in prepared.folds:
        for fold in folds:
            assert not set(prepared.samples.group[fold.train]) & set(prepared.samples.group[fold.test])


def test_chains_of_near_files_are_one_group(tmp_path: Path) -> None:
    for number, east in enumerate((0, 90, 180, 5000)):
        write(tmp_path / f"{number}.tif", np.zeros((1, 8, 8), np.uint8), (5e5 + east, 5e6))
    write(tmp_path / "nowhere.tif", np.zeros((1, 8, 8), np.uint8))
    paths = sorted(tmp_path.glob("*.tif"))
    names = group_names(SplitConfig(distance=100), paths, ImageFiles(paths, tmp_path))
    assert names[0] == names[1] == names[2]
    assert len(set(names)) == 3


def test_equal_companions_are_one_group(tmp_path: Path) -> None:
    for name, level in {"a": 1, "b": 2, "c": 1}.items():
        write(tmp_path / f"images/{name}.tif", np.zeros((1, 8, 8), np.uint8))
        write(
            tmp_path / f"dem/{name}.tif",
            np.stack([np.full((8, 8), ord(name)), np.full((8, 8), level)]).astype(np.int16),
        )
    split = SplitConfig(companion="dem/{name}.tif", companion_band=2)
    paths = sorted((tmp_path / "images").iterdir())
    names = group_names(split, paths, ImageFiles(paths, tmp_path))
    assert names[0] == names[2] != names[1]


def test_two_rules_of_a_group_are_refused() -> None:
    with pytest.raises(ConfigError, match="pattern and distance"):
        SplitConfig(pattern="x", distance=100)


def test_detectable_difference_follows_the_formula() -> None:
    """A share p of n pairs is right in one row only, q in the other: the variance is (p + q - (p - q)^2) / n."""
    random = np.random.default_rng(0)
    p, q, n = 0.15, 0.1, 400
    draws = random.multinomial(n, [p, q, 1 - p - q], 20000)
    resampled = (draws[:, 0] - draws[:, 1]) / n
    expected = (1.96 + 0.8416) * np.sqrt((p + q - (p - q) ** 2) / n)
    assert minimal_detectable_difference(resampled) == pytest.approx(expected, rel=0.03)


def test_a_share_of_the_labels_keeps_every_class() -> None:
    target = np.array([0] * 90 + [1] * 9 + [2])
    rows = draw_labels(target, 0.1, 0, np.arange(100))
    assert np.bincount(target[rows]).tolist() == [9, 1, 1]
    assert len(draw_labels(target, 1.0, 0, np.arange(100))) == 100


def test_a_task_without_images_is_left_out_unless_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "scenes.yaml").write_text((folder / "configs/scenes.yaml").read_text())
    (configs / "gone.yaml").write_text((folder / "configs/scenes.yaml").read_text().replace("images/", "nowhere/"))
    lines: list[str] = []
    summary = run_suite(config(folder, tmp_path, configs=configs, baselines=False, methods=["knn"]), lines.append)
    assert list(summary.tasks) == ["scenes"]
    assert "left out" in lines[0]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_suite(config(folder, tmp_path, configs=configs, tasks=["gone"]))


@pytest.mark.parametrize("task", ["scenes", "pixels"])
def test_fine_tuning_starts_from_weights_from_scratch_and_from_a_unet(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(finetuned, "STEPS", 6)
    summary = run_suite(config(folder, tmp_path, tasks=[task], methods=["finetune"], shares=[0.5])).tasks[task]
    rows = {(row.cell.address.source, row.cell.address.share): row for row in summary.rows if row.score is not None}
    learned = {key: row for key, row in rows.items() if row.cell.address.method == "finetune"}
    assert set(learned) == {(name, 0.5) for name in ("small", "untrained", "U-Net")}
    samples = summary.task.scored
    tested = np.isfinite(learned["small", 0.5].cell.predictions[0])
    assert sorted(np.flatnonzero(tested)) == sorted(samples.folds[0][0].test)
    opponents = {(one.opponent, one.opponent_method) for one in summary.comparisons if one.method == "finetune"}
    assert opponents == {("strongest baseline", "U-Net, finetune"), ("untrained", "finetune")}


def test_wrong_names_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="scenes"):
        run_suite(config(folder, tmp_path, tasks=["scene"]))
    with pytest.raises(ConfigError, match="no method 'svm'"):
        config(folder, tmp_path, methods=["svm"])
    with pytest.raises(ConfigError, match="share"):
        config(folder, tmp_path, shares=[0])
    with pytest.raises(FileNotFoundError, match="--configs"):
        run_suite(config(folder, tmp_path, configs=tmp_path))


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["landsat_clouds", "s2_change", "enmap_potsdam"])
def test_places_of_the_shipped_tasks_are_apart(repository: Path, data_dir: Path, name: str) -> None:
    prepared = prepare_probe(load_probe_config(repository / f"configs/suite/{name}.yaml"), data_dir, seeds=1)
    samples, [folds] = prepared.samples, prepared.folds
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(samples)))
    for fold in folds:
        assert not set(samples.group[fold.train]) & set(samples.group[fold.test])


@pytest.mark.realdata
def test_visits_of_one_place_are_one_group(repository: Path, data_dir: Path) -> None:
    task = load_probe_config(repository / "configs/suite/landsat_water.yaml")
    images = find_image_files(task.data.source, data_dir)
    names = group_names(task.data.split, images.paths, images)
    assert len(names) > len(set(names)) > 0.5 * len(names)
