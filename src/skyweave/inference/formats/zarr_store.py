"""A raster as a Zarr version 3 store: sharded, with the conventions ``geoemb``, ``proj`` and ``spatial``.

Dimensions are time, embedding (or band), y and x. xarray opens it with coordinates, and rioxarray finds the reference
system, since its WKT is in ``spatial_ref`` as the climate and forecast conventions have it.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import skyweave
from skyweave.inference.quantisation_record import (
    PIXEL_METHODS,
    Quantisation,
    QuantisationError,
    quantise_pixels,
    round_to_half,
)
from skyweave.inference.raster import FinishedRaster, RasterDescription
from skyweave.inference.stac.item import describe_reference_system
from skyweave.inference.stac.source import to_uri
from skyweave.inference.stac.standard import (
    GEOEMB_CONVENTION,
    PROJ_CONVENTION,
    SPATIAL_CONVENTION,
    ZARR_MEDIA_TYPE,
    describe_chip_layout,
    embedding_type,
    model_urn,
)
from skyweave.inference.writer import RasterWriter

CHUNK_VALUES = 1 << 20
"""Values of a chunk, or somewhat fewer: some megabytes, which a reader of one place has to fetch."""
MIN_CHUNK, MAX_CHUNK = 16, 512
"""Sides of a chunk, in pixels."""
CHUNKS_A_SHARD_SIDE = 4
FEATURES_ARRAY, SCALES_ARRAY = "embeddings", "scales"
NANOSECONDS = 1_000_000_000


class ZarrWriter(RasterWriter):
    """Write a store of chunks that are a few megabytes each, some dozen of them in a file.

    ``int8`` features have a scale for each pixel in an array of their own, as the convention has it: NaN there means
    no data.
    """

    suffixes = (".zarr",)
    storages = ("float16", "float32", "int8", "uint8", "uint16")
    is_folder = True
    media_type = ZARR_MEDIA_TYPE

    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write whole shards, so that each is compressed once.

        Args:
            raster: that is finished.
            path: an empty folder.
            storage: one of ``storages``.

        Raises:
            ConfigError: features that float16 cannot hold.
        """
        import zarr

        description = raster.description
        error = QuantisationError()
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        values, scales = _create_arrays(group, description, storage)
        side = _shard_side(description)
        for row, column, block in raster.blocks(side, side):
            place = (0, slice(None), slice(row, row + block.shape[1]), slice(column, column + block.shape[2]))
            stored, restored = block, block
            if scales is not None:
                stored, pixel_scales = quantise_pixels(block)
                scales[0, place[2], place[3]] = pixel_scales
                restored = stored * pixel_scales
            elif storage == "float16":
                stored = restored = round_to_half(block)
            values[place] = stored
            if description.kind == "features":
                error.add(block, restored)
        self.quantisation = Quantisation(PIXEL_METHODS.get(storage, "none"), storage, error=error)
        group.attrs.update(_attributes(description, self.quantisation))
        _consolidate(path)

    def verify(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Read everything back and count pixels with data.

        Args:
            raster: that was written.
            path: of the store.
            storage: one of ``storages``.

        Raises:
            OSError: pixels are missing.
        """
        import zarr

        description, side = raster.description, _shard_side(raster.description)
        group = zarr.open_group(str(path), mode="r")
        name = SCALES_ARRAY if storage == "int8" and description.kind == "features" else array_name(description)
        array: Any = group[name]
        valid = 0
        for row in range(0, description.rows, side):
            for column in range(0, description.columns, side):
                window = (slice(row, row + side), slice(column, column + side))
                values = array[0, *window] if array.ndim == 3 else array[0, 0, *window]
                is_nan = np.issubdtype(values.dtype, np.floating)
                valid += int((~np.isnan(values) if is_nan else values != description.nodata).sum())
        if valid != raster.statistics.count:
            raise OSError(
                f"{path}: {raster.statistics.count - valid} of {raster.statistics.count} pixels were not written; "
                "the disk may be full: free some space or choose another -o"
            )


def array_name(description: RasterDescription) -> str:
    """Return the name of the array that holds the values.

    Args:
        description: of the raster.
    """
    return FEATURES_ARRAY if description.kind == "features" else description.kind


def _consolidate(path: Path) -> None:
    """Gather all metadata in one file, which is one request for a reader; not in the specification of version 3 yet."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(str(path))


def _create_arrays(group: Any, description: RasterDescription, storage: str) -> tuple[Any, Any]:
    """Create the arrays of a store and fill the small ones; return that of values, and that of scales or None."""
    is_features = description.kind == "features"
    channels, rows, columns = description.shape
    dimensions = ("time", "embedding" if is_features else "band", "y", "x")
    chunk, shard = _chunk_side(description), _shard_side(description)
    has_scales = is_features and storage == "int8"
    fill: Any = math.nan if storage.startswith("float") else (0 if has_scales else description.nodata)
    values = group.create_array(
        array_name(description),
        shape=(1, channels, rows, columns),
        chunks=(1, channels, chunk, chunk),
        shards=(1, channels, shard, shard),
        dtype=storage,
        fill_value=fill,
        compressors=_compressor(),
        dimension_names=dimensions,
        attributes=_array_attributes(description, storage, fill),
    )
    scales = None
    if has_scales:
        scales = group.create_array(
            SCALES_ARRAY,
            shape=(1, rows, columns),
            chunks=(1, chunk, chunk),
            shards=(1, shard, shard),
            dtype="float32",
            fill_value=math.nan,
            compressors=_compressor(),
            dimension_names=("time", "y", "x"),
            attributes={"long_name": "embedding = level * scale"} | _grid_mapping(description),
        )
    _create_coordinates(group, description)
    return values, scales


def _create_coordinates(group: Any, description: RasterDescription) -> None:
    """Create the coordinates of pixel centres, the time, and the reference system."""
    a, b, c, d, e, f = description.transform
    if b == 0 and d == 0:
        x, y = c + a * (np.arange(description.columns) + 0.5), f + e * (np.arange(description.rows) + 0.5)
        _create_axis(group, "x", x, _axis_attributes("x", description.crs))
        _create_axis(group, "y", y, _axis_attributes("y", description.crs))
    if description.provenance.time is not None:
        seconds = np.array([description.provenance.time // NANOSECONDS], np.int64)
        units = {"units": "seconds since 1970-01-01T00:00:00+00:00", "calendar": "proleptic_gregorian"}
        _create_axis(group, "time", seconds, units | {"standard_name": "time"})
    if description.crs is not None:
        reference = group.create_array("spatial_ref", shape=(), dtype="int64", fill_value=0)
        reference[...] = 0
        reference.attrs.update(
            {
                "crs_wkt": description.crs,
                "spatial_ref": description.crs,
                "GeoTransform": " ".join(repr(float(number)) for number in (c, a, b, f, d, e)),
            }
        )


def _create_axis(group: Any, name: str, values: np.ndarray, attributes: dict[str, Any]) -> None:
    axis = group.create_array(
        name, shape=values.shape, dtype=values.dtype, dimension_names=(name,), chunks=values.shape
    )
    axis[...] = values
    axis.attrs.update(attributes)


def _axis_attributes(axis: str, crs: str | None) -> dict[str, str]:
    from pyproj import CRS

    if crs is None:
        return {"long_name": f"{axis} in pixels of the source"}
    if CRS.from_wkt(crs).is_geographic:
        name = {"x": "longitude", "y": "latitude"}[axis]
        return {"standard_name": name, "units": {"x": "degrees_east", "y": "degrees_north"}[axis]}
    return {"standard_name": f"projection_{axis}_coordinate", "units": "m"}


def _array_attributes(description: RasterDescription, storage: str, fill: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": f"{description.kind} by {description.provenance.model}"}
    attributes |= _grid_mapping(description)
    if description.classes:
        attributes["flag_values"] = list(range(len(description.classes)))
        attributes["flag_meanings"] = " ".join(name.replace(" ", "_") for name in description.classes)
    if description.kind != "features":
        attributes["band_names"] = list(description.bands)
    if not storage.startswith("float") and description.kind != "features":
        attributes["nodata"] = fill
    return attributes


def _grid_mapping(description: RasterDescription) -> dict[str, str]:
    """Return how an array names its reference system: as a coordinate, too, so that it stays when arrays are picked."""
    return {} if description.crs is None else {"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"}


def _attributes(description: RasterDescription, quantisation: Quantisation) -> dict[str, Any]:
    """Return the attributes of the group: the conventions that it follows, and what they ask for."""
    a, b, c, d, e, f = description.transform
    x = [c + a * column + b * row for column in (0, description.columns) for row in (0, description.rows)]
    y = [f + d * column + e * row for column in (0, description.columns) for row in (0, description.rows)]
    attributes: dict[str, Any] = {
        "zarr_conventions": [SPATIAL_CONVENTION],
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": [description.rows, description.columns],
        "spatial:transform": [a, b, c, d, e, f],
        "spatial:bbox": [min(x), min(y), max(x), max(y)],
        "spatial:registration": "pixel",
        "skyweave:provenance": description.provenance.tags,
    }
    if description.crs is not None:
        attributes["zarr_conventions"].append(PROJ_CONVENTION)
        attributes |= describe_reference_system(description.crs)
    if description.kind == "features":
        attributes["zarr_conventions"].insert(0, GEOEMB_CONVENTION)
        attributes |= _geoemb_attributes(description, quantisation)
    return attributes


def _geoemb_attributes(description: RasterDescription, quantisation: Quantisation) -> dict[str, Any]:
    made = description.provenance
    attributes: dict[str, Any] = {
        "geoemb:type": embedding_type(made.patch_size),
        "geoemb:dimensions": len(description.bands),
        "geoemb:model": model_urn(made.model, made.fingerprint),
        "geoemb:source_data": [to_uri(source) for source in made.sources],
        "geoemb:data_type": quantisation.data_type,
        "geoemb:gsd": description.ground_sample_distance,
        "geoemb:build_version": f"skyweave {skyweave.__version__}",
    }
    if made.patch_size > 1:
        attributes["geoemb:chip_layout"] = describe_chip_layout(made.patch_size)
    if quantisation.method != "none":
        record: dict[str, Any] = {
            "method": quantisation.method,
            "original_dtype": "float32",
            "quantized_dtype": quantisation.data_type,
        }
        if quantisation.method == "per_pixel_scale":
            record["scale"] = {"type": "array", "array_name": SCALES_ARRAY, "nodata": "NaN"}
        attributes["geoemb:quantization"] = record
        attributes["skyweave:quantization_error"] = quantisation.error.to_dict()
    return attributes


def _compressor() -> Any:
    from zarr.codecs import BloscCodec, BloscShuffle

    return BloscCodec(cname="zstd", clevel=3, shuffle=BloscShuffle.bitshuffle)


def _chunk_side(description: RasterDescription) -> int:
    """Return the side of a chunk: smaller for many channels, and no larger than the raster needs."""
    channels, rows, columns = description.shape
    side = math.isqrt(CHUNK_VALUES // channels) // MIN_CHUNK * MIN_CHUNK
    needed = math.ceil(max(rows, columns) / MIN_CHUNK) * MIN_CHUNK
    return min(max(side, MIN_CHUNK), MAX_CHUNK, needed)


def _shard_side(description: RasterDescription) -> int:
    """Return the side of a shard: whole chunks, no more than cover the raster."""
    chunk = _chunk_side(description)
    return chunk * min(CHUNKS_A_SHARD_SIDE, math.ceil(max(description.rows, description.columns) / chunk))
