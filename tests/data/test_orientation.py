"""The turn that EXIF asks viewers to make is said: labels are drawn on the turned image."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from skyweave.core.sensors import get_sensor
from skyweave.data.hints import find_hints
from skyweave.data.inspection import inspect_raster
from skyweave.data.raster import read_observation


@pytest.mark.parametrize(("orientation", "said"), [(1, False), (0, False), (6, True)])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "big.tif"])
def test_a_turn_is_a_note_and_a_hint(tmp_path, orientation, said, suffix):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{suffix}"
    turned = {"tiffinfo": {274: orientation}, "big_tiff": suffix == "big.tif"} if "tif" in suffix else {"exif": exif}
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(path, **turned)
    notes = read_observation(path, get_sensor("rgb"), unit="uint8", ground_sample_distance=0.1).notes
    hints = find_hints(inspect_raster(path), [])
    for texts in (notes, hints):
        assert any("ImageOps.exif_transpose(image).save(path)" in text for text in texts) == said
    with Image.open(path) as image:
        ImageOps.exif_transpose(image).save(path)  # the remedy
    assert not any("EXIF" in hint for hint in find_hints(inspect_raster(path), []))
