"""What all trainings share: which sample a step has, the learning rate of a step, and the check of the loss."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from skyweave.core.errors import ConfigError, SkyweaveError, TrainingError
from skyweave.training import (
    ExportWeights,
    OptimiserConfig,
    ResumableSampler,
    SkyweaveModule,
    StepLoss,
    TrainerConfig,
    fit,
    move_to_device,
    prepare_run_dir,
)
from skyweave.training.checkpoint_io import AsideCheckpointIO
from small_disk import fill, mounted_disk

X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))


class Regression(SkyweaveModule[list[Tensor]]):
    """The smallest training: a linear layer learns to sum its inputs."""

    def __init__(self, config: OptimiserConfig, broken_at: int | None = None) -> None:
        super().__init__(config)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(3, 1)
        self.broken_at, self.samples_read, self.dtypes = broken_at, [], set()

    def step_loss(self, batch: list[Tensor]) -> StepLoss:
        self.samples_read += batch[0][:, 0].tolist()
        output = self.layer(batch[0])
        self.dtypes.add(output.dtype)
        error = (output.float() - batch[0].sum(1, keepdim=True)).square().mean()
        if self.global_step == self.broken_at:
            error = error * float("inf")
        return StepLoss(error, len(batch[0]), {"loss/sum": error})

    def train_dataloader(self) -> "DataLoader[list[Tensor]]":
        return self.resumable_loader(TensorDataset(X.repeat(10, 1)), batch_size=4, seed=3)


def train(
    module: Regression,
    output: Path | None = None,
    resume: bool = False,
    accumulate: int = 1,
    precision: str = "32-true",
) -> int:
    config = TrainerConfig(precision, accumulate, accelerator="cpu", checkpoint_every=2, log_every=1)
    return fit(module, output, {}, config, resume=resume, progress=False)


def test_a_pass_is_a_permutation_and_a_resumed_run_goes_on_where_it_stood() -> None:
    whole = list(ResumableSampler(0, 25, dataset_length=10, seed=1))
    assert [Counter(number % 10 for number in whole[i : i + 10]) for i in (0, 10)] == [Counter(range(10))] * 2
    assert [number // 10 for number in whole] == [0] * 10 + [1] * 10 + [2] * 5
    assert whole[:10] != [number - 10 for number in whole[10:20]]
    assert list(ResumableSampler(13, 25, dataset_length=10, seed=1)) == whole[13:]
    assert list(ResumableSampler(3, 6)) == [3, 4, 5]
    assert len(ResumableSampler(3, 6)) == 6, "Lightning counts from the start of the run"


def test_the_rate_rises_then_falls_to_its_final_share() -> None:
    config = OptimiserConfig(steps=100, warmup=10, final_share=0.1)
    rates = [config.rate_factor(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert max(rates) == rates[9] == pytest.approx(0.98, abs=0.01)
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))
    assert rates[100] == 0.1 and OptimiserConfig(steps=100).rate_factor(100) == 0.0
    with pytest.raises(ConfigError, match="steps is 0"):
        OptimiserConfig(steps=0)


def test_matrices_are_decayed_and_vectors_not() -> None:
    optimiser = Regression(OptimiserConfig(weight_decay=0.3, betas=(0.5, 0.6))).configure_optimizers()["optimizer"]
    assert [(len(g["params"]), g["weight_decay"], g["betas"]) for g in optimiser.param_groups] == [
        (1, 0.3, (0.5, 0.6)),
        (1, 0.0, (0.5, 0.6)),
    ]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, accumulate: int) -> None:
    config = OptimiserConfig(steps=6, learning_rate=0.1, warmup=2)
    whole = Regression(config)
    assert train(whole, tmp_path / "whole", accumulate=accumulate) == 6
    assert len(whole.samples_read) == 6 * 4 * accumulate
    broken = Regression(config, broken_at=5)
    with pytest.raises(TrainingError, match="the loss of sum is not finite at step 5; the last checkpoint is kept"):
        train(broken, tmp_path / "broken", accumulate=accumulate)
    resumed = Regression(config)
    assert train(resumed, tmp_path / "broken", resume=True, accumulate=accumulate) == 6
    assert resumed.samples_read == whole.samples_read[4 * 4 * accumulate :]
    assert torch.equal(resumed.layer.weight, whole.layer.weight)


def test_bf16_autocast_changes_neither_the_weights_type_nor_the_loss(tmp_path: Path) -> None:
    module = Regression(OptimiserConfig(steps=3))
    train(module, precision="bf16-mixed")
    assert module.dtypes == {torch.bfloat16}
    assert module.layer.weight.dtype == torch.float32


def test_weights_are_exported_with_what_the_card_records() -> None:
    saved: list[dict[str, object]] = []
    ExportWeights(saved.append, {"samples": 7}, {"seed": 1}).write(5)
    (record,) = saved
    assert list(record) == ["steps", "seconds", "samples", "config"]
    assert (record["steps"], record["samples"], record["config"]) == (5, 7, {"seed": 1})


def test_a_batch_moves_as_a_whole() -> None:
    @dataclass(frozen=True)
    class Images:
        pixels: Tensor
        parts: list[Tensor]
        name: str

    moved = move_to_device(Images(torch.zeros(2), [torch.zeros(1)], "a"), torch.device("meta"))
    assert (moved.pixels.device.type, moved.parts[0].device.type, moved.name) == ("meta", "meta", "a")
    assert move_to_device([torch.zeros(1), "b"], torch.device("meta"))[1] == "b"


def test_a_training_error_is_one_of_ours() -> None:
    assert issubclass(TrainingError, SkyweaveError)


def test_a_gradient_that_is_not_finite_stops_before_it_destroys_the_weights(tmp_path: Path) -> None:
    class Root(Regression):
        def step_loss(self, batch: list[Tensor]) -> StepLoss:
            loss = super().step_loss(batch)
            root = (self.layer.weight.sum() * 0).sqrt()  # 0, whose slope is infinite
            return StepLoss(loss.total + root if self.global_step == 3 else loss.total, loss.samples, loss.parts)

    module = Root(OptimiserConfig(steps=4, warmup=1))
    with pytest.raises(TrainingError, match=r"gradient of layer\.weight is not finite at step 3, though the loss is"):
        train(module)
    assert module.layer.weight.isfinite().all()


def test_a_training_without_a_terminal_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("skyweave.core.progress.LINE_INTERVAL_S", 0.0)
    config = TrainerConfig("32-true", accelerator="cpu", log_every=1)
    fit(Regression(OptimiserConfig(steps=4, warmup=1)), None, {}, config)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("training: 4 of 4 (100 %)") and ", loss " in lines[-1]


def test_a_training_that_breaks_off_before_its_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "run"
    with pytest.raises(TrainingError):
        train(Regression(OptimiserConfig(steps=4), broken_at=0), output)
    assert not output.exists()
    prepare_run_dir(output, {}, resume=False)
    with pytest.raises(TrainingError):
        train(Regression(OptimiserConfig(steps=6), broken_at=4), output)
    assert (output / "last.ckpt").exists()
    with pytest.raises(FileExistsError, match="add --resume"):
        prepare_run_dir(output, {}, resume=False)
    (output / "last.ckpt").rename(output / "weights.safetensors")
    with pytest.raises(FileExistsError, match=r"holds weights\.safetensors already; choose another folder"):
        prepare_run_dir(output, {}, resume=False)
    with pytest.raises(FileNotFoundError, match="without --resume in another folder"):
        prepare_run_dir(output, {}, resume=True)


def test_a_full_disk_and_a_damaged_file_cost_no_checkpoint(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 2_000_000) as disk:
        output, io = disk / "run", AsideCheckpointIO()
        output.mkdir()
        last, previous = output / "last.ckpt", output / "previous.ckpt"
        for step in range(3):
            io.save_checkpoint({"global_step": step, "weights": torch.rand(20_000)}, last)
        filler = fill(disk, leave=40_000)
        with pytest.raises(OSError, match=r"No space left on device: '.*last\.ckpt'$"):
            io.save_checkpoint({"global_step": 9, "weights": torch.rand(20_000)}, last)
        steps = {path.name: torch.load(path)["global_step"] for path in output.iterdir()}
        assert steps == {"last.ckpt": 2, "previous.ckpt": 1}
        filler.unlink()
        last.write_bytes(last.read_bytes()[:1000])
        with pytest.raises(ConfigError, match=f"cannot be read .* mv {previous} {last}"):
            prepare_run_dir(output, {}, resume=True)


def test_a_training_that_meets_a_full_disk_keeps_its_checkpoint_and_goes_on_from_it(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 1_000_000) as disk:
        config = OptimiserConfig(learning_rate=0.01, steps=20, warmup=0)
        module = Regression(config)
        module.on_train_batch_start = lambda batch, index: fill(disk) if index == 9 else None  # type: ignore[method-assign,assignment]
        with pytest.raises(OSError, match="No space left"):
            train(module, disk / "run")
        (disk / "filler").unlink()
        assert torch.load(disk / "run" / "last.ckpt")["global_step"] == 8
        assert train(Regression(config), disk / "run", resume=True) == 20
