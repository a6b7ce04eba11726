"""Scenes of a STAC catalogue to maps of features: each is found, composed, embedded and described, once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skyweave.backbone import Encoder
from skyweave.core.errors import DataError
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.stac import CatalogueQuery, SceneGroup, compose_scene, group_items, plan_grid, search_items
from skyweave.embedding.config import CatalogConfig, EmbeddingConfig
from skyweave.embedding.scene import embed_scene
from skyweave.inference.archive import SceneJob, SceneResult, hash_content
from skyweave.inference.archive.job import ReportShare
from skyweave.inference.stac.item import format_time

SCENES_FOLDER = ".scenes"
"""Of composed scenes, which are removed when they are embedded."""
COMPOSING_SHARE = 0.3
"""Of the time of a scene that reading its items takes, for progress."""


@dataclass(frozen=True)
class CatalogueConfig:
    """How scenes of a catalogue are composed.

    Attributes:
        composite: which items make a scene, see `skyweave.data.stac.group_items`.
        resolution: metres per pixel; None: the sensor's.
        unit: how assets store values; None: as the catalogue's scales and offsets say.
        mask_clouds: leave out what an item's mask says is no clear ground.
        licence: of the collection of outputs.
        ignore_scale_tags: take the unit although the catalogue's scale and offset contradict it.
    """

    composite: str = "day"
    resolution: float | None = None
    unit: str | None = None
    mask_clouds: bool = True
    licence: str | None = None
    ignore_scale_tags: bool = False


@dataclass(frozen=True)
class CatalogueScenes:
    """Scenes that items of a catalogue make.

    Attributes:
        query: which items.
        folder: of outputs and their STAC collection.
        sensor: with the bands that are wanted.
        config: how items become scenes.
    """

    query: CatalogueQuery
    folder: Path
    sensor: Sensor
    config: CatalogueConfig

    def embed(
        self, encoder: Encoder, embedding: EmbeddingConfig, model_name: str, job: SceneJob, report: ReportShare
    ) -> SceneResult:
        """Compose a scene, embed it and describe it in the collection.

        Args:
            encoder: in evaluation mode.
            embedding: how scenes are embedded and stored.
            model_name: recorded in the output.
            job: with the items.
            report: called with the share that is done.

        Raises:
            DataError: the items cannot be read, or the sensor has no unit without scale.
            ConfigError: as of `embed_scene`.
        """
        import pystac

        group = SceneGroup(job.name, tuple(map(pystac.Item.from_dict, job.items)))
        staged, notes = self._compose(group, job, lambda done, total: report(COMPOSING_SHARE * done / total))
        scene = embed_scene(
            staged,
            job.output,
            encoder,
            self.sensor,
            unit=self.config.unit or physical_unit(self.sensor),
            config=embedding,
            catalog=_describe(group, self.folder, self.config.licence),
            model_name=model_name,
            progress=lambda done, total: report(COMPOSING_SHARE + (1 - COMPOSING_SHARE) * done / total),
        )
        staged.unlink()
        files = (scene.path, scene.item) if scene.item else (scene.path,)
        return SceneResult(files, scene.failures, (*notes, *scene.notes), {"valid_fraction": scene.valid_fraction})

    def _compose(
        self, group: SceneGroup, job: SceneJob, progress: Callable[[int, int], None]
    ) -> tuple[Path, tuple[str, ...]]:
        """Return the composed scene of a group; one that is there is whole, and of the same items and options."""
        path = self.folder / SCENES_FOLDER / f"{group.name}.{job.key[:12]}.tif"
        if path.exists():
            return path, ()
        config = self.config
        grid = plan_grid(group.items, self.query.bbox, config.resolution or self.sensor.ground_sample_distance)
        notes = compose_scene(
            group,
            self.sensor,
            grid,
            path,
            unit=config.unit,
            ignore_scale_tags=config.ignore_scale_tags,
            mask_clouds=config.mask_clouds,
            progress=progress,
        )
        return path, notes


def plan_catalogue(scenes: CatalogueScenes, suffix: str, made_by: str) -> list[SceneJob]:
    """Return a job for each scene of a catalogue.

    Args:
        scenes: of the catalogue.
        suffix: of an output's name.
        made_by: hash of all but the items that an output is made from.

    Raises:
        DataError: the catalogue cannot be read or has no such items.
    """
    jobs = []
    for group in group_items(search_items(scenes.query), scenes.config.composite):
        items = tuple(item.to_dict(transform_hrefs=False) for item in group.items)
        output = scenes.folder / f"{group.name}{suffix}"
        inputs = tuple(item.get_self_href() or item.id for item in group.items)
        jobs.append(SceneJob(group.name, inputs, output, hash_content([made_by, items]), items=items))
    return jobs


def physical_unit(sensor: Sensor) -> str:
    """Return the word for values of a sensor that need no conversion.

    Args:
        sensor: of a catalogue's items.

    Raises:
        DataError: it has none.
    """
    for encoding in sensor.encodings:
        is_plain = encoding.scale == 1 and encoding.offset == 0 and not encoding.decibel and encoding.planck is None
        if is_plain and not encoding.exceptions:
            return encoding.name
    names = ", ".join(encoding.name for encoding in sensor.encodings)
    raise DataError(f"{sensor.name} has no unit of plain values for --unit catalogue; declare one of: {names}")


def _describe(group: SceneGroup, folder: Path, licence: str | None) -> CatalogConfig:
    start, end = group.interval
    sources = tuple(item.get_self_href() or item.id for item in group.items)
    return CatalogConfig(folder, f"{format_time(start)}/{format_time(end)}", licence, sources)
