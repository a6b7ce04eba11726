"""Weights on disk: what is read is what was written, and anything else is refused by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import skyweave
from skyweave.backbone import Backbone, build_backbone, fingerprint, save_checkpoint
from skyweave.core.errors import WeightsError
from skyweave.core.sensors import get_sensor

SMALL = {"width": 32, "depth": 2, "heads": 2, "patch_size": 4, "mixes": 4}


@pytest.fixture
def model() -> Backbone:
    return build_backbone("tiny", [get_sensor("naip")], seed=3, **SMALL)


@pytest.fixture
def saved(model: Backbone, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, "mine")
    return path


def change(path: Path, **fields: object) -> None:
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **fields}))


def test_round_trip(model: Backbone, saved: Path) -> None:
    loaded = skyweave.load(saved)
    assert loaded.config == model.config
    assert loaded.sensors == model.sensors
    assert not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    assert json.loads(saved.with_suffix(".json").read_text())["fingerprint"] == fingerprint(loaded)
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model.json", "model.safetensors"]


def test_half_precision_has_its_own_fingerprint(model: Backbone, tmp_path: Path) -> None:
    card = save_checkpoint(tmp_path / "half.safetensors", model, "half", dtype=torch.float16)
    loaded = skyweave.load(tmp_path / "half.safetensors")
    assert next(loaded.parameters()).dtype == torch.float32
    assert card.fingerprint == fingerprint(loaded) != fingerprint(model)


def test_the_fingerprint_changes_with_any_weight(model: Backbone) -> None:
    before = fingerprint(model)
    with torch.no_grad():
        model.encoder.norm.bias[0] += 1e-3
    assert fingerprint(model) != before


def test_wrong_keys_are_named(model: Backbone, saved: Path) -> None:
    change(saved, architecture={**model.config.to_dict(), "depth": 3})
    with pytest.raises(ValueError, match=r"missing keys: encoder\.blocks\.2\."):
        skyweave.load(saved)
    change(saved, architecture={**model.config.to_dict(), "depth": 1})
    with pytest.raises(ValueError, match=r"unexpected keys: encoder\.blocks\.1\."):
        skyweave.load(saved)
    change(saved, architecture={**model.config.to_dict(), "mixes": 5})
    with pytest.raises(ValueError, match="has shape"):
        skyweave.load(saved)


def test_what_is_no_checkpoint(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights 'nothing'"):
        skyweave.load("nothing")
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        skyweave.load(saved)
    saved.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match="not the card of a Skyweave checkpoint"):
        skyweave.load(saved)
    saved.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="has no card"):
        skyweave.load(saved)
    torch.save({}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="expected a state dict of tensors"):
        skyweave.load(tmp_path / "weights.pth")
    (tmp_path / "weights.bin2").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="safetensors"):
        skyweave.load(tmp_path / "weights.bin2")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_read_nor_written(saved: Path, tmp_path: Path, value: float) -> None:
    state = load_file(saved)
    key = next(key for key in sorted(state) if key.endswith("mlp.fc1.weight"))
    broken = tmp_path / "broken.safetensors"
    save_file({**state, key: torch.full_like(state[key], value)}, broken)
    broken.with_suffix(".json").write_text(saved.with_suffix(".json").read_text())
    with pytest.raises(WeightsError, match=rf"holds NaN or infinity in {key}; use weights of before"):
        skyweave.load(broken)
    model = skyweave.load(saved)
    with torch.no_grad():
        model.get_parameter(key)[0] = value
    for dtype in (torch.float32, torch.int8):
        with pytest.raises(WeightsError, match=key):
            save_checkpoint(tmp_path / "new.safetensors", model, "broken", dtype=dtype)
    assert not list(tmp_path.glob("new*"))


def test_weights_larger_than_half_precision_are_kept(saved: Path, tmp_path: Path) -> None:
    """A training was lost to a variance of 70,000: what half precision cannot hold is stored as it is."""
    model = skyweave.load(saved)
    key = next(key for key in sorted(load_file(saved)) if key.endswith("mlp.fc1.weight"))
    with torch.no_grad():
        model.get_parameter(key)[0] = 7e4
    for dtype in (torch.float16, torch.int8):
        path = tmp_path / "large.safetensors"
        save_checkpoint(path, model, "large", dtype=dtype)
        assert torch.allclose(skyweave.load(path).get_parameter(key)[0], torch.tensor(7e4), rtol=0.01)
    save_checkpoint(tmp_path / "half.safetensors", model, "large", dtype=torch.float16)
    stored = load_file(tmp_path / "half.safetensors")
    assert [name for name, value in stored.items() if value.dtype is torch.float32] == [key], "the rest stays small"


def test_a_full_disk_leaves_the_old_checkpoint(saved: Path) -> None:
    before = saved.read_bytes()
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import torch
from pathlib import Path
from skyweave.backbone import build_backbone, save_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
save_checkpoint(Path({str(saved)!r}), build_backbone("tiny", seed=4, **{SMALL!r}), "other")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "File too large" in run.stderr
    assert saved.read_bytes() == before
    assert sorted(p.name for p in saved.parent.iterdir()) == ["model.json", "model.safetensors"]


def test_weights_that_are_not_those_of_the_card_are_refused(model: Backbone, saved: Path) -> None:
    """A kill between the two renames, or one file copied without the other, mixes two models."""
    state = load_file(saved)
    key = next(key for key in state if key.endswith("qkv.weight"))
    save_file({**state, key: torch.zeros_like(state[key])}, saved)
    with pytest.raises(WeightsError, match=r"do not belong together.*copy both files again"):
        skyweave.load(saved)
    save_checkpoint(saved, model, "mine")
    assert skyweave.load(saved).config == model.config


@pytest.mark.parametrize(("name", "value"), [("depth", 200_000), ("width", 10**9)])
def test_a_card_that_asks_for_more_than_the_weights_hold_is_refused_at_once(saved: Path, name: str, value: int) -> None:
    architecture = json.loads(saved.with_suffix(".json").read_text())["architecture"]
    change(saved, architecture={**architecture, name: value})
    with pytest.raises(WeightsError, match=f"asks for a {name} of {value}.*holds"):
        skyweave.load(saved)
