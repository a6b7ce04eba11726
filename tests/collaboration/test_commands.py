"""Simulate, train perception, train collaboration, evaluate: through the commands a user types."""

import json
from pathlib import Path

import pytest
import torch

from skyweave.cli.main import main
from skyweave.collaboration.weights import load_collaboration
from skyweave.perception.weights import load_perception

PERCEPTION = """
name: small
recordings: [streets]
weights: null
model:
  map: {size: 32.0, resolution: 1.0}
  lift: {bins: height, options: {ceiling: 4.0, count: 3}, channels: 8}
  neck: 8
  trunk: [8, 8, 8]
  horizon: 2
  categories: [car, truck, bus]
optimiser: {steps: 2, batch: 1, warmup: 1}
trainer: {precision: 32-true}
"""
COLLABORATION = """
name: small-ours
perception: weights.safetensors
recordings: [streets]
split: train
collaboration: {strategy: dual_branch, codec: {low: 4, high: 6, contexts: 2}}
optimiser: {steps: 2, batch: 1, warmup: 1}
trainer: {precision: 32-true}
cells: 16
"""


@pytest.mark.slow
def test_from_a_simulation_to_scores_at_a_budget(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = str(repository / "configs" / "world" / "crossing.yaml")
    platform = "platforms=[{count: 3, cameras: [{rows: 64, columns: 96, field_of_view: [60, 70]}]}]"
    recording = tmp_path / "streets"
    changes = ["--scenes", "2", "--frames", "3", "--set", platform, "--set", "validation=0.5"]
    assert main(["simulate", world, "-o", str(recording), *changes]) == 0
    (tmp_path / "perception.yaml").write_text(PERCEPTION)
    (tmp_path / "collaboration.yaml").write_text(COLLABORATION)
    run, shared = tmp_path / "run", tmp_path / "shared"
    assert main(["train", str(tmp_path / "perception.yaml"), "--data", str(tmp_path), "-o", str(run)]) == 0
    weights = str(run / "weights.safetensors")
    command = ["train", str(tmp_path / "collaboration.yaml"), "--data", str(tmp_path), "-o", str(shared)]
    assert main([*command, "--set", f"perception={weights}"]) == 0
    trained = str(shared / "weights.safetensors")
    model = load_collaboration(trained)
    card = model.card
    assert card.parts["collaboration"]["strategy"] == "dual_branch" and model.tables is not None
    assert torch.equal(load_perception(trained).lift.head.weight, load_perception(weights).lift.head.weight)
    capsys.readouterr()
    cache = str(tmp_path / "cache")
    for more, limit in (
        (["--strategy", "dual_branch", "--budget", "500"], 500),
        (["--strategy", "late_fusion"], 10_000),
    ):
        assert main(["evaluate", trained, str(recording), "--cache", cache, "--json", *more]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores["samples"] == 3 and 0 < scores["bytes"] <= limit
        assert {"mAP", "IoU", "VPQ"} <= set(scores)
    assert main(["evaluate", trained, str(recording), "--strategy", "no_fusion", "--cache", cache]) == 0
    assert main(["evaluate", trained, str(recording), "--strategy", "where2comm"]) == 2
    assert "was trained for 'dual_branch'" in capsys.readouterr().err
    assert main(["evaluate", weights, str(recording), "--strategy", "dual_branch"]) == 2
    assert "holds no collaborative model" in capsys.readouterr().err
