"""An exported model over a scene of any size, to a raster."""

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.outputs import check_outputs
from skyweave.exported.model_file import ExportedFile
from skyweave.exported.window_model import ExportedWindowModel
from skyweave.inference import (
    InferenceConfig,
    InferenceJob,
    Provenance,
    RasterDescription,
    RasterWriter,
    SceneSource,
    compute_raster,
    get_writer,
    open_scene,
    plan_windows,
    write_raster,
)
from skyweave.inference.raster_output import (
    RasterOutput,
    class_output,
    feature_output,
    label_output,
    probability_output,
    value_output,
)

LABEL_THRESHOLD = 0.5
MAX_PIXEL_RATIO = 1.02
"""Between the pixels of a scene and those that the model was exported for, before it is noted."""


@dataclass(frozen=True)
class AppliedModel:
    """What was written.

    Attributes:
        path: the file.
        kind: what it holds: ``features``, ``classes``, ``probabilities``, ``labels`` or ``values``.
        rows: of the file.
        columns: of the file.
        bands: names.
        valid_fraction: share of its pixels that hold values.
        notes: what the user should know.
        failures: parts of the scene that could not be read.
    """

    path: Path
    kind: str
    rows: int
    columns: int
    bands: tuple[str, ...]
    valid_fraction: float
    notes: tuple[str, ...]
    failures: tuple[str, ...]


