"""Pretrainings of equal processor time for comparisons: what is finished is kept, so a benchmark can go on later."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from skyweave.core.config import load_config_file
from skyweave.data.dataset import load_dataset
from skyweave.pretraining.config import PretrainConfig, dataset_path
from skyweave.pretraining.train import build_module, pretrain
from skyweave.training.run_dir import CONFIG_FILE, LAST_CHECKPOINT

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "pretrain" / "tiny.yaml"
MEASURED_STEPS = 4
"""Steps whose processor time says how many fit; the first is not counted."""


def pretrained(output: Path, name: str, changes: Sequence[str], seed: int, data: Path, cpu_seconds: float) -> Path:
    """Return weights of `configs/pretrain/tiny.yaml` with changes, trained for some processor time on one thread.

    Args:
        output: folder in which weights are kept; a run that was stopped goes on there.
        name: of the run, part of a file's name.
        changes: `key.key=value` over the configuration.
        seed: of the run.
        data: folder of the sample data.
        cpu_seconds: of training.
    """
    weights = output / f"{name.replace(' ', '_')}_{cpu_seconds:g}_{seed}.safetensors"
    if weights.exists():
        return weights
    run = output / f"{weights.stem}.run"
    every = [*changes, f"seed={seed}", "optimiser.schedule=cosine", "trainer.checkpoint_every=200"]
    if resume := (run / LAST_CHECKPOINT).exists():
        steps = int(json.loads((run / CONFIG_FILE).read_text())["optimiser"]["steps"])
    else:
        steps = steps_that_fit(data, every, cpu_seconds)
    every += [f"optimiser.steps={steps}", f"optimiser.warmup={max(1, steps // 20)}"]
    trained = pretrain(CONFIG, data, run, every, resume, progress=False)
    trained.with_suffix(".json").replace(weights.with_suffix(".json"))
    trained.replace(weights)
    shutil.rmtree(run)
    print(name, seed, f"{steps} steps, {images_seen(weights)} images", flush=True)
    return weights


def images_seen(weights: Path) -> int:
    """Return the images that weights of `pretrained` were trained on, as their card tells."""
    training = json.loads(weights.with_suffix(".json").read_text())["training"]
    per_step = training["config"]["images_per_step"]
    return int(training["steps"] * (sum(per_step.values()) if isinstance(per_step, dict) else per_step))


def steps_that_fit(data: Path, changes: Sequence[str], seconds: float) -> int:
    """Return the steps of a recipe that fit into so much processor time.

    Args:
        data: folder of the sample data.
        changes: of the recipe.
        seconds: of one thread.
    """
    config = load_config_file(CONFIG, PretrainConfig, list(changes))
    module = build_module(config, load_dataset(dataset_path(config, CONFIG), data))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    batches = module.batches()
    for number in range(MEASURED_STEPS):
        if number == 1:
            start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            loss = module.step_loss(batches[number]).total
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    per_step = (time.process_time() - start) / (MEASURED_STEPS - 1)
    return max(1, round(seconds / per_step))
