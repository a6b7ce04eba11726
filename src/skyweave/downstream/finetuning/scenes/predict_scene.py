"""A fine-tuned model over a scene of any size, to a raster of what it predicts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from skyweave.core.errors import ConfigError
from skyweave.core.outputs import check_outputs
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.predict_boxes import predict_boxes
from skyweave.downstream.finetuning.scenes.window_model import FinetunedWindowModel
from skyweave.inference import (
    InferenceConfig,
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
from skyweave.inference.raster_output import RasterOutput

MAX_PIXEL_RATIO = 1.5  # between the pixels of a scene and those of training


@dataclass(frozen=True)
class PredictedScene:
    """What was written.

    Attributes:
        path: the file.
        kind: what it holds: ``classes``, ``probabilities``, ``labels``, ``values`` or ``boxes``.
        rows: of the file, in pixels of its own.
        columns: of the file.
        bands: names.
        classes: names by number.
        count: pixels with a prediction; of boxes, their number.
        notes: what the user should know.
        failures: parts of the scene that could not be read, where there is no prediction.
    """

    path: Path
    kind: str
    rows: int
    columns: int
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    count: int
    notes: tuple[str, ...]
    failures: tuple[str, ...]


def predict_scene(
    scenes: str | Path | Sequence[str | Path],
    output: str | Path,
    model: FinetunedModel,
    *,
    unit: str | Sequence[str],
    kind: str | None = None,
    config: InferenceConfig | None = None,
    format: str | None = None,
    model_name: str = "unnamed",
    progress: Callable[[int, int], None] | None = None,
    each: Sequence[Mapping[str, Any]] = (),
    **reading: Any,
) -> PredictedScene:
    """Predict for every pixel of a scene of any size, in windows that overlap and are blended.

    Of a task of whole images a pixel of the result is a window of the size that the model was trained on. Killed, the
    same call goes on where it stopped, and its result is the same.

    Args:
        scenes: any raster that GDAL reads; of models of two dates or several sensors one each, in that order, of the
            same ground. The first one's grid is that of the result; what lies on another is resampled onto it.
        output: file to write; it appears when it is whole.
        model: as `skyweave.load` returns it.
        unit: how the files store values; one for all scenes, or one each.
        kind: what is written: ``classes`` or ``probabilities`` of a task of classes, ``labels`` or ``probabilities`` of
            several classes at a place, ``values`` of regression; None: the first that the task has.
        config: windows, part of the scene, precision.
        format: name of the output format; None: by the file's suffix.
        model_name: recorded in the file.
        progress: called with (windows done, windows in all).
        each: what differs between scenes of ``unit`` and ``reading``, a mapping for each scene; none: nothing does.
        reading: ``bands``, ``offset``, ``nodata`` and other arguments of `read_observation`, of all scenes.

    Raises:
        ConfigError: other scenes than the model was trained on, a kind that its task does not have, a tile or overlap
            that is not possible, an output that is an input.
        DataError: a scene or its declaration.
        OSError: the disk is full; nothing is left half-written.
    """
    config, output = config or InferenceConfig(), Path(output)
    readings = _arguments_of_each(scenes, unit, reading, each)
    cell = 1 if model.task.is_dense else config.tile or model.tile
    if not model.task.raster_outputs(0.0, 1.0):
        return _predict_boxes(scenes, output, model, kind, config, model_name, progress, readings)
    chosen = choose_output(model, kind)
    writer = get_writer(output, format, chosen.dtype)
    source = open_scenes(scenes, model, cell, config, readings)
    check_outputs({"the output": output}, source.files)
    notes = (*source.check(), *pixel_size_notes(model, [image.ground_sample_distance for image in source.images]))
    job = plan_prediction(source, model, chosen, config, model_name)
    with compute_raster(job, output, progress) as raster:
        write_raster(raster, output, writer, chosen.dtype)
    description = raster.description
    return PredictedScene(
        output,
        chosen.kind,
        description.rows,
        description.columns,
        description.bands,
        description.classes,
        raster.statistics.count,
        notes,
        description.provenance.failures,
    )


def pixel_size_notes(model: FinetunedModel, metres: Sequence[float]) -> list[str]:
    """Return a note on scenes whose pixels are of another size than those that the model was trained on.

    Args:
        model: that knows it, or not.
        metres: pixel side of each scene.
    """
    return [
        f"pixels of {scene:g} m, and the model was trained on pixels of {trained:g} m: it has not seen things at that "
        "size; resample the scene, or train on images like it"
        for scene, trained in zip(metres, model.pixel_sizes, strict=False)
        if abs(math.log(scene / trained)) > math.log(MAX_PIXEL_RATIO)
    ]


def _predict_boxes(
    scenes: str | Path | Sequence[str | Path],
    output: Path,
    model: FinetunedModel,
    kind: str | None,
    config: InferenceConfig,
    model_name: str,
    progress: Callable[[int, int], None] | None,
    readings: list[dict[str, Any]],
) -> PredictedScene:
    """Predict boxes, and return what was written."""
    if kind is not None:
        choose_output(model, kind)
    source = open_scenes(scenes, model, 1, config, readings)
    check_outputs({"the output": output}, source.files)
    notes = (*source.check(), *pixel_size_notes(model, [image.ground_sample_distance for image in source.images]))
    count, failures = predict_boxes(source, output, model, config, model_name, progress)
    return PredictedScene(output, "boxes", *source.shape, (), model.task.classes, count, notes, failures)


def choose_output(model: FinetunedModel, kind: str | None) -> RasterOutput:
    """Return what is written of a model's predictions.

    Args:
        model: whose task says what there is.
        kind: what is asked for; None: the first.

    Raises:
        ConfigError: the task has no such raster.
    """
    task = model.task
    outputs = {output.kind: output for output in task.raster_outputs(float(model.target_mean), float(model.target_std))}
    choices = f"choose {' or '.join(outputs)}" if outputs else "it gives boxes: leave --kind out"
    if kind is not None and kind not in outputs:
        raise ConfigError(f"a model of {task.kind} gives no {kind}; {choices}")
    return outputs[kind] if kind is not None else next(iter(outputs.values()))


def open_scenes(
    scenes: str | Path | Sequence[str | Path],
    model: FinetunedModel,
    cell: int,
    config: InferenceConfig,
    readings: list[dict[str, Any]],
) -> SceneSource:
    """Return the source of what a model reads.

    Args:
        scenes: one for each observation of the model.
        model: says which sensors.
        cell: pixels per cell side of the result.
        config: which part of the scene.
        readings: arguments of `open_image`, of each scene.

    Raises:
        ConfigError: another number of scenes than the model reads, or other bands.
        DataError: a scene or its declaration.
    """
    paths = _list_scenes(scenes)
    model.check_count(len(paths))
    source = open_scene(paths, model.sensors, cell, config, readings)
    model.check_sensors([(name, image.sensor) for name, image in zip(source.names, source.images, strict=True)])
    return source


def _list_scenes(scenes: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [scenes] if isinstance(scenes, str | Path) else list(scenes)


def _arguments_of_each(
    scenes: str | Path | Sequence[str | Path],
    unit: str | Sequence[str],
    reading: dict[str, Any],
    each: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the arguments that each scene is read with."""
    count = len(_list_scenes(scenes))
    units = [unit] * count if isinstance(unit, str) else list(unit)
    if len(units) != count or len(each) not in (0, count):
        raise ConfigError(f"there are {count} scenes and {len(each or units)} units; give one unit, or one for each")
    pairs = zip(units, each or [{}] * count, strict=True)
    return [{"unit": word, **reading, **particular} for word, particular in pairs]


