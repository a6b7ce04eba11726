"""The datasets of the published files: names, order, how numbers are stored, dates in names."""

_RED_EDGES = [f"{number:02d} - Vegetation Red Edge" for number in (5, 6, 7)]
SENTINEL2 = ["01 - Coastal aerosol", "02 - Blue", "03 - Green", "04 - Red", *_RED_EDGES, "08 - NIR"]
SENTINEL2 += ["08A - Vegetation Red Edge", "09 - Water vapour", "10 - SWIR - Cirrus", "11 - SWIR", "12 - SWIR"]
SENTINEL1 = ["01 - VH.Real", "02 - VH.Imaginary", "03 - VV.Real", "04 - VV.Imaginary", "05 - VH.LEE Filtered"]
SENTINEL1 += ["06 - VV.LEE Filtered", "07 - VH.LEE Filtered.Real", "08 - VV.LEE Filtered.Imaginary"]
LANDSAT8 = ["04 - Red", "03 - Green", "02 - Blue", "05 - NIR", "06 - SWIR1", "07 - SWIR2"]
RGB = ["Red", "Green", "Blue"]
CLOUDS = "Cloud Probability"
# Of each task: the datasets of its files in their order, and how numbers are stored.
LAYOUTS: dict[str, tuple[list[str], str]] = {
    "m-bigearthnet": (SENTINEL2[:10] + SENTINEL2[11:], "f4"),
    "m-forestnet": (LANDSAT8, "u1"),
    "m-brick-kiln": (SENTINEL2, "f8"),
    "m-pv4ger": (RGB, "u1"),
    "m-so2sat": (SENTINEL1 + SENTINEL2[1:9] + SENTINEL2[11:], "f4"),
    "m-eurosat": (SENTINEL2, "i2"),
    "m-pv4ger-seg": (RGB, "u1"),
    "m-nz-cattle": (RGB, "u1"),
    "m-NeonTree": ([*RGB, "Canopy Height Model", "Neon"], "u1"),
    "m-cashew-plant": (SENTINEL2[:10] + SENTINEL2[11:] + [CLOUDS], "f4"),
    "m-SA-crop-type": (SENTINEL2[:10] + SENTINEL2[11:] + [CLOUDS], "i2"),
    "m-chesapeake": ([*RGB, "NearInfrared"], "f4"),
}
# Samples of one date carry it in their datasets' names, ``04 - Red_2016-01-01``.
DATED = {"m-forestnet": "2016-01-01", "m-cashew-plant": "2019-11-15", "m-nz-cattle": "2017-01-01"}
NEON_CHANNELS = 369  # in the third axis of the dataset ``Neon``
