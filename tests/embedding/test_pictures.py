"""Principal components window by window equal those of everything at once; the PNG is a PNG."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from skyweave.core.images.png import encode_png
from skyweave.core.images.principal_components import RunningCovariance


def test_moments_in_parts_equal_moments_at_once() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(500, 6)) @ random.normal(size=(6, 6)) + 1000
    parts = RunningCovariance(6)
    for part in np.array_split(features, 7):
        parts.add(part)
    parts.add(np.zeros((0, 6)))
    colours = parts.principal_components()
    _, singular, axes = np.linalg.svd(features - features.mean(0), full_matrices=False)
    np.testing.assert_allclose(colours.deviations, singular[:3] / np.sqrt(500), rtol=1e-6)
    np.testing.assert_allclose(np.abs((axes[:3] @ colours.axes).diagonal()), 1, atol=1e-6)
    assert (colours.axes[np.abs(colours.axes).argmax(0), range(3)] > 0).all()
    assert np.abs(colours.colours(features).mean(0) - 127.5).max() < 3


@pytest.mark.parametrize("samples", [0, 1])
def test_few_samples_give_grey(samples: int) -> None:
    moments = RunningCovariance(4)
    moments.add(np.ones((samples, 4)))
    picture = moments.principal_components().colours(np.ones((2, 4)))
    assert (picture == 128).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_png_is_read_back(tmp_path: Path, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    path = tmp_path / "image.png"
    path.write_bytes(encode_png(image))
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read().transpose(1, 2, 0), image)


def test_png_refuses_floats() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_png(np.zeros((4, 4, 3)))
