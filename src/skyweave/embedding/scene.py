"""Scenes of one ground, of any size, to a georeferenced map of features: open, embed window by window, write."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from skyweave.backbone import Encoder, fingerprint
from skyweave.core.errors import ConfigError
from skyweave.core.outputs import check_outputs
from skyweave.core.sensors.sensor import Sensor
from skyweave.embedding.catalog import describe_in_catalog, find_acquisition
from skyweave.embedding.config import PATCHES_PER_TILE, CatalogConfig, EmbeddedScene, EmbeddingConfig
from skyweave.embedding.encoder_model import EncoderModel
from skyweave.inference import (
    InferenceJob,
    Provenance,
    RasterDescription,
    SceneSource,
    compute_raster,
    get_writer,
    open_scene,
    plan_windows,
    write_raster,
)
from skyweave.inference.preview import write_preview
from skyweave.inference.stac.catalog import check_collection
from skyweave.inference.stac.energy import count_energy

T = TypeVar("T")


def embed_scene(
    scene: str | Path | Sequence[str | Path],
    output: str | Path,
    encoder: Encoder,
    sensor: Sensor | Sequence[Sensor],
    *,
    unit: str | Sequence[str],
    config: EmbeddingConfig | None = None,
    preview: str | Path | None = None,
    catalog: CatalogConfig | None = None,
    model_name: str = "unnamed",
    progress: Callable[[int, int], None] | None = None,
    each: Sequence[Mapping[str, Any]] = (),
    **reading: Any,
) -> EmbeddedScene:
    """Embed a raster; every pixel of the output holds the features of one patch, where that patch lies.

    Windows overlap and are blended linearly; reading, computing and writing overlap in threads, in memory that does not
    grow with the scene. Patches without a valid pixel are nodata. The result does not depend on chance, nor on the
    number of threads. Killed, the same call goes on where it stopped, and its result is the same.

    Args:
        scene: any raster that GDAL reads, a product, or a path with ``{band}`` where bands are separate files; several
            of one ground: dates, or what different sensors took. Their features become one map on the first one's grid.
        output: file to write, in the format of its suffix or of ``config``; it appears when it is whole. Until then its
            values lie beside it, in a folder that ends in ``.partial``.
        encoder: in evaluation mode, on the device that shall do the work.
        sensor: what took the scene; one for all, or one each.
        unit: how the file stores values, a word of ``sensor.encodings``, or ``file``: as it says itself; one for all,
            or one each.
        config: patch size, windows, part of the scene, precision, storage, format, and how scenes are combined.
        preview: PNG to write, first three principal components as red, green and blue; nodata is transparent.
        catalog: where the output is described as a STAC item; None: nowhere.
        model_name: recorded in the file.
        progress: called with (windows done, windows in all).
        each: what differs between scenes of ``unit`` and ``reading``, a mapping for each scene; none: nothing does.
        reading: ``bands``, ``offset``, ``nodata`` and other arguments of `read_observation`, for all scenes.

    Returns:
        What was written; its ``failures`` name the parts of the scene that could not be read, and are no data.

    Raises:
        DataError: the scene or its declaration.
        ConfigError: a tile, overlap, format or storage that is not possible; an output that is a scene, or a file
            that it is made of; another number of sensors, units or mappings than of scenes.
        OSError: GDAL cannot read the scene, or the disk is full; nothing is left half-written.
    """
    config, output = config or EmbeddingConfig(), Path(output)
    writer = get_writer(output, config.format, config.storage)
    source = _open_scenes(scene, sensor, unit, each, reading, config.patch_size or encoder.patch_size, config)
    check_outputs({"the output": output, "the preview": preview}, source.files)
    when = None if catalog is None else find_acquisition(catalog, source)
    notes = source.check()
    job = _plan(source, encoder, config, model_name)
    if catalog is not None:
        check_collection(catalog.folder, job.description, config.storage, writer.media_type)
    with count_energy() as energy, compute_raster(job, output, progress) as raster:
        write_raster(raster, output, writer, config.storage)
        if preview is not None:
            write_preview(preview, raster)
    item = None
    if catalog is not None and when is not None:
        item = describe_in_catalog(catalog, when, output, writer, raster, encoder, source.images[0].sensor, energy)
    description, count = raster.description, raster.statistics.count
    return EmbeddedScene(
        output,
        description.rows,
        description.columns,
        len(description.bands),
        description.ground_sample_distance,
        count / (description.rows * description.columns),
        (*notes, *_notes(source, count)),
        description.provenance.failures,
        item,
    )


def _open_scenes(
    scene: str | Path | Sequence[str | Path],
    sensor: Sensor | Sequence[Sensor],
    unit: str | Sequence[str],
    each: Sequence[Mapping[str, Any]],
    reading: Mapping[str, Any],
    patch_size: int,
    config: EmbeddingConfig,
) -> SceneSource:
    """Return the scenes as a source of windows; what is given once is that of all."""
    scenes = [scene] if isinstance(scene, str | Path) else list(scene)
    sensors = _one_each(scenes, [sensor] if isinstance(sensor, Sensor) else sensor, "sensors")
    units = _one_each(scenes, [unit] if isinstance(unit, str) else unit, "units")
    further = _one_each(scenes, each or [{}], "mappings of arguments")
    readings = [{"unit": word, **reading, **particular} for word, particular in zip(units, further, strict=True)]
    return open_scene(scenes, sensors, patch_size, config.inference, readings)


def _one_each(scenes: Sequence[object], given: Sequence[T], what: str) -> list[T]:
    """Return one for each scene: as they are given, or the one for all."""
    if len(given) not in (1, len(scenes)):
        raise ConfigError(f"there are {len(scenes)} scenes and {len(given)} {what}; give one for all, or one for each")
    return list(given) * (len(scenes) if len(given) == 1 else 1)


def _plan(source: SceneSource, encoder: Encoder, config: EmbeddingConfig, model_name: str) -> InferenceJob:
    """Return what is computed: features of every patch of the source."""
    image, size, device = source.images[0], source.cell, next(encoder.parameters()).device.type
    precision = config.inference.resolved_precision(device)
    units = tuple(scene.unit for scene in source.images)
    model = EncoderModel(encoder, size, precision, units, config.combine, config.flips)
    plan = plan_windows(source.shape, size, PATCHES_PER_TILE * size, config.inference, model.channels)
    combined = f", {config.combine} of {len(units)} scenes" if len(units) > 1 else ""
    mirrored = ", mean of four mirror images" if config.flips else ""
    provenance = Provenance(
        model=model_name,
        fingerprint=fingerprint(encoder),
        readout=f"dense, last block, normalised{combined}{mirrored}",
        sensor=",".join(dict.fromkeys(scene.sensor.name for scene in source.images)),
        sensor_bands=tuple(dict.fromkeys(band.name for scene in source.images for band in scene.sensor.bands)),
        unit=",".join(dict.fromkeys(units)),
        ground_sample_distance=image.ground_sample_distance,
        patch_size=size,
        tile=plan.size * size,
        overlap=plan.overlap * size,
        precision=precision,
        sources=source.names,
        time=image.time,
    )
    rows, columns = source.shape
    description = RasterDescription(
        rows=rows,
        columns=columns,
        bands=_name_bands(source, encoder.width, model.channels),
        dtype="float32",
        nodata=math.nan,
        crs=source.crs,
        transform=source.transform,
        ground_sample_distance=image.ground_sample_distance * size,
        kind="features",
        provenance=provenance,
    )
    inputs = {**source.identity, "torch": torch.__version__}
    return InferenceJob(description, plan, source, model, inputs, device, config.inference)


def _name_bands(source: SceneSource, width: int, channels: int) -> tuple[str, ...]:
    """Return names of channels; of scenes one after the other each with its date, its sensor or its number."""
    features = tuple(f"feature {channel:03d}" for channel in range(width))
    if channels == width:
        return features
    return tuple(f"{label} {feature}" for label in _label_scenes(source) for feature in features)


def _label_scenes(source: SceneSource) -> list[str]:
    """Return dates of scenes, else sensors, else numbers: the first of these by which they differ."""
    dates = [_format_date(scene.time) for scene in source.images]
    sensors = [scene.sensor.name for scene in source.images]
    numbers = [str(number) for number in range(1, len(source.images) + 1)]
    return next(names for names in (dates, sensors, numbers) if len(set(names)) == len(names) and all(names))


def _format_date(time: int | None) -> str:
    return "" if time is None else str(np.datetime64(time, "ns"))[:10]


def _notes(source: SceneSource, valid_patches: int) -> list[str]:
    """Return what a user should know about the result."""
    notes, scene = [], " and ".join(source.names)
    if not valid_patches:
        notes.append(f"{scene} has no valid pixel under this declaration; the result is all nodata")
    if min(source.pixels.rows, source.pixels.columns) < source.cell:
        notes.append(
            f"{scene} has {source.pixels.columns} x {source.pixels.rows} pixels (width x height), less than a patch of "
            f"{source.cell}; the rest is masked"
        )
    return notes
