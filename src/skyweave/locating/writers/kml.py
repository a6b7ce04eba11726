"""Tracks as KML 2.3 tracks, which play over time, and the ellipse of the last point of each."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.geometry.geodesy import unproject_lon_lat
from skyweave.locating.track_table import TrackTable, iso_times
from skyweave.locating.writers.base import TrackOutput

KML, GOOGLE = "http://www.opengis.net/kml/2.2", "http://www.google.com/kml/ext/2.2"
ELLIPSE_CORNERS = 36


def write_track_kml(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.kml``.

    Args:
        output: what to write.
        folder: where.
    """
    ElementTree.register_namespace("", KML)
    ElementTree.register_namespace("gx", GOOGLE)
    root = ElementTree.Element(f"{{{KML}}}kml")
    document = _child(root, "Document")
    _child(document, "name", "Tracks")
    for table in output.tables:
        _add_track(document, table, output)
    path = folder / "tracks.kml"
    with write_aside(path) as aside:
        ElementTree.ElementTree(root).write(aside, "utf-8", xml_declaration=True)
    return [path]


def _add_track(document: ElementTree.Element, table: TrackTable, output: TrackOutput) -> None:
    place = _child(document, "Placemark")
    _child(place, "name", f"{table.category} {table.number}")
    major, minor, _ = table.ellipses[-1]
    _child(
        place,
        "description",
        f"{len(table)} points, {table.length:.1f} m, {table.speeds.mean():.1f} m/s in the mean; nine times of ten "
        f"within an ellipse of {major:.1f} x {minor:.1f} m",
    )
    if output.result.has_utc:
        track = ElementTree.SubElement(place, f"{{{GOOGLE}}}Track")
        _child(track, "altitudeMode", "clampToGround")
        for time in iso_times(table.times):
            _child(track, "when", time)
        for longitude, latitude in table.lon_lat:
            ElementTree.SubElement(track, f"{{{GOOGLE}}}coord").text = f"{longitude:.8f} {latitude:.8f} 0"
    else:  # tracks need times of the world
        shape = _child(place, "LineString" if len(table) > 1 else "Point")
        _child(shape, "coordinates", _coordinates(table.lon_lat))
    ellipse = _child(document, "Placemark")
    _child(ellipse, "name", f"{table.category} {table.number}: 90 %")
    ring = _child(_child(_child(ellipse, "Polygon"), "outerBoundaryIs"), "LinearRing")
    _child(ring, "coordinates", _coordinates(ellipse_outline(table, output.result.crs)))


def ellipse_outline(table: TrackTable, crs: str) -> np.ndarray:
    """Return the outline of the ellipse of the last point: (n, 2) degrees, closed.

    Args:
        table: of a track.
        crs: of the map.
    """
    major, minor, angle = table.ellipses[-1]
    around, turn = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS + 1), np.radians(angle)
    local = np.stack([major * np.cos(around), minor * np.sin(around)], 1)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return unproject_lon_lat(table.points[-1] + local @ rotation, crs)


def _coordinates(lon_lat: np.ndarray) -> str:
    return " ".join(f"{longitude:.8f},{latitude:.8f},0" for longitude, latitude in lon_lat)


def _child(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{KML}}}{name}")
    element.text = text
    return element
