"""The items of a scene on one grid: the least clouded first, clouds masked, what it lacks filled by the next."""

import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import skyweave
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.stac.assets import BandSource, CloudMask, find_cloud_mask, match_assets
from skyweave.data.stac.declarations import NegativeReflectances, check_item, note_other_satellites
from skyweave.data.stac.grid import SceneGrid
from skyweave.data.stac.groups import SceneGroup
from skyweave.data.stac.search import NUM_RETRIES, RETRY_FACTOR_S

CLOUDED_KINDS = {"optical", "thermal"}
"""Kinds of bands that see clouds instead of the ground."""
BLOCK = 1024
"""Side of what is loaded at a time, in pixels."""
FILE_BLOCK = 256
GDAL_OPTIONS = {
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_USERAGENT": f"skyweave/{skyweave.__version__}",
}
NOT_CACHED = {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/"}
"""Lets GDAL ask again for what it could not find: it remembers that a file is not there."""

ReportProgress = Callable[[int, int], None]


def compose_scene(
    group: SceneGroup,
    sensor: Sensor,
    grid: SceneGrid,
    path: Path,
    *,
    unit: str | None = None,
    ignore_scale_tags: bool = False,
    mask_clouds: bool = True,
    progress: ReportProgress | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Write the scene of a group as a GeoTIFF of float32 whose bands have the sensor's names; NaN: no clear pixel.

    Args:
        group: items, in the order in which they count.
        sensor: whose bands are wanted.
        grid: of the scene.
        path: of the file; it appears when it is whole.
        unit: in which values are, as they are stored; None: apply the scale and offset that the catalogue declares.
        ignore_scale_tags: take the unit although the catalogue's scale and offset contradict it.
        mask_clouds: leave out what an item's mask says is no clear ground.
        progress: called with blocks done and in all.
        wait: called with seconds before something is tried again.

    Returns:
        What a user should know.

    Raises:
        DataError: a band is missing, its scale is not declared or contradicts the unit, the sensor is of another level,
            or a file cannot be read after several tries.
    """
    import rasterio
    from rasterio.windows import Window

    scaled, remarks = unit is None, Remarks(NegativeReflectances(sensor))
    sources = [(item, match_assets(item, sensor)) for item in group.items]
    mask_clouds = mask_clouds and any(band.kind in CLOUDED_KINDS for band in sensor.bands)
    masks = {item.id: find_cloud_mask(item) for item in group.items} if mask_clouds else {}
    if scaled:
        _check_scales(sources)
    for item, bands in sources:
        check_item(item, bands, sensor, None if ignore_scale_tags else unit)
    blocks = list(_blocks(grid))
    checksums: list[int] = []
    with write_aside(path) as aside, rasterio.Env(**GDAL_OPTIONS):
        with rasterio.open(aside, "w", **_profile(sensor, grid)) as target:
            target.descriptions = tuple(band.name for band in sensor.bands)
            target.update_tags(datetime=group.interval[0].isoformat(), ITEMS=",".join(item.id for item in group.items))
            for number, (row, column, rows, columns) in enumerate(blocks, start=1):
                values = _compose_block(sources, masks, grid, (row, column, rows, columns), scaled, wait, remarks)
                target.write(values, window=Window(column, row, columns, rows))
                checksums.append(zlib.crc32(values.tobytes()))
                if progress is not None:
                    progress(number, len(blocks))
            if scaled:
                remarks.negative.check(sources)
        with rasterio.open(aside) as written:  # GDAL writes late, and reports a full disk in its log alone
            for (row, column, rows, columns), checksum in zip(blocks, checksums, strict=True):
                if zlib.crc32(written.read(window=Window(column, row, columns, rows)).tobytes()) != checksum:
                    raise OSError(
                        f"{path} cannot be read back as it was written; the disk may be full: free some space"
                    )
    return (*_note_unmasked(masks), *note_other_satellites(group.items, sensor), *_note_zeros(remarks.zeros))


@dataclass
class Remarks:
    """What is noticed on the way.

    Attributes:
        negative: counts of reflectances that are none.
        zeros: pixels by item that hold 0 in every band, where nobody declares what means no data.
    """

    negative: NegativeReflectances
    zeros: Counter[str] = field(default_factory=Counter)


def _note_zeros(zeros: Mapping[str, int]) -> tuple[str, ...]:
    if not zeros:
        return ()
    count = sum(zeros.values())
    return (
        f"{', '.join(zeros)}: neither the catalogue nor the files declare what means no data; 0 counts as that, which "
        f"{count} pixels hold in every band",
    )


def _note_unmasked(masks: Mapping[str, CloudMask | None]) -> tuple[str, ...]:
    """Return what to know of items whose clouds nobody marked."""
    without = [name for name, mask in masks.items() if mask is None]
    return (f"no cloud mask among the assets of {', '.join(without)}; clouds stay",) if without else ()


def _check_scales(sources: list[tuple[Any, dict[str, BandSource]]]) -> None:
    for item, bands in sources:
        unsaid = [name for name, source in bands.items() if source.scale is None]
        if unsaid:
            raise DataError(
                f"the catalogue does not say the scale of {', '.join(unsaid)} of {item.id}; declare how values are "
                "stored with --unit (see `skyweave sensors show`)"
            )


def _compose_block(
    sources: list[tuple[Any, dict[str, BandSource]]],
    masks: Mapping[str, CloudMask | None],
    grid: SceneGrid,
    window: tuple[int, int, int, int],
    scaled: bool,
    wait: Callable[[float], None],
    remarks: Remarks,
) -> np.ndarray:
    """Return (bands, rows, columns) float32: the first item that has a clear pixel counts, in all bands alike."""
    composed = np.full((len(sources[0][1]), *window[2:]), np.nan, np.float32)
    for item, bands in sources:
        is_open = np.isnan(composed[0])
        if not is_open.any():
            break
        values, clear = _load(item, bands, masks.get(item.id), grid, window, scaled, wait, remarks)
        fill = is_open & clear
        remarks.negative.add(item, values, fill)
        composed[:, fill] = values[:, fill]
    return composed


def _load(
    item: Any,
    bands: dict[str, BandSource],
    mask: CloudMask | None,
    grid: SceneGrid,
    window: tuple[int, int, int, int],
    scaled: bool,
    wait: Callable[[float], None],
    remarks: Remarks,
) -> tuple[np.ndarray, np.ndarray]:
    """Return an item's values on a window, and where all bands have one and the ground is clear."""
    names = [*(source.name for source in bands.values()), *([mask.asset] if mask else [])]
    loaded = _load_patiently(item, names, mask, grid, window, wait)
    empty = _undeclared_zeros(loaded, bands)
    if empty.any():  # beyond an item's file, too: there is nothing else to fill it with
        remarks.zeros[item.id] += int(empty.sum())
        loaded = _load_patiently(item, names, mask, grid, window, wait, nodata=0)  # or zeros mix with their neighbours
    clear = np.ones(window[2:], bool)
    values = []
    for source in bands.values():
        stored = loaded[source.name].values[0]
        nodata = source.nodata if source.nodata is not None else loaded[source.name].attrs.get("nodata")
        value = stored.astype(np.float32)
        clear &= np.isfinite(value) if nodata is None else np.isfinite(value) & (stored != nodata)
        values.append(value * np.float32(source.scale or 1) + np.float32(source.offset) if scaled else value)
    if mask is not None:
        clear &= ~_is_unclear(loaded[mask.asset].values[0], mask)
    return np.stack(values), clear


def _undeclared_zeros(loaded: Any, bands: Mapping[str, BandSource]) -> np.ndarray:
    """Return which pixels hold 0 in every band, where neither the catalogue nor the files say what means no data."""
    planes = [(source, loaded[source.name]) for source in bands.values()]
    if any(source.nodata is not None or plane.attrs.get("nodata") is not None for source, plane in planes):
        return np.zeros(planes[0][1].shape[1:], bool)
    whole = [np.issubdtype(plane.dtype, np.integer) and plane.values[0] == 0 for _, plane in planes]
    return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*whole, np.ones(planes[0][1].shape[1:], bool))))


