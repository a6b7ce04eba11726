"""One scene of any size to a georeferenced map of features: plan, embed, blend, write, verify."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.backbone import Encoder, fingerprint
from skyweave.core.images.principal_components import RunningCovariance
from skyweave.core.observation import Observation
from skyweave.core.outputs import check_outputs
from skyweave.core.sensors.sensor import Sensor
from skyweave.embedding.blending import embed_rows, regroup_rows
from skyweave.embedding.config import EmbeddedScene, EmbeddingConfig
from skyweave.embedding.plan import ScenePlan, plan_scene
from skyweave.embedding.tiles import Tile
from skyweave.inference import FinishedRaster, Provenance, RasterDescription, get_writer, write_raster
from skyweave.inference.preview import write_preview
from skyweave.inference.spool import RasterSpool

BLOCK_ROWS = 64


def embed_scene(
    scene: str | Path,
    output: str | Path,
    encoder: Encoder,
    sensor: Sensor,
    *,
    unit: str,
    config: EmbeddingConfig | None = None,
    preview: str | Path | None = None,
    model_name: str = "unnamed",
    progress: Callable[[int, int], None] | None = None,
    **reading: Any,
) -> EmbeddedScene:
    """Embed a raster; every pixel of the output holds the features of one patch, where that patch lies.

    Tiles overlap and are blended linearly. At no time more than one tile of pixels and one row of tiles of features
    is in memory. Patches without a valid pixel are nodata. The result does not depend on chance.

    Args:
        scene: any raster that GDAL reads, or a path with ``{band}`` where bands are separate files.
        output: file to write, in the format of its suffix or of ``config``; it appears when it is whole.
        encoder: in evaluation mode, on the device that shall do the work.
        sensor: what took the scene.
        unit: how the file stores values, a word of ``sensor.encodings``.
        config: patch size, tiles, storage and format.
        preview: PNG to write, first three principal components as red, green and blue; nodata is transparent.
        model_name: recorded in the file.
        progress: called with (tiles done, tiles in all).
        reading: ``bands``, ``offset``, ``nodata`` and other arguments of `read_observation`.

    Raises:
        DataError: the scene or its declaration.
        ConfigError: a tile, overlap, format or storage that is not possible; an output that is the scene, or a file
            that it is made of.
        OSError: GDAL cannot read the scene, or the disk is full; nothing is left half-written.
    """
    config = config or EmbeddingConfig()
    output = Path(output)
    writer = get_writer(output, config.format, config.storage)
    plan = plan_scene(scene, sensor, unit, config, config.patch_size or encoder.patch_size, reading)
    check_outputs({"the output": output, "the preview": preview}, plan.files)
    doubts = plan.image.check_sample()
    first = plan.read(Tile(0, 0, 1, 1))
    description = _describe(plan, first, encoder, model_name)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{output.stem[:64]}.", dir=output.parent) as folder,
        RasterSpool(Path(folder) / "values", description.shape, description.dtype) as spool,
    ):
        covariance = _write_rows(spool, plan, encoder, progress)
        raster = FinishedRaster(description, spool.read)
        write_raster(raster, output, writer, config.storage)
        if preview is not None:
            shape = (description.rows, description.columns)
            write_preview(preview, raster.blocks(BLOCK_ROWS, BLOCK_ROWS), shape, covariance.principal_components())
    valid_fraction = covariance.count / (description.rows * description.columns)
    notes = (*first.notes, *doubts, *plan.notes(valid_fraction))
    return EmbeddedScene(
        output,
        description.rows,
        description.columns,
        encoder.width,
        description.ground_sample_distance,
        valid_fraction,
        notes,
    )


def _describe(plan: ScenePlan, first: Observation, encoder: Encoder, model_name: str) -> RasterDescription:
    tiles, size = plan.tiles, plan.patch_size
    provenance = Provenance(
        model=model_name,
        fingerprint=fingerprint(encoder),
        readout="dense, last block, normalised",
        sensor=first.sensor.name,
        sensor_bands=tuple(band.name for band in first.sensor.bands),
        unit=plan.unit,
        ground_sample_distance=first.ground_sample_distance,
        patch_size=size,
        tile=tiles.size * size,
        overlap=tiles.overlap * size,
        sources=(str(plan.scene),),
        time=first.time,
    )
    return RasterDescription(
        rows=tiles.rows,
        columns=tiles.columns,
        bands=tuple(f"feature {channel:03d}" for channel in range(encoder.width)),
        dtype="float32",
        nodata=math.nan,
        crs=plan.crs,
        transform=plan.transform,
        ground_sample_distance=first.ground_sample_distance * size,
        kind="features",
        provenance=provenance,
    )


def _write_rows(
    spool: RasterSpool, plan: ScenePlan, encoder: Encoder, progress: Callable[[int, int], None] | None
) -> RunningCovariance:
    """Write the whole map and return the statistics of its valid patches."""
    covariance = RunningCovariance(encoder.width)
    rows = embed_rows(plan, encoder, progress)
    for row, features, valid in regroup_rows(rows, plan.tiles.rows, BLOCK_ROWS):
        covariance.add(features[:, valid].T)
        features[:, ~valid] = np.nan
        spool.write(row, 0, features)
    return covariance
