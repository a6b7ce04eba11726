"""A finished raster as a STAC item: where and when, what made it, how it is stored, what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import skyweave
from skyweave.core.errors import ConfigError
from skyweave.inference.quantisation_record import Quantisation
from skyweave.inference.raster import RasterDescription, Runtime
from skyweave.inference.stac.energy import describe_energy
from skyweave.inference.stac.footprint import describe_footprint
from skyweave.inference.stac.standard import (
    ASSET_KEY,
    EMB_EXTENSION,
    PROCESSING_EXTENSION,
    PROJECTION_EXTENSION,
    STAC_VERSION,
)

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Acquisition:
    """When a scene was taken.

    Attributes:
        start: UTC.
        end: UTC; equal to ``start`` for a single acquisition.
    """

    start: datetime
    end: datetime

    @classmethod
    def parse(cls, text: str) -> "Acquisition":
        """Return the time that is written as one ISO 8601 date or time, or two with a slash between; UTC by default.

        Args:
            text: such as ``2024-05-01`` or ``2024-05-01/2024-05-31T12:00:00Z``.

        Raises:
            ConfigError: it is no time, or ends before it begins.
        """
        try:
            start, end = (_parse_time(part) for part in (text.split("/") if "/" in text else [text, text]))
        except ValueError:
            raise ConfigError(f"{text!r} is no time; write it such as 2024-05-01 or 2024-05-01/2024-05-31") from None
        if end < start:
            raise ConfigError(f"the time {text!r} ends before it begins; write the earlier one first")
        return cls(start, end)

    @classmethod
    def at(cls, nanoseconds: int) -> "Acquisition":
        """Return a single time.

        Args:
            nanoseconds: UTC, since 1970.
        """
        time = datetime.fromtimestamp(nanoseconds / NANOSECONDS, UTC)
        return cls(time, time)

    def to_stac(self) -> dict[str, str | None]:
        """Return the fields of an item's properties."""
        if self.start == self.end:
            return {"datetime": format_time(self.start)}
        return {"datetime": None, "start_datetime": format_time(self.start), "end_datetime": format_time(self.end)}


def build_item(
    name: str,
    description: RasterDescription,
    acquisition: Acquisition,
    assets: Mapping[str, Any],
    quantisation: Quantisation,
    runtime: Runtime | None,
    joules: float | None = None,
    source_links: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the STAC item of a map of features, as plain JSON types.

    Args:
        name: of the item, unique in its collection.
        description: of the raster.
        acquisition: when the scene was taken.
        assets: by key, see `build_asset`; one is ``embeddings``.
        quantisation: how values are stored.
        runtime: what the work took; None: not measured.
        joules: that the processors used, if counted.
        source_links: addresses of the scene, as the item refers to them.
    """
    geometry, box = describe_footprint(description.transform, description.rows, description.columns, description.crs)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EMB_EXTENSION, PROCESSING_EXTENSION],
        "id": name,
        "geometry": geometry,
    }
    if box is not None:
        item["bbox"] = box
    properties: dict[str, Any] = {
        **acquisition.to_stac(),
        "gsd": description.ground_sample_distance,
        "processing:software": {"skyweave": skyweave.__version__},
        "emb:runtime_parameters": describe_parameters(description),
        "emb:preprocessing": {"format": "text", "expression": _preprocessing(description)},
        "emb:postprocessing": {"format": "text", "expression": _postprocessing(description)},
        "emb:quantization": quantisation.to_stac(),
        "skyweave:quantization_error": quantisation.error.to_dict(),
    }
    if runtime is not None:
        properties["processing:datetime"] = format_time(Acquisition.at(runtime.start).start)
        properties["emb:energy"] = describe_energy(runtime.device, runtime.seconds, joules)
    if description.crs is not None:
        item["stac_extensions"].append(PROJECTION_EXTENSION)
        properties |= describe_projection(description)
    item["properties"] = properties
    item["links"] = [{"rel": "emb:source-data", "href": link} for link in source_links]
    item["assets"] = dict(assets)
    return item


def build_asset(href: str, media_type: str, title: str) -> dict[str, Any]:
    """Return the asset ``embeddings`` of an item.

    Args:
        href: of the file or store, relative to the item.
        media_type: of its format.
        title: for people.
    """
    return {ASSET_KEY: {"href": href, "type": media_type, "title": title, "roles": ["data"]}}


def describe_parameters(description: RasterDescription) -> dict[str, Any]:
    """Return what the features depend on besides weights and pixels.

    Args:
        description: of the raster.
    """
    made = description.provenance
    return {
        "sensor": made.sensor,
        "bands": list(made.sensor_bands),
        "unit": made.unit,
        "source_gsd": made.ground_sample_distance,
        "patch_size": made.patch_size,
        "window": made.tile,
        "overlap": made.overlap,
        "readout": made.readout,
        "precision": made.precision,
    }


def describe_projection(description: RasterDescription) -> dict[str, Any]:
    """Return the fields of the projection extension; the code where the reference system has one, else its WKT.

    Args:
        description: of a raster with a reference system.
    """
    fields = describe_reference_system(str(description.crs))
    return {
        **fields,
        "proj:shape": [description.rows, description.columns],
        "proj:transform": list(description.transform),
    }


def describe_reference_system(wkt: str) -> dict[str, Any]:
    """Return ``proj:code`` where the reference system has one, else ``proj:wkt2``.

    Args:
        wkt: of the reference system.
    """
    from pyproj import CRS

    crs = CRS.from_wkt(wkt)
    authority = crs.to_authority(min_confidence=100)
    if authority is not None and authority[1].isdigit():
        return {"proj:code": ":".join(authority)}
    return {"proj:wkt2": crs.to_wkt()}


def format_time(time: datetime) -> str:
    """Return a time as STAC writes it.

    Args:
        time: with a time zone.
    """
    text = time.astimezone(UTC).isoformat(timespec="microseconds" if time.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text.strip())
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _preprocessing(description: RasterDescription) -> str:
    made = description.provenance
    return (
        f"stored values as {made.unit} of {made.sensor}, each band normalised by the mean and standard deviation in "
        "the model's card, pixels without data hidden from the model"
    )


def _postprocessing(description: RasterDescription) -> str:
    made = description.provenance
    return f"{made.readout}; windows that overlap by {made.overlap} pixels averaged by weights that fall towards edges"
