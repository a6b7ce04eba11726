"""Whole runs: they learn, they can be killed, they refuse what would go wrong."""

import csv
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import skyweave
from skyweave.backbone import build_backbone
from skyweave.core.config import load_config_file
from skyweave.core.errors import ConfigError, TrainingError, WeightsError
from skyweave.data.dataset import load_dataset
from skyweave.pretraining import ObjectiveConfig, Pretrainer, load_autoencoder, save_pretrained
from skyweave.pretraining.config import PretrainConfig
from skyweave.pretraining.mixing import MixedStep
from skyweave.pretraining.module import PretrainingModule
from skyweave.pretraining.train import build_module, pretrain
from skyweave.training.module import StepLoss

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "pretrain"


def losses(output: Path) -> dict[int, float]:
    """Loss by step; a later part of the log overrides an earlier one."""
    found: dict[int, float] = {}
    for file in sorted(output.glob("logs/csv/*/metrics.csv")):
        for row in csv.DictReader(file.read_text().splitlines()):
            found[int(row["step"])] = float(row["loss"])
    return found


def train(run: Path, name: str, *changes: str, resume: bool = False) -> Path:
    return pretrain(run, run.parent, run.parent / name, list(changes), resume, progress=False).parent


def test_a_run_learns_and_leaves_weights(run: Path) -> None:
    output = train(run, "out", "optimiser.steps=60", "trainer.checkpoint_every=20")
    curve = losses(output)
    assert len(curve) == 60
    assert sum(curve[i] for i in range(50, 60)) < 0.92 * sum(curve[i] for i in range(10))
    header = next(output.glob("logs/csv/*/metrics.csv")).read_text().splitlines()[0].split(",")
    assert {"loss/naip", "loss/sentinel1-rtc", "objective/pixels"} <= set(header)
    card = json.loads((output / "weights.json").read_text())
    assert card["training"]["steps"] == 60
    assert {sensor["name"] for sensor in card["sensors"]} == {"naip", "sentinel1-rtc"}
    model, _ = load_autoencoder(output / "weights.safetensors")
    assert model.backbone.config == skyweave.load(output / "weights.safetensors").config
    assert not list(output.glob(".*"))


def test_a_run_starts_from_the_weights_of_another(run: Path) -> None:
    weights = train(run, "first", "optimiser.steps=2") / "weights.safetensors"
    change = f"start={weights}"
    going_on = build_module(
        load_config_file(run, PretrainConfig, [change]), load_dataset(run.parent / "data.yaml", run.parent)
    )
    wanted = skyweave.load(weights).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in going_on.model.backbone.state_dict().items())
    with pytest.raises(WeightsError, match=r"start: .* has band_contrast 1.0, not 2.0; give `backbone` the numbers"):
        train(run, "other", change, "backbone.band_contrast=2")


