"""What ``skyweave embed --list`` and ``--stac`` do: many scenes by one model."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from skyweave.backbone import Encoder, fingerprint, load_encoder
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import get_sensor, sensor_to_dict
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.reading_options import read_declarations
from skyweave.data.stac import CatalogueQuery
from skyweave.embedding.catalogue_scenes import CatalogueConfig, CatalogueScenes, plan_catalogue
from skyweave.embedding.config import EmbeddingConfig, read_embedding_config
from skyweave.embedding.scene import embed_scene
from skyweave.inference import WRITERS
from skyweave.inference.archive import SceneJob, SceneResult, hash_content, plan_jobs, read_scene_list
from skyweave.inference.archive.archive_run import run_archive_command
from skyweave.inference.archive.arguments import count_workers, refuse_scene_options
from skyweave.inference.archive.job import ProcessScene, ReportShare
from skyweave.inference.scene_arguments import bound_memory

UNIT_OF_CATALOGUE = "catalogue"
DEFAULT_FORMAT = "geotiff"
SCENE_OPTIONS = {
    "scene": "SCENE",
    "output": "-o",
    "preview": "--preview",
    "qgis": "--qgis",
    "catalog": "--catalog",
    "acquired": "--acquired",
}
UNUSED_WITH_CATALOGUE = {"nodata": "--nodata", "window": "--window", "offset": "--offset"}


@dataclass(frozen=True)
class EmbeddingWork:
    """Embed scenes of an archive; it travels to the processes that do it.

    Attributes:
        weights: shipped name, or path of a file.
        model_name: recorded in the outputs.
        device: that computes.
        sensors: one for all files of a scene, or one each.
        config: how scenes are embedded and stored.
        unit: how files store values.
        reading: arguments of `open_image` of each file of a scene, by the number of files.
        catalogue: how scenes of a STAC catalogue are composed; None: scenes are files.
    """

    weights: str
    model_name: str
    device: str
    sensors: tuple[Sensor, ...]
    config: EmbeddingConfig
    unit: str
    reading: dict[int, list[dict[str, Any]]]
    catalogue: CatalogueScenes | None = None

    def load(self) -> ProcessScene:
        """Load the encoder; see `SceneWork`."""
        bound_memory()
        return partial(self._embed, load_encoder(self.weights, self.device))

    def _embed(self, encoder: Encoder, job: SceneJob, report: ReportShare) -> SceneResult:
        if self.catalogue is not None:
            return self.catalogue.embed(encoder, self.config, self.model_name, job, report)
        scene = embed_scene(
            job.inputs,
            job.output,
            encoder,
            self.sensors,
            config=self.config,
            model_name=self.model_name,
            progress=lambda done, total: report(done / total),
            unit=self.unit,
            each=self.reading[len(job.inputs)],
        )
        return SceneResult((scene.path,), scene.failures, scene.notes, {"valid_fraction": scene.valid_fraction})


def run_archive(args: argparse.Namespace) -> int:
    """Embed the scenes of a list or of a catalogue; return 0, or 3 where something failed and the rest is delivered.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: options that do not go together, or a list that names no scene.
        DataError: every scene failed; names the first failure.
    """
    _check(args)
    scenes = read_scene_list(args.list) if args.list else []
    work = _read_work(args, {len(scene.inputs) for scene in scenes})
    suffix = WRITERS[work.config.format or DEFAULT_FORMAT].suffixes[0]
    made_by = _hash_work(work)
    jobs: Sequence[SceneJob]
    if work.catalogue is not None:
        jobs = plan_catalogue(work.catalogue, suffix, made_by)
    else:
        jobs = plan_jobs(scenes, args.into, suffix, made_by, args.keep_folders)
    return run_archive_command(args, jobs, work, "embedded", _describe)


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    options = SCENE_OPTIONS if args.list else {**SCENE_OPTIONS, **UNUSED_WITH_CATALOGUE}
    refuse_scene_options(args, "--list" if args.list else "--stac", options)
    if args.list and args.stac:
        raise ConfigError("--list and --stac both name scenes; give one of them")


def _read_work(args: argparse.Namespace, counts: Collection[int]) -> EmbeddingWork:
    """Return what is done, once it is known to be possible: a wrong option would fail a thousand times.

    ``counts`` are the numbers of files that scenes of a list have.
    """
    sensors = tuple(get_sensor(name) for name in args.sensor.split(","))
    config = read_embedding_config(args)
    inference = replace(config.inference, workers=count_workers(args))
    config = replace(config, inference=inference, format=config.format or DEFAULT_FORMAT)
    catalogue = None
    if args.stac is not None:
        catalogue = _read_catalogue(args, *sensors)
    weights = str(Path(args.weights).absolute()) if Path(args.weights).is_file() else args.weights
    reading = {count: read_declarations(args, count) for count in counts}
    return EmbeddingWork(weights, args.weights, args.device, sensors, config, args.unit, reading, catalogue)


def _read_catalogue(args: argparse.Namespace, sensor: Sensor, *others: Sensor) -> CatalogueScenes:
    if others:
        raise ConfigError(f"--sensor {args.sensor}: scenes of a catalogue are of one sensor; give one")
    if args.bands not in (None, "sensor"):
        sensor = sensor.select([name.strip() for name in args.bands.split(",")])
    bbox = args.bbox and tuple(args.bbox)
    query = CatalogueQuery(args.stac, tuple(args.collection), bbox, args.datetime, args.max_cloud)
    unit = None if args.unit == UNIT_OF_CATALOGUE else args.unit
    if unit is not None:
        sensor.encoding(unit)
    config = CatalogueConfig(args.composite, args.gsd, unit, not args.keep_clouds, args.licence, args.ignore_scale_tags)
    return CatalogueScenes(query, args.into, sensor, config)


def _hash_work(work: EmbeddingWork) -> str:
    """Return a hash of all that features depend on but the scene; the number of workers is nothing of that."""
    area = work.config.inference.area
    config = replace(work.config, inference=replace(work.config.inference, workers=None))
    scenes = work.catalogue
    catalogue = scenes and [  # the rest of the query selects items
        sensor_to_dict(scenes.sensor),
        asdict(replace(scenes.config, licence=None)),
        scenes.query.bbox,
    ]
    return hash_content(
        [
            fingerprint(load_encoder(work.weights)),
            work.model_name,
            work.device.split(":")[0],
            [sensor_to_dict(sensor) for sensor in work.sensors],
            asdict(config),
            work.unit,
            work.reading,
            catalogue,
            area and area.read_text(),
        ]
    )


def _describe(result: SceneResult) -> str:
    return f"{(result.summary or {}).get('valid_fraction', 0):.0%} valid"
