"""The last place of each track as Cursor on Target 2.0 events (MITRE), for TAK clients and servers.

``ce`` and ``le`` are one standard deviation, as the schema of events says; affiliation is unknown.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
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
UNKNOWN_ERROR = "9999999.0"


def write_track_cot(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.cot.xml``: one ``events`` element with an event for each track.

    Args:
        output: what to write.
        folder: where.

    Raises:
        DataError: the times are not UTC.
    """
    output.require_utc("Cursor on Target")
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
    return MapEvent(
        identity=f"skyweave-{table.number}",
        name=f"{table.category} {table.number}",
        category=table.category,
        time=int(table.times[row]),
        lon_lat=table.lon_lat[row],
        height=float(table.up[row]),
        circular=circular_std(table.covariances[row]),
        course=float(compass_degrees(table.headings[row], true_north_offset(crs, table.lon_lat[row]))),
        speed=float(table.speeds[row]),
        remarks=f"score {table.score:.2f}, {len(table)} detections",
    ).to_xml(STALE_S)


def circular_std(covariance: np.ndarray) -> float:
    """Return the standard deviation of a place along the axis along which it is largest, metres.

    Args:
        covariance: (2, 2) of the place.
    """
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance)[-1], 0.0)))


@dataclass(frozen=True)
class MapEvent:
    """An object at a time, as TAK shows it.

    Attributes:
        identity: constant over time; who sends the same one moves what is shown.
        name: that is shown.
        category: of its class.
        time: UTC nanoseconds.
        lon_lat: (2,) degrees, WGS84.
        height: metres, of the map's datum.
        circular: standard deviation of the place, metres; None: not known.
        course: degrees clockwise from true north.
        speed: metres a second.
        remarks: free text.
    """

    identity: str
    name: str
    category: str
    time: int
    lon_lat: np.ndarray
    height: float
    circular: float | None
    course: float
    speed: float
    remarks: str

    def to_xml(self, stale: float) -> ElementTree.Element:
        """Return the event.

        Args:
            stale: seconds after which nobody should believe it.
        """
        time, until = iso_times(self.time + np.array([0, round(stale * NS_PER_S)]))
        event = ElementTree.Element(
            "event",
            version="2.0",
            uid=self.identity,
            type=event_type(self.category),
            how="m-f",  # machine, fused
            time=time,
            start=time,
            stale=until,
        )
        longitude, latitude = self.lon_lat
        ElementTree.SubElement(
            event,
            "point",
            lat=f"{latitude:.8f}",
            lon=f"{longitude:.8f}",
            hae=f"{self.height:.2f}",
            ce=UNKNOWN_ERROR if self.circular is None else f"{self.circular:.2f}",
            le=UNKNOWN_ERROR,  # heights are those of the map's datum
        )
        detail = ElementTree.SubElement(event, "detail")
        ElementTree.SubElement(detail, "contact", callsign=self.name)
        ElementTree.SubElement(detail, "track", course=f"{self.course:.1f}", speed=f"{self.speed:.2f}")
        ElementTree.SubElement(detail, "remarks").text = self.remarks
        return event


def event_type(category: str) -> str:
    """Return the type of an event for a class.

    Args:
        category: as the detector names it.
    """
    name = normalise_name(category)
    return TYPES.get(name, VEHICLE_TYPE if name in VEHICLES else GROUND_TYPE)
