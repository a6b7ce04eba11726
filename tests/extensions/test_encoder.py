"""An encoder from a package of its own: by the name of its family, and by what its files hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import skyweave
from recipes import entry_points, recipe
from skyweave.backbone import Encoder, fingerprint, load_encoder
from skyweave.core.errors import WeightsError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor

PACKAGE = recipe("mean_encoder.py")


@pytest.fixture
def scene(install_package: Callable[[str, str, str], None]) -> Observation:
    install_package("mean_encoder", PACKAGE, entry_points("mean_encoder"))
    noise = np.random.default_rng(0).random((4, 12, 8)).astype(np.float32)
    return Observation.from_pixels(noise * 255, get_sensor("naip"))


def test_by_the_name_of_its_family(scene: Observation) -> None:
    encoder = load_encoder("mean")
    assert isinstance(encoder, Encoder) and isinstance(skyweave.load("mean"), Encoder)
    assert encoder.embed(scene).dense().shape == (1, 8, 3, 2)
    assert len(encoder.encode([])) == 0 and len(fingerprint(encoder)) == 16


def test_by_what_a_file_holds(scene: Observation, tmp_path: Path) -> None:
    torch.save({"mean_of_bands.weight": torch.ones(5, 1), "mean_of_bands.bias": torch.zeros(5)}, tmp_path / "mean.pth")
    tokens = load_encoder(tmp_path / "mean.pth").embed(scene).tokens
    np.testing.assert_allclose(tokens[0, 0].numpy(), [scene.pixels[:, :4, :4].mean()] * 5, rtol=1e-5)


def test_a_family_that_needs_a_file_says_so(scene: Observation) -> None:
    with pytest.raises(WeightsError, match=r"Clay needs weights: give a file, .* or one of: clay-v1, clay-v1\.5"):
        load_encoder("clay")
