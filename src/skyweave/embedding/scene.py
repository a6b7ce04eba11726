"""One scene of any size to a georeferenced map of features: plan, embed, blend, write, verify."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import skyweave
from skyweave.backbone import Encoder, fingerprint
from skyweave.core.atomic_write import write_files_aside
from skyweave.core.images.principal_components import RunningCovariance
from skyweave.core.observation import Observation
from skyweave.core.outputs import check_outputs
from skyweave.core.sensors.sensor import Sensor
from skyweave.embedding.blending import embed_rows, regroup_rows
from skyweave.embedding.config import EmbeddedScene, EmbeddingConfig
from skyweave.embedding.plan import ScenePlan, plan_scene
from skyweave.embedding.preview import write_preview
from skyweave.embedding.tiles import Tile
from skyweave.embedding.writer import ChannelRanges, FeatureMap, FeatureWriter
from skyweave.embedding.writers import get_writer


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
    writer_class = get_writer(output, config.format, config.storage)
    plan = plan_scene(scene, sensor, unit, config, config.patch_size or encoder.patch_size, reading)
    check_outputs({"the output": output, "the preview": preview}, plan.files)
    doubts = plan.image.check_sample()
    first = plan.read(Tile(0, 0, 1, 1))
    feature_map = _feature_map(plan, first, encoder, model_name)
    with (
        write_files_aside(output) as aside,
        writer_class(aside, feature_map, config.storage) as writer,
    ):
        covariance = _write_rows(writer, plan, encoder, progress)
        writer.finish(_channel_ranges(covariance))
        writer.verify()
        if preview is not None:
            shape = (feature_map.rows, feature_map.columns)
            write_preview(preview, writer.read_blocks(), shape, covariance.principal_components())
    metres = first.ground_sample_distance * plan.patch_size
    valid_fraction = covariance.count / (feature_map.rows * feature_map.columns)
    notes = (*first.notes, *doubts, *plan.notes(valid_fraction))
    return EmbeddedScene(output, feature_map.rows, feature_map.columns, encoder.width, metres, valid_fraction, notes)


def _feature_map(plan: ScenePlan, first: Observation, encoder: Encoder, model_name: str) -> FeatureMap:
    tiles, size = plan.tiles, plan.patch_size
    tags = {
        "SOFTWARE": f"skyweave {skyweave.__version__}",
        "MODEL": model_name,
        "FINGERPRINT": fingerprint(encoder),
        "READOUT": "dense, last block, normalised",
        "SENSOR": first.sensor.name,
        "BANDS": ",".join(band.name for band in first.sensor.bands),
        "UNIT": plan.unit,
        "GSD": f"{first.ground_sample_distance:g}",
        "PATCH_SIZE": str(size),
        "TILE": str(tiles.size * size),
        "OVERLAP": str(tiles.overlap * size),
        "SOURCE": Path(plan.scene).name,
    }
    return FeatureMap(tiles.rows, tiles.columns, encoder.width, plan.crs, plan.transform, tags)


def _write_rows(
    writer: FeatureWriter, plan: ScenePlan, encoder: Encoder, progress: Callable[[int, int], None] | None
) -> RunningCovariance:
    """Write the whole map and return the statistics of its valid patches."""
    covariance = RunningCovariance(encoder.width)
    rows = embed_rows(plan, encoder, progress)
    for row, features, valid in regroup_rows(rows, plan.tiles.rows, writer.block_rows):
        covariance.add(features[:, valid].T)
        features[:, ~valid] = np.nan
        writer.write(row, features)
    return covariance


def _channel_ranges(covariance: RunningCovariance) -> ChannelRanges:
    if covariance.count == 0:
        zeros = np.zeros_like(covariance.smallest)
        return ChannelRanges(zeros, zeros)
    return ChannelRanges(covariance.smallest, covariance.largest)