def apply_model(
    file: ExportedFile,
    scenes: Sequence[str | Path],
    output: str | Path,
    readings: Sequence[Mapping[str, Any]],
    *,
    kind: str | None = None,
    storage: str | None = None,
    config: InferenceConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AppliedModel:
    """Take an exported model over a scene; values are those of `embed_scene` or `predict_scene` in float32.

    Without GDAL, scenes are GeoTIFF files of one grid, and so is the output.

    Args:
        file: of the model.
        scenes: one for each input of the model, of the same ground.
        output: file to write; it appears when it is whole.
        readings: arguments of `skyweave.data.raster.open_image`, of each scene: its unit at least.
        kind: what is written of a fine-tuned model; None: the first that it has.
        storage: how features are stored; None: float16.
        config: how the scene is cut, which part counts, batches and workers.
        progress: called with (windows done, windows in all).

    Raises:
        ConfigError: another number of scenes, a kind that the model does not have, a tile or overlap that is not
            possible.
        DataError: a scene or its declaration.
        OSError: the disk is full; nothing is left half-written.
    """
    config, output = config or InferenceConfig(), Path(output)
    _check_request(file, scenes, config)
    model = ExportedWindowModel(file, _choose_output(file, kind))
    cell = model.cell if file.is_dense else config.tile or file.tile_side
    source = open_scene(scenes, file.sensors, cell, config, readings)
    _check_bands(file, source)
    check_outputs({"the output": output}, source.files)
    notes = (*source.check(), *_pixel_size_notes(file, source))
    job = _plan(source, model, config)
    stored = {"features": storage or "float16"}.get(model.output.kind, model.output.dtype)
    writer = _writer(output, stored, Path(scenes[0]))
    with compute_raster(job, output, progress) as raster:
        write_raster(raster, output, writer, stored)
    description = raster.description
    return AppliedModel(
        path=output,
        kind=description.kind,
        rows=description.rows,
        columns=description.columns,
        bands=description.bands,
        valid_fraction=raster.statistics.count / (description.rows * description.columns),
        notes=notes,
        failures=description.provenance.failures,
    )


def _check_request(file: ExportedFile, scenes: Sequence[str | Path], config: InferenceConfig) -> None:
    """Refuse another number of scenes than the model reads, and windows of another size than it takes."""
    if len(scenes) != len(file.sensors):
        raise ConfigError(f"{file.path} reads {len(file.sensors)} scenes ({', '.join(file.inputs)}), not {len(scenes)}")
    if file.size is not None and config.tile not in (None, file.size):
        raise ConfigError(f"{file.path} takes images of {file.size} x {file.size} pixels; leave --tile out")


def _check_bands(file: ExportedFile, source: SceneSource) -> None:
    """Refuse scenes without all bands of the model."""
    for name, sensor, image in zip(source.names, file.sensors, source.images, strict=True):
        if len(image.sensor) != len(sensor):
            raise DataError(
                f"{name} has {_join('name', image.sensor.bands)}, and {file.path} reads "
                f"{_join('name', sensor.bands)}; export it for those --bands"
            )


def _choose_output(file: ExportedFile, kind: str | None) -> RasterOutput:
    """Return what is written."""
    outputs: dict[str, RasterOutput] = {output.kind: output for output in _raster_outputs(file)}
    chosen = outputs.get(kind or next(iter(outputs)))
    if chosen is None:
        raise ConfigError(f"{file.path} gives no {kind}; choose {' or '.join(outputs)}")
    return chosen


def _raster_outputs(file: ExportedFile) -> list[RasterOutput]:
    """Return the rasters that a model gives, the first by default."""
    classes = file.classes
    rasters: dict[str, list[RasterOutput]] = {
        "values": [value_output("value", 0.0, 1.0)],
        "classes": [class_output(classes), probability_output(classes)],
        "probabilities": [label_output(classes, LABEL_THRESHOLD), probability_output(classes)],
        "features": [feature_output(file.channels)],
    }
    return next(rasters[name] for name in rasters if name in file.outputs)


def _pixel_size_notes(file: ExportedFile, source: SceneSource) -> list[str]:
    """Return a note on scenes of other pixels than those that the model was exported for."""
    return [
        f"{name} has pixels of {image.ground_sample_distance:g} m, and the model was exported for "
        f"{file.ground_sample_distance:g} m: export it with --gsd {image.ground_sample_distance:g}"
        for name, image in zip(source.names, source.images, strict=True)
        if abs(math.log(image.ground_sample_distance / file.ground_sample_distance)) > math.log(MAX_PIXEL_RATIO)
    ]


def _plan(source: SceneSource, model: ExportedWindowModel, config: InferenceConfig) -> InferenceJob:
    """Return what is computed."""
    import onnxruntime

    file, image, output = model.file, source.images[0], model.output
    plan = plan_windows(source.shape, source.cell, file.tile_side, config, model.channels)
    provenance = Provenance(
        model=file.path.name,
        fingerprint=file.fingerprint,
        readout=f"{file.task or 'dense, last block, normalised'}, {output.kind}",
        sensor=_join("name", file.sensors),
        sensor_bands=file.band_names,
        unit=_join("unit", source.images),
        ground_sample_distance=image.ground_sample_distance,
        patch_size=source.cell,
        tile=plan.size * source.cell,
        overlap=plan.overlap * source.cell,
        precision=file.precision,
        sources=source.names,
        time=image.time,
    )
    description = RasterDescription(
        *source.shape,
        bands=output.bands,
        dtype=output.dtype,
        nodata=output.nodata,
        crs=source.crs if _has_gdal() else None,
        transform=source.transform,
        ground_sample_distance=image.ground_sample_distance * source.cell,
        kind=output.kind,
        provenance=provenance,
        classes=output.classes,
    )
    inputs = {**source.identity, "onnxruntime": onnxruntime.__version__}
    return InferenceJob(description, plan, source, model, inputs, "cpu", config)


def _join(name: str, holders: Iterable[Any]) -> str:
    """Return an attribute of several as text, each value once."""
    return ",".join(dict.fromkeys(map(attrgetter(name), holders)))


def _has_gdal() -> bool:
    return importlib.util.find_spec("rasterio") is not None


def _writer(output: Path, storage: str, scene: Path) -> RasterWriter:
    """Return the writer of a file; without GDAL that of plain GeoTIFF, in the reference system of the scene."""
    if _has_gdal():
        return get_writer(output, None, storage)
    from skyweave.inference.formats.plain_tiff import PlainTiffWriter, read_geo_tags

    if output.suffix.lower() not in PlainTiffWriter.suffixes or storage not in PlainTiffWriter.storages:
        raise ConfigError(f"{output} as {storage}: only GeoTIFF is written without GDAL; name it .tif")
    return PlainTiffWriter(read_geo_tags(scene))