def test_a_killed_run_repeats_itself_bit_for_bit(run: Path) -> None:
    whole = train(run, "whole")
    folder = run.parent / "killed"
    command = [sys.executable, "-m", "skyweave", "pretrain", str(run), "--data", str(run.parent), "-o", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not (folder / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode != 0, "the run ended before it could be killed"
    assert (folder / "last.ckpt").exists(), errors.decode()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    curve, resumed = losses(whole), losses(folder)
    assert resumed == {step: curve[step] for step in resumed}
    assert max(resumed) == 11
    assert (folder / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_workers_change_nothing(run: Path) -> None:
    none, one = (losses(train(run, f"w{n}", f"trainer.workers={n}", "optimiser.steps=4")) for n in (0, 1))
    assert none == one


def test_accumulated_steps_resume_too(run: Path) -> None:
    changes = ("trainer.accumulate=2", "optimiser.steps=4", "trainer.checkpoint_every=2")
    whole = losses(train(run, "whole", *changes))
    train(run, "half", *changes)
    checkpoint = torch.load(run.parent / "half" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert len(whole) == 4


def test_a_trapezoid_ends_later_than_was_said_until_its_rate_falls(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = (
        "optimiser.schedule=trapezoid",
        "optimiser.decay=0.5",
        "optimiser.warmup=2",
        "trainer.checkpoint_every=1",
    )
    whole = losses(train(run, "whole", *changes, "optimiser.steps=8"))
    with monkeypatch.context() as patch:
        patch.setattr(PretrainingModule, "step_loss", broken_at(3))
        with pytest.raises(TrainingError, match="pulled the plug"):
            train(run, "out", *changes, "optimiser.steps=6")
    output = train(run, "out", *changes, "optimiser.steps=8", resume=True)
    assert losses(output).items() >= {step: whole[step] for step in range(3, 8)}.items()
    with pytest.raises(ValueError, match="optimiser differ"):
        train(run, "out", *changes, "optimiser.steps=12", resume=True)


def broken_at(number: int) -> Callable[[PretrainingModule, MixedStep], StepLoss]:
    whole = PretrainingModule.step_loss

    def step_loss(module: PretrainingModule, step: MixedStep) -> StepLoss:
        if step.number == number:
            raise TrainingError("pulled the plug")
        return whole(module, step)

    return step_loss


def test_what_would_destroy_a_run_is_refused(run: Path) -> None:
    output = train(run, "out", "optimiser.steps=2", "trainer.checkpoint_every=1")
    with pytest.raises(FileExistsError, match="holds a run already; add --resume"):
        train(run, "out")
    with pytest.raises(FileNotFoundError, match="holds no run to resume"):
        train(run, "other", resume=True)
    with pytest.raises(ValueError, match="seed differ"):
        train(run, "out", "optimiser.steps=2", "trainer.checkpoint_every=1", "seed=3", resume=True)
    (output / "last.ckpt").write_bytes((output / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be read"):
        train(run, "out", "optimiser.steps=2", "trainer.checkpoint_every=1", resume=True)


def test_a_loss_that_is_not_finite_stops_the_run(run: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss of .*naip.* is not finite at step \d"):
        train(run, "out", "optimiser.learning_rate=1e30", "optimiser.clip=1e30", "optimiser.warmup=0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.steps=3", "unknown key 'optimizer'; did you mean 'optimiser'"),
        ("masking.ratios=[75]", r"masking\.ratios is \[75"),
        ("objectives={pixls: {}}", "no objective 'pixls', did you mean 'pixels'"),
        ("objectives={pixels: {textur: 1}}", r"objectives\.pixels: unknown key 'textur'; did you mean 'texture'"),
        ("objectives={}", "objectives: none is given"),
        ("objectives={contrast: {}}", r"contrast alone compares views; give masking\.ratios at least two"),
        ("optimiser.decay=0", r"optimiser\.decay is 0"),
        ("views={naip: {patches: 4, patch_sizes: [4, 2]}, default: {patches: 0}}", "a view has 0 patches"),
        ("backbone.size=huge", r"backbone\.size is 'huge'"),
        ("images_per_step={landsat: 3}", "no source or sensor of weight above 0 is called 'landsat'"),
        ("source_weights={nothing: 3}", "no source is called nothing"),
        ("data=nowhere.yaml", r"nowhere\.yaml is not a file"),
        ("seed", "'seed' is no change; write key=value"),
        ("seed=abc", r"Expected `int`, got `str` - at `\$\.seed`"),
    ],
)
def test_wrong_configurations_are_named(run: Path, change: str, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(run, "out", change)


@pytest.mark.slow
def test_two_processes_train_one_model(run: Path) -> None:
    command = [sys.executable, "-m", "skyweave", "pretrain", str(run), "--data", str(run.parent)]
    options = ["optimiser.steps=3", "trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]
    options.append("trainer.accelerator=cpu")
    sets = [part for option in options for part in ("--set", option)]
    done = subprocess.run(
        [*command, "-o", str(run.parent / "ddp"), *sets], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    curve = losses(run.parent / "ddp")
    assert sorted(curve) == [0, 1, 2]
    assert all(math.isfinite(value) for value in curve.values())
    skyweave.load(run.parent / "ddp" / "weights.safetensors")


def test_ranks_see_other_images(run: Path) -> None:
    module = build_module(load_config_file(run, PretrainConfig), load_dataset(run.parent / "data.yaml", run.parent))
    first, second = (torch.cat([b.pixels.flatten() for b in module.batches(rank, 2)[0].batches]) for rank in (0, 1))
    assert first.shape != second.shape or not torch.equal(first, second)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_configurations_are_whole(file: Path) -> None:
    config = load_config_file(file, PretrainConfig)
    assert (file.parent / config.data).exists()
    assert config.backbone.changes()["tokenizer"] in ("spectral", "per_sensor")


def test_weights_in_half_precision(tmp_path: Path) -> None:
    backbone = build_backbone("tiny", seed=0, width=32, depth=2, heads=2, patch_size=4, mixes=4)
    model = Pretrainer(backbone, {"pixels": ObjectiveConfig.from_content("pixels")})
    save_pretrained(tmp_path / "a.safetensors", model, "a", torch.float16)
    loaded, card = load_autoencoder(tmp_path / "a.safetensors")
    saved = {**backbone.state_dict(prefix="backbone."), **model.objectives["pixels"].state_dict()}
    for key, value in loaded.state_dict().items():
        assert torch.allclose(saved[key], value, atol=1e-3)
    assert card.parts["decoder"]["width"] == 128


def test_without_pixels_there_is_no_decoder_to_load(tmp_path: Path) -> None:
    backbone = build_backbone("tiny", seed=0, width=32, depth=2, heads=2, patch_size=4, mixes=4)
    model = Pretrainer(backbone, {"contrast": ObjectiveConfig.from_content("contrast")})
    save_pretrained(tmp_path / "a.safetensors", model, "a")
    assert skyweave.load(tmp_path / "a.safetensors").config == backbone.config
    with pytest.raises(WeightsError, match="holds no pretraining decoder"):
        load_autoencoder(tmp_path / "a.safetensors")


def test_views_of_one_sensor_and_size_have_patches_of_one_size(run: Path) -> None:
    views = "views={default: {patches: 4, patch_sizes: [2, 4]}, naip: {patches: 2, patch_sizes: [4, 8]}}"
    train(run, "one", views, "optimiser.steps=1")
    with pytest.raises(ConfigError, match="images of 8 pixels of naip would have patches of 4 and of 2"):
        content = yaml.safe_load((run.parent / "data.yaml").read_text())
        content["sources"].append({**content["sources"][0], "name": "other"})
        (run.parent / "data.yaml").write_text(yaml.safe_dump(content))
        train(run, "two", views.replace("naip:", "other:"), "optimiser.steps=1")


@pytest.mark.parametrize("objective", ["patch_discrimination", "contrast"])
def test_other_objectives_learn_and_repeat_themselves(run: Path, objective: str) -> None:
    changes = (
        f"objectives={{{objective}: {{}}}}",
        "masking={ratios: [0.5, 0.5], coarsening: [1, 2]}",
        "optimiser.steps=40",
        "optimiser.schedule=trapezoid",
    )
    curve = losses(train(run, "a", *changes))
    assert sum(curve[i] for i in range(30, 40)) < 0.97 * sum(curve[i] for i in range(10))
    assert losses(train(run, "b", *changes[:2], "optimiser.steps=3", changes[3]))[0] == curve[0]
