"""Simulate, train, stop, resume, evaluate: through the commands a user types."""

import json
from pathlib import Path

import pytest
import torch

from skyweave.cli.main import main
from skyweave.perception.weights import load_perception

CONFIG = """
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
optimiser: {steps: 4, batch: 1, warmup: 1}
trainer: {precision: 32-true, checkpoint_every: 2, log_every: 1}
"""


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    world = str(repository / "configs" / "world" / "crossing.yaml")
    platform = "platforms=[{count: 2, cameras: [{rows: 64, columns: 96, field_of_view: [60, 70]}]}]"
    arguments = ["--scenes", "2", "--frames", "4", "--set", platform, "--set", "validation=0.5"]
    assert main(["simulate", world, "-o", str(folder / "streets"), *arguments]) == 0
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.mark.slow
def test_a_resumed_training_ends_where_the_uninterrupted_one_does(streets: Path, config: Path, tmp_path: Path) -> None:
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    assert main(["train", str(config), "--data", str(streets), "-o", whole]) == 0

    class Stop(Exception):
        pass

    from skyweave.perception.module import PerceptionModule

    step = PerceptionModule.training_step

    def stopping(self: PerceptionModule, batch: object, index: int) -> torch.Tensor:
        if self.global_step == 3:
            raise Stop
        return step(self, batch, index)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(PerceptionModule, "training_step", stopping)
        from skyweave.perception.train import train

        train(config, streets, Path(parts), progress=False)
    assert (
        main(["train", str(config), "--data", str(streets), "-o", parts, "--resume", "--set", "trainer.workers=1"]) == 0
    )
    one, other = (load_perception(Path(run) / "weights.safetensors") for run in (whole, parts))
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.slow
def test_a_training_starts_from_a_perception_model_of_the_same_sizes(
    streets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, further = tmp_path / "first", tmp_path / "further"
    short = ["--set", "optimiser.steps=2", "--set", "trainer.checkpoint_every=9"]
    assert main(["train", str(config), "--data", str(streets), "-o", str(first), *short]) == 0
    start = first / "weights.safetensors"
    slow = [
        "--set",
        f"start={start}",
        "--set",
        "optimiser.learning_rate=1e-9",
        "--set",
        "model.balance.name=grey_world",
    ]
    assert main(["train", str(config), "--data", str(streets), "-o", str(further), *short, *slow]) == 0
    one, other = (load_perception(run / "weights.safetensors") for run in (first, further))
    assert other.config.balance.name == "grey_world"
    assert torch.allclose(one.lift.head.weight, other.lift.head.weight, atol=1e-6)
    frozen = ["--set", f"start={start}", "--set", "frozen=start"]
    cover = ["--set", "model.heads={detection: {}, instances: {}, trajectories: {}, land_cover: {}}"]
    added = tmp_path / "added"
    assert main(["train", str(config), "--data", str(streets), "-o", str(added), *short, *frozen, *cover]) == 0
    state = load_perception(added / "weights.safetensors").state_dict()
    assert any(name.startswith("heads.land_cover") for name in state)
    for name, value in one.state_dict().items():  # statistics of batch norms as well
        assert torch.equal(value, state[name]), name
    assert main(["train", str(config), "--data", str(streets), "-o", str(tmp_path / "y"), *short, *frozen]) == 2
    assert "nothing to train" in capsys.readouterr().err
    otherwise = [*frozen, *cover, "--set", "model.balance.name=grey_world"]
    assert main(["train", str(config), "--data", str(streets), "-o", str(tmp_path / "z"), *short, *otherwise]) == 2
    message = capsys.readouterr().err
    assert (
        "was trained to read otherwise" in message and 'write model.balance: {"name": "none", "usual": {}}' in message
    )
    larger = ["--set", f"start={start}", "--set", "model.neck=16"]
    assert main(["train", str(config), "--data", str(streets), "-o", str(tmp_path / "x"), *short, *larger]) == 2
    assert "does not fit" in capsys.readouterr().err


@pytest.mark.slow
def test_scores_of_a_trained_model(
    streets: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert main(["train", str(config), "--data", str(streets), "-o", str(output), "--set", "optimiser.steps=2"]) == 0
    capsys.readouterr()
    weights = str(output / "weights.safetensors")
    for more in ([], ["--ego-only"]):
        assert main(["evaluate", weights, str(streets / "streets"), "--json", *more]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert scores["samples"] == 4 and scores["ego_only"] is bool(more)
        assert 0 <= scores["mAP"] <= 1 and 0 <= scores["IoU"] <= 1 and 0 <= scores["NDS"] <= 1
    assert main(["evaluate", weights, str(streets / "streets"), "--split", "test"]) == 2
    assert "no split 'test'" in capsys.readouterr().err


def test_what_is_missing_is_named(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(config), "--data", str(tmp_path), "-o", str(tmp_path / "run")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["evaluate", "tiny", str(tmp_path)]) == 2
    assert "no perception model" in capsys.readouterr().err
    config.write_text(CONFIG + "unknown: 1\n")
    assert main(["train", str(config), "--data", str(tmp_path), "-o", str(tmp_path / "run")]) == 2
    assert "unknown key 'unknown'" in capsys.readouterr().err
