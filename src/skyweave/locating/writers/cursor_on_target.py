"""The last place of each track as Cursor on Target 2.0 events (MITRE), for TAK clients and servers.

``ce`` and ``le`` are one standard deviation, as the schema of events says; affiliation is unknown.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import normalise_name
from skyweave.locating.track_table import TrackTable, compass_degrees, iso_times, true_north_offset
from skyweave.locating.writers.base import TrackOutput
from skyweave.telemetry.poses_over_time import NS_PER_S

TYPES = {"person": "a-u-G-U-C", "pedestrian": "a-u-G-U-C", "boat": "a-u-S", "ship": "a-u-S"}
VEHICLES = {"car", "van", "truck", "bus", "motorcycle", "vehicle", "trailer"}
VEHICLE_TYPE, GROUND_TYPE = "a-u-G-E-V-C", "a-u-G"
STALE_S = 30


def write_track_cot(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.cot.xml``: one ``events`` element with an event for each track; none without UTC.

    Args:
        output: what to write.
        folder: where.
    """
    if not output.result.has_utc:
        return []
    root = ElementTree.Element("events")
    for table in output.tables:
        root.append(track_event(table, output.result.crs))
    path = folder / "tracks.cot.xml"
    with write_aside(path) as aside:
        ElementTree.ElementTree(root).write(aside, "utf-8", xml_declaration=True)
    return [path]


def track_event(table: TrackTable, crs: str, row: int = -1) -> ElementTree.Element:
    """Return one place of a track as an event.

    Args:
        table: of the track, with times in UTC.
        crs: of the map.
        row: of the point.
    """
    time, stale = iso_times(table.times[row] + np.array([0, STALE_S * NS_PER_S]))
    event = ElementTree.Element(
        "event",
        version="2.0",
        uid=f"skyweave-{table.number}",
        type=event_type(table.category),
        how="m-f",  # machine, fused
        time=time,
        start=time,
        stale=stale,
    )
    longitude, latitude = table.lon_lat[row]
    circular = float(np.sqrt(np.linalg.eigvalsh(table.covariances[row])[-1]))
    ElementTree.SubElement(
        event,
        "point",
        lat=f"{latitude:.8f}",
        lon=f"{longitude:.8f}",
        hae=f"{table.up[row]:.2f}",
        ce=f"{circular:.2f}",
        le="9999999.0",  # heights are those of the map's datum
    )
    detail = ElementTree.SubElement(event, "detail")
    ElementTree.SubElement(detail, "contact", callsign=f"{table.category} {table.number}")
    course = compass_degrees(table.headings[row : row + 1 or None], true_north_offset(crs, table.lon_lat[row]))[0]
    ElementTree.SubElement(detail, "track", course=f"{course:.1f}", speed=f"{table.speeds[row]:.2f}")
    ElementTree.SubElement(detail, "remarks").text = f"score {table.score:.2f}, {len(table)} detections"
    return event


def event_type(category: str) -> str:
    """Return the type of an event for a class.

    Args:
        category: as the detector names it.
    """
    name = normalise_name(category)
    return TYPES.get(name, VEHICLE_TYPE if name in VEHICLES else GROUND_TYPE)
