"""Rasters of every kind that GDAL writes, drawn at random, and what they hold by a few lines of rasterio."""

import warnings

import numpy as np
import rasterio
from affine import Affine
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning

from skyweave.core.sensors import Band, Encoding, Sensor

NAMES = ("a", "b", "c", "d")
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'
PLACES = {
    "metres": ("EPSG:32633", 10.0, (4e5, 5e6), 10.0),
    "feet": ("EPSG:2263", 3.0, (980_000.0, 200_000.0), 3 * 1200 / 3937),
    "degrees": ("EPSG:4326", 1e-4, (10.0, 0.0), np.sqrt(11.1319 * 11.0574)),
    "local": (LOCAL, 0.5, (100.0, 200.0), 0.5),
    "none": (None, 1.0, (0.0, 0.0), 7.0),
}
TURNS = {
    "north up": (1, 0, 0, -1),
    "south up": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, -1),
    "turned": (0.8, 0.6, 0.6, -0.8),
    "quarter turn": (0, 1, 1, 0),
}


@st.composite
def rasters(draw):
    """Draw how a raster is written."""
    dtype = draw(st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"]))
    bands = draw(st.integers(1, 4))
    mask = draw(st.sampled_from(["none", "nodata", "nan nodata", "mask band", "alpha", "nodata and mask"]))
    return {
        "seed": draw(st.integers(0, 2**31)),
        "shape": (bands, draw(st.integers(1, 40)), draw(st.integers(1, 40))),
        "dtype": dtype,
        "mask": "nodata" if mask == "nan nodata" and not dtype.startswith("float") else mask,
        "place": draw(st.sampled_from(sorted(PLACES))),
        "turn": draw(st.sampled_from(sorted(TURNS))),
        "named": draw(st.booleans()),
        "profile": draw(
            st.sampled_from([
                {},
                {"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": "pixel"},
                {"compress": "deflate", "predictor": 2, "interleave": "band"},
                {"blockysize": 3, "compress": "lzw"},
            ])
        ),
        "order": draw(st.permutations(range(bands))),
        "scale": draw(st.sampled_from([(1.0, 0.0), (0.0001, 0.0), (0.01, -0.1), (2.0, 5.0)])),
        "tags": draw(st.booleans()),
    }  # fmt: skip


def write_raster(path, how):
    """Write a raster as drawn; return its sensor and the declared names."""
    random = np.random.default_rng(how["seed"])
    bands, rows, columns = how["shape"]
    low, high = (-100, 101) if how["dtype"] in ("int8", "int16", "float32") else (1, 251)
    stored = random.integers(low, high, how["shape"]).astype(how["dtype"])
    if how["dtype"].startswith("float"):
        stored += random.random(how["shape"]).astype(how["dtype"])
        stored[random.random(how["shape"]) < 0.1] = np.nan
    crs, side, origin, _ = PLACES[how["place"]]
    a, b, d, e = (side * value for value in TURNS[how["turn"]])
    place = (
        {} if crs is None else {"crs": CRS.from_user_input(crs), "transform": Affine(a, b, origin[0], d, e, origin[1])}
    )
    profile = dict(how["profile"])
    if how["dtype"].startswith("float") and "predictor" in profile:
        profile["predictor"] = 3
    nodata = {"nodata": 42, "nan nodata": np.nan, "nodata and mask": 42}.get(how["mask"])
    count = bands + (how["mask"] == "alpha")
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=rows, width=columns, dtype=how["dtype"], nodata=nodata,
        photometric="MINISBLACK", **place, **profile,
    ) as dataset:  # fmt: skip
        if how["mask"] == "alpha":  # before anything is written: GDAL cannot change it later
            dataset.colorinterp = [ColorInterp.gray] + [ColorInterp.undefined] * (bands - 1) + [ColorInterp.alpha]
        dataset.write(stored, list(range(1, bands + 1)))
        see_through = random.random((rows, columns)) < 0.3
        if how["mask"] == "alpha":
            dataset.write(np.where(see_through, 0, 127 if how["dtype"] == "int8" else 255).astype(how["dtype"]), count)
        if "mask" in how["mask"]:
            dataset.write_mask(~see_through)
        if how["named"]:
            dataset.descriptions = tuple(NAMES[index] for index in how["order"]) + (None,) * (count - bands)
        if how["tags"]:
            dataset.scales, dataset.offsets = (how["scale"][0],) * count, (how["scale"][1],) * count
    sensor = Sensor(
        "drawn", "", tuple(Band(NAMES[i], wavelength=400 + 100 * i, unit="dn", std=1e9) for i in range(bands)), 7.0,
        (Encoding("raw", *how["scale"]),),
    )  # fmt: skip
    return sensor, None if how["named"] else [NAMES[index] for index in how["order"]]


def read_reference(path, how):
    """Return values and mask in the sensor's order, and the transform, by rasterio alone."""
    bands = how["shape"][0]
    with rasterio.open(path) as dataset:
        stored, valid = dataset.read(list(range(1, bands + 1))), np.isfinite(dataset.read(list(range(1, bands + 1))))
        valid &= dataset.read_masks(list(range(1, bands + 1))) > 0
        if dataset.nodata is not None and np.isfinite(dataset.nodata):
            valid &= stored != dataset.nodata
        if how["mask"] == "alpha":
            valid &= dataset.read(bands + 1) > 0
        transform = dataset.transform
    channels = np.argsort(how["order"])
    return stored[channels] * how["scale"][0] + how["scale"][1], valid[channels], stored[channels], transform


def write_and_read(path, how):
    """Write a raster as drawn, in the place of the one before; return sensor, names and what rasterio reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        warnings.simplefilter("ignore", NodataShadowWarning)
        for old in path.parent.glob(f"{path.name}*"):  # with the masks and metadata beside it
            old.unlink()
        return (*write_raster(path, how), *read_reference(path, how))
