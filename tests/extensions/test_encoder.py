"""An encoder from a package of its own: by the name of its family, and by what its files hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import skyweave
from skyweave.backbone import Encoder, fingerprint, load_encoder
from skyweave.core.errors import WeightsError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor

PACKAGE = '''
"""The mean of the bands of a patch and a linear map: the smallest encoder."""

import torch

from skyweave.backbone import Encoder, Features
from skyweave.backbone.patches import pad_to_patches, patchify
from skyweave.backbone.pretrained.family import EncoderFamily


class MeanEncoder(Encoder):
    def __init__(self, width):
        super().__init__()
        self.linear = torch.nn.Linear(1, width)

    width = property(lambda self: self.linear.out_features)
    patch_size = property(lambda self: 4)
    sensors = property(lambda self: {})
    architecture = property(lambda self: {"width": self.width})

    def forward(self, batch, patch_size=None):
        size = patch_size or self.patch_size
        pixels, valid, grid = pad_to_patches(batch, size)
        usable = patchify(valid, size).flatten(2).any(-1)
        tokens = self.linear(patchify(pixels, size).flatten(2).mean(-1, keepdim=True)) * usable.unsqueeze(-1)
        return Features(tokens, usable, grid, (tokens,) * 4, tokens, size)


class MeanFamily(EncoderFamily):
    title = "Mean"

    def matches(self, state):
        return set(state) == {"mean_of_bands.weight", "mean_of_bands.bias"}

    def build(self, state, options, source):
        encoder = MeanEncoder(len(state["mean_of_bands.weight"]))
        encoder.linear.load_state_dict({key.split(".")[1]: value for key, value in state.items()})
        return encoder.eval()

    def build_default(self, options):
        return MeanEncoder(8).eval()
'''


@pytest.fixture
def scene(install_package: Callable[[str, str, str], None]) -> Observation:
    install_package("mean_encoder", PACKAGE, "[skyweave.encoders]\nmean = mean_encoder:MeanFamily\n")
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