def plan_prediction(
    source: SceneSource,
    model: FinetunedModel,
    output: RasterOutput,
    config: InferenceConfig,
    model_name: str,
) -> InferenceJob:
    """Return what is computed: probabilities of every cell of the source.

    Args:
        source: of the pixels.
        model: in evaluation mode.
        output: what is stored.
        config: windows and precision.
        model_name: recorded in the file.
    """
    image, device = source.images[0], model.target_mean.device.type
    precision = config.resolved_precision(device)
    plan = plan_windows(source.shape, source.cell, model.tile, config, model.task.num_outputs)
    rows, columns = source.shape
    inputs = {**source.identity, "torch": torch.__version__}
    provenance = Provenance(
        model=model_name,
        fingerprint=model.fingerprint,
        readout=f"{model.task.kind}, {output.kind}",
        sensor=",".join(sensor.name for sensor in model.sensors),
        sensor_bands=tuple(band.name for sensor in model.sensors for band in sensor.bands),
        unit=",".join(dict.fromkeys(image.unit for image in source.images)),
        ground_sample_distance=image.ground_sample_distance,
        patch_size=source.cell,
        tile=plan.size * source.cell,
        overlap=plan.overlap * source.cell,
        precision=precision,
        sources=source.names,
        time=image.time,
    )
    description = RasterDescription(
        rows=rows,
        columns=columns,
        bands=output.bands,
        dtype=output.dtype,
        nodata=output.nodata,
        crs=source.crs,
        transform=source.transform,
        ground_sample_distance=image.ground_sample_distance * source.cell,
        kind=output.kind,
        provenance=provenance,
        classes=output.classes,
    )
    window_model = FinetunedWindowModel(model, output, precision)
    return InferenceJob(description, plan, source, window_model, inputs, device, config)
