"""A band of a rig has the values that a few lines of rasterio read, or is refused."""

import warnings

import numpy as np
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from skyweave.core.errors import DataError
from skyweave.rigs.band_file import read_band_file

LAYOUTS = (
    {},
    {"compress": "lzw"},
    {"compress": "deflate", "predictor": 2},
    {"tiled": True, "blockxsize": 16, "blockysize": 16},
    {"blockysize": 3},
    {"BIGTIFF": "YES"},
    {"ENDIANNESS": "BIG"},
)


@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32", "float32"]),
    low=st.sampled_from([-5, 0, 60_000]),
    bands=st.sampled_from([1, 1, 1, 2, 3]),
    layout=st.sampled_from(LAYOUTS),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_band_is_what_rasterio_reads(tmp_path, seed, shape, dtype, low, bands, layout):
    path = tmp_path / "IMG_0001_1.tif"
    limits = np.iinfo(dtype) if dtype != "float32" else None
    values = np.random.default_rng(seed).integers(low, low + 9000, (bands, *shape))
    values = np.clip(values, limits.min, limits.max) if limits else values / 2
    profile = {"driver": "GTiff", "count": bands, "height": shape[0], "width": shape[1], "dtype": dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        layout = layout if dtype != "float32" or "predictor" not in layout else {}
        with rasterio.open(path, "w", **profile, **layout) as dataset:
            dataset.write(values.astype(dtype))
        with rasterio.open(path) as dataset:
            expected = dataset.read()
    try:
        stored = read_band_file(path).stored
    except DataError as error:
        assert dtype != "uint16" or bands > 1, error
        assert "copy it" in str(error) or "one of 16 bits" in str(error)
        return
    assert np.array_equal(stored, expected[0])