def _is_unclear(classes: np.ndarray, mask: CloudMask) -> np.ndarray:
    unclear: np.ndarray = np.isin(classes, mask.values)
    if mask.bits:
        unclear |= (classes.astype(np.int64) & sum(1 << bit for bit in mask.bits)) != 0
    return unclear


def _load_patiently(
    item: Any,
    names: list[str],
    mask: CloudMask | None,
    grid: SceneGrid,
    window: tuple[int, int, int, int],
    wait: Callable[[float], None],
    nodata: float | None = None,
) -> Any:
    """Load assets on a window, several times if need be; ``nodata`` is for assets that do not declare it.

    Raises:
        DataError: it failed every time.
    """
    import odc.stac
    import rasterio
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from rasterio.errors import RasterioError

    logging.getLogger("odc.loader").setLevel(logging.CRITICAL)  # it prints each failure, also of the first tries
    row, column, rows, columns = window
    geobox = GeoBox((rows, columns), Affine(*grid.transform) @ Affine.translation(column, row), grid.crs)
    config = None if nodata is None else {"*": {"assets": {"*": {"nodata": nodata}}}}
    resampling = {"*": "bilinear"} | ({mask.asset: "nearest"} if mask else {})
    for attempt in range(NUM_RETRIES):
        try:
            with rasterio.Env(**(NOT_CACHED if attempt else {})):
                return odc.stac.load(
                    [item], bands=names, geobox=geobox, groupby="id", resampling=resampling, stac_cfg=config
                )
        except (RasterioError, OSError) as error:
            if attempt == NUM_RETRIES - 1:
                raise DataError(f"the item {item.id} cannot be read after {NUM_RETRIES} tries: {error}") from error
            wait(RETRY_FACTOR_S * 2**attempt)
    raise AssertionError("unreachable")


def _blocks(grid: SceneGrid) -> Iterator[tuple[int, int, int, int]]:
    for row in range(0, grid.rows, BLOCK):
        for column in range(0, grid.columns, BLOCK):
            yield row, column, min(BLOCK, grid.rows - row), min(BLOCK, grid.columns - column)


def _profile(sensor: Sensor, grid: SceneGrid) -> dict[str, Any]:
    from affine import Affine

    return {
        "driver": "GTiff",
        "height": grid.rows,
        "width": grid.columns,
        "count": len(sensor),
        "dtype": "float32",
        "nodata": np.nan,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "tiled": True,
        "blockxsize": FILE_BLOCK,
        "blockysize": FILE_BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3,
        "bigtiff": "if_safer",
    }
