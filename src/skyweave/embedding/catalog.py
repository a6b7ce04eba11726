"""A map of features in a STAC catalogue: when its scene was taken, what made it, what it cost."""

from dataclasses import replace
from pathlib import Path

from skyweave.backbone import Encoder
from skyweave.core.errors import ConfigError
from skyweave.core.sensors.sensor import Sensor
from skyweave.embedding.config import CatalogConfig
from skyweave.embedding.model_item import build_model_item
from skyweave.inference import FinishedRaster, RasterWriter, SceneSource
from skyweave.inference.quantisation_record import Quantisation
from skyweave.inference.stac.catalog import add_to_catalog
from skyweave.inference.stac.energy import EnergyUse
from skyweave.inference.stac.item import Acquisition


def find_acquisition(catalog: CatalogConfig, source: SceneSource) -> Acquisition:
    """Return when scenes were taken, from the first to the last, before any work is done.

    Args:
        catalog: may say it.
        source: whose files may say it; those that do not (elevation) have no time.

    Raises:
        ConfigError: neither does.
    """
    if catalog.acquired is not None:
        return Acquisition.parse(catalog.acquired)
    times = [image.time for image in source.images if image.time is not None]
    if not times:
        raise ConfigError(
            f"{source.names[0]} does not say when it was taken, which a STAC item must; add --acquired 2024-05-01"
        )
    return Acquisition(Acquisition.at(min(times)).start, Acquisition.at(max(times)).end)


def describe_in_catalog(
    catalog: CatalogConfig,
    acquisition: Acquisition,
    output: Path,
    writer: RasterWriter,
    raster: FinishedRaster,
    encoder: Encoder,
    sensor: Sensor,
    energy: EnergyUse,
) -> Path:
    """Add an output to a catalogue; return the item's file.

    Args:
        catalog: where.
        acquisition: when the scene was taken.
        output: the file or store.
        writer: that wrote it.
        raster: that it holds.
        encoder: that made it.
        sensor: with the bands that the encoder saw.
        energy: that the run used.

    Raises:
        ConfigError: the catalogue is of another model or storage.
    """
    description = raster.description
    if catalog.sources:
        description = replace(description, provenance=replace(description.provenance, sources=catalog.sources))
    return add_to_catalog(
        catalog.folder,
        output,
        writer.media_type,
        description,
        writer.quantisation or Quantisation("unknown", description.dtype),
        build_model_item(encoder, sensor, description),
        acquisition,
        raster.runtime,
        energy.joules,
        catalog.licence,
    )
