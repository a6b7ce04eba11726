"""Tracks as a Rerun file (rerun.io): boxes and ellipses over time near zero, and points on its map."""

from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import MissingExtraError
from skyweave.core.geometry.outlines import name_colour
from skyweave.locating.writers.base import TrackOutput, TrackPlace
from skyweave.locating.writers.images import places_over_time

try:
    import rerun as rr
except ImportError as error:  # before hours of work are done for nothing
    raise MissingExtraError("Rerun files need rerun-sdk; install skyweave[view]") from error

ORIGIN_DIGITS = -1  # the origin is rounded to 10 m: Rerun holds 32-bit floats
ELLIPSE_HALF_HEIGHT_M = 0.05
ELLIPSE_POINTS = 24
GEO_RADIUS = -5.0  # negative: points of the screen


def write_track_rerun(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.rrd``.

    Args:
        output: what to write.
        folder: where.
    """
    path = folder / "tracks.rrd"
    points = np.concatenate([table.points for table in output.tables]) if output.tables else np.zeros((1, 2))
    origin = np.array([*np.round(points[0], ORIGIN_DIGITS), 0.0])
    with write_aside(path) as aside:
        stream = rr.RecordingStream("skyweave", recording_id=f"tracks-{len(output.tables)}-{len(points)}")
        stream.save(str(aside))
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        stream.log("origin", rr.TextDocument(f"moved by {(-origin).tolist()} m from {output.result.crs}"), static=True)
        for timed in places_over_time(output):
            stream.set_time("time", **_time(timed.time, output.result.has_utc))
            _log_places(stream, timed.places, origin)
        stream.flush()
        stream.disconnect()
    return [path]


def _time(time: int, has_utc: bool) -> dict[str, Any]:
    return {"timestamp": np.datetime64(time, "ns")} if has_utc else {"duration": np.timedelta64(time, "ns")}


def _log_places(stream: Any, places: list[TrackPlace], origin: np.ndarray) -> None:
    """Log the boxes, the ellipses and the points on the map of one time."""
    colours = [name_colour(place.table.category) for place in places]
    names = [f"{place.table.category} {place.table.number}" for place in places]
    yaws = np.array([place.table.headings[place.row] for place in places])
    sizes = np.array([place.table.size for place in places])
    ground = np.array([[*place.table.points[place.row], place.table.up[place.row]] for place in places]) - origin
    centres = ground + np.array([0.0, 0.0, 0.5]) * sizes
    boxes = rr.Boxes3D(
        centers=centres,
        half_sizes=sizes / 2,
        quaternions=np.stack([0 * yaws, 0 * yaws, np.sin(yaws / 2), np.cos(yaws / 2)], -1),
        colors=colours,
        labels=names,
        show_labels=False,
    )
    stream.log("world/objects", boxes)
    rings = [_ellipse(place) + point for place, point in zip(places, ground, strict=True)]
    stream.log("world/ellipses", rr.LineStrips3D(rings, colors=colours))
    lat_lon = np.array([place.table.lon_lat[place.row][::-1] for place in places])
    stream.log("map/objects", rr.GeoPoints(lat_lon=lat_lon, colors=colours, radii=GEO_RADIUS))


def _ellipse(place: TrackPlace) -> np.ndarray:
    """Return the outline of the 90 % ellipse about its middle: (n, 3) metres."""
    major, minor, angle = place.table.ellipses[place.row]
    around, turn = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS + 1), np.radians(angle)
    along, across = major * np.cos(around), minor * np.sin(around)
    east, north = along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)
    return np.stack([east, north, np.full(len(around), ELLIPSE_HALF_HEIGHT_M)], -1)
