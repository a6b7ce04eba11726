"""What ``skyweave predict --list`` does: many scenes by one fine-tuned model."""

import argparse
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.data.reading_options import read_declarations
from skyweave.downstream.finetuning.models.checkpoint import load_finetuned
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.downstream.finetuning.scenes.predict_boxes import SUFFIXES
from skyweave.downstream.finetuning.scenes.predict_scene import choose_output, predict_scene
from skyweave.inference import WRITERS, InferenceConfig
from skyweave.inference.archive import ListedScene, SceneJob, SceneResult, hash_content, plan_jobs, read_scene_list
from skyweave.inference.archive.archive_run import run_archive_command
from skyweave.inference.archive.arguments import count_workers, refuse_scene_options
from skyweave.inference.archive.job import ProcessScene, ReportShare
from skyweave.inference.scene_arguments import bound_memory, read_inference_config

DEFAULT_FORMAT = "geotiff"


@dataclass(frozen=True)
class PredictionWork:
    """Predict for scenes of an archive; it travels to the processes that do it.

    Attributes:
        weights: path of the model.
        model_name: recorded in the outputs.
        device: that computes.
        kind: what is written; None: the first that the model has.
        config: how scenes are cut and computed.
        format: name of the output format.
        flips: average over mirror images.
        unit: how files store values.
        reading: arguments of `open_image`, of each file of a scene.
    """

    weights: str
    model_name: str
    device: str
    kind: str | None
    config: InferenceConfig
    format: str
    flips: bool
    unit: str
    reading: list[dict[str, Any]]

    def load(self) -> ProcessScene:
        """Load the model; see `SceneWork`."""
        bound_memory()
        model = load_finetuned(self.weights, self.device)
        model.test_time_flips |= self.flips
        return partial(self._predict, model)

    def _predict(self, model: FinetunedModel, job: SceneJob, report: ReportShare) -> SceneResult:
        scene = predict_scene(
            list(job.inputs),
            job.output,
            model,
            kind=self.kind,
            config=self.config,
            format=self.format if scene_is_raster(model) else None,
            model_name=self.model_name,
            progress=lambda done, total: report(done / total),
            unit=self.unit,
            each=self.reading,
        )
        return SceneResult((scene.path,), scene.failures, scene.notes, {"kind": scene.kind, "count": scene.count})


def run_archive(args: argparse.Namespace) -> int:
    """Predict for the scenes of a list; return 0, or 3 where something failed and the rest is delivered.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: options that do not go together, or a list that names no scene.
        DataError: every scene failed; names the first failure.
    """
    refuse_scene_options(args, "--list", {"scenes": "SCENE", "output": "-o", "qgis": "--qgis"})
    config = replace(read_inference_config(args), workers=count_workers(args))
    scenes = read_scene_list(args.list)
    format = args.format or DEFAULT_FORMAT
    weights = str(Path(args.weights).absolute()) if Path(args.weights).exists() else args.weights
    model = load_finetuned(weights)
    for scene in scenes:
        _check_count(scene, model)
    reading = read_declarations(args, len(scenes[0].inputs))
    work = PredictionWork(weights, args.weights, args.device, args.kind, config, format, args.flips, args.unit, reading)
    suffix = _suffix(model, work)
    jobs = plan_jobs(scenes, args.into, suffix, _hash_work(work, model), args.keep_folders)
    return run_archive_command(args, jobs, work, "predicted", _describe)


def scene_is_raster(model: FinetunedModel) -> bool:
    """Return whether a model's predictions are a raster, and not boxes.

    Args:
        model: says its task.
    """
    return bool(model.task.raster_outputs(0.0, 1.0))


def _suffix(model: FinetunedModel, work: PredictionWork) -> str:
    """Return the suffix of outputs, once it is known that there is what is asked for."""
    if work.kind is not None:
        choose_output(model, work.kind)
    return WRITERS[work.format].suffixes[0] if scene_is_raster(model) else SUFFIXES[0]


def _check_count(scene: ListedScene, model: FinetunedModel) -> None:
    try:
        model.check_count(len(scene.inputs))
    except ConfigError as error:
        raise ConfigError(f"{scene.inputs[0]}: {error}; the list has them in one line, with tabs between") from None


def _hash_work(work: PredictionWork, model: FinetunedModel) -> str:
    """Return a hash of all that predictions depend on but the scene; the number of workers is nothing of that."""
    content = {**asdict(work), "config": asdict(replace(work.config, workers=None)), "weights": model.fingerprint}
    area = work.config.area
    return hash_content([content, area and area.read_text()])


def _describe(result: SceneResult) -> str:
    summary = result.summary or {}
    return f"{summary['count']} boxes" if summary["kind"] == "boxes" else str(summary["kind"])
