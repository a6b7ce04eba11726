"""Scenes of a STAC catalogue to maps of features: each is found, composed, embedded and described, once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from skyweave.backbone import Encoder
from skyweave.core.errors import DataError
from skyweave.core.sensors.sensor import Sensor
from skyweave.data.stac import CatalogueQuery, SceneGroup, compose_scene, group_items, plan_grid, search_items
from skyweave.embedding.config import CatalogConfig, EmbeddedScene, EmbeddingConfig
from skyweave.embedding.scene import embed_scene
from skyweave.inference import WRITERS
from skyweave.inference.stac.item import format_time

SCENES_FOLDER = ".scenes"
"""Of composed scenes, which are removed when they are embedded."""

ReportStage = Callable[[str, int, int], None]
"""Called with what is done, how far, and of how much."""


@dataclass(frozen=True)
class CatalogueConfig:
    """How scenes of a catalogue are composed.

    Attributes:
        composite: which items make a scene, see `skyweave.data.stac.group_items`.
        resolution: metres per pixel; None: the sensor's.
        unit: how assets store values; None: as the catalogue's scales and offsets say.
        mask_clouds: leave out what an item's mask says is no clear ground.
        licence: of the collection of outputs.
    """

    composite: str = "day"
    resolution: float | None = None
    unit: str | None = None
    mask_clouds: bool = True
    licence: str | None = None


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene.

    Attributes:
        name: of the scene.
        path: of its output.
        scene: what was written; None: it was there before, or failed.
        failure: why it failed; None: it did not.
        notes: what a user should know.
    """

    name: str
    path: Path
    scene: EmbeddedScene | None = None
    failure: str | None = None
    notes: tuple[str, ...] = ()


def embed_catalogue(
    query: CatalogueQuery,
    folder: Path,
    encoder: Encoder,
    sensor: Sensor,
    config: CatalogueConfig,
    embedding: EmbeddingConfig,
    model_name: str = "unnamed",
    progress: ReportStage | None = None,
) -> Iterator[SceneOutcome]:
    """Embed the scenes of a catalogue one after the other; yield each outcome.

    Outputs and their STAC collection lie in one folder. A scene that is there is not done again, one that was begun
    goes on, and one that fails is named while the others go on.

    Args:
        query: which items.
        folder: of outputs.
        encoder: in evaluation mode.
        sensor: with the bands that are wanted.
        config: how items become scenes.
        embedding: how scenes are embedded and stored.
        model_name: recorded in the outputs.
        progress: called with what is done, how far and of how much.

    Raises:
        DataError: the catalogue cannot be read or has no such items; or the sensor has no unit without scale.
        ConfigError: as of `embed_scene`.
    """
    report = progress or (lambda what, done, total: None)
    unit = config.unit or physical_unit(sensor)
    writer = WRITERS[embedding.format or "geotiff"]
    groups = group_items(search_items(query), config.composite)
    embedding = replace(embedding, format=embedding.format or "geotiff")
    for number, group in enumerate(groups, start=1):
        output = folder / f"{group.name}{writer.suffixes[0]}"
        if output.exists() and (folder / group.name / f"{group.name}.json").exists():
            yield SceneOutcome(group.name, output)
            continue
        what = f"scene {number} of {len(groups)}, {group.name}"
        try:
            staged, notes = _compose(group, query, folder, sensor, config, partial(report, f"{what}: reading"))
            scene = embed_scene(
                staged,
                output,
                encoder,
                sensor,
                unit=unit,
                config=embedding,
                catalog=_describe(group, folder, config.licence),
                model_name=model_name,
                progress=partial(report, f"{what}: embedding"),
            )
        except (DataError, OSError) as error:
            yield SceneOutcome(group.name, output, failure=str(error))
            continue
        staged.unlink()
        yield SceneOutcome(group.name, output, scene, notes=(*notes, *scene.notes))


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


def _compose(
    group: SceneGroup,
    query: CatalogueQuery,
    folder: Path,
    sensor: Sensor,
    config: CatalogueConfig,
    progress: Callable[[int, int], None],
) -> tuple[Path, tuple[str, ...]]:
    """Return the composed scene of a group; one that is there is whole."""
    path = folder / SCENES_FOLDER / f"{group.name}.tif"
    if path.exists():
        return path, ()
    grid = plan_grid(group.items, query.bbox, config.resolution or sensor.ground_sample_distance)
    scaled = config.unit is None
    notes = compose_scene(group, sensor, grid, path, scaled=scaled, mask_clouds=config.mask_clouds, progress=progress)
    return path, notes


def _describe(group: SceneGroup, folder: Path, licence: str | None) -> CatalogConfig:
    start, end = group.interval
    sources = tuple(item.get_self_href() or item.id for item in group.items)
    return CatalogConfig(folder, f"{format_time(start)}/{format_time(end)}", licence, sources)
