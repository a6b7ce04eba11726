"""Weights that were stored under earlier names are read as they are."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from skyweave.collaboration import weights
from skyweave.collaboration.model import CollaborativeModel


@pytest.mark.parametrize(
    ("strategy", "stored", "current"), [("v2vnet", "own", "ego"), ("v2x-vit", "feed", "feed_forward")]
)
def test_parameters_of_earlier_names_are_found(
    make: Callable[[str], CollaborativeModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    strategy: str, stored: str, current: str,
) -> None:  # fmt: skip
    model = make(strategy)
    renamed = {
        key.replace(f"strategy.{current}.", f"strategy.{stored}."): value for key, value in model.state_dict().items()
    }
    monkeypatch.setattr(model, "state_dict", lambda: renamed)
    weights.save_collaboration(tmp_path / "earlier.safetensors", model, "earlier")
    monkeypatch.undo()
    loaded = weights.load_collaboration(tmp_path / "earlier.safetensors").state_dict()
    assert any(f"strategy.{current}." in key for key in loaded)
    for key, value in model.state_dict().items():
        assert torch.equal(loaded[key], value), key
