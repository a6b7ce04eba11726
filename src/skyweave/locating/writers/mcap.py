"""Tracks as MCAP (mcap.dev): JSON with its schema, and GeoJSON as map panels of viewers show it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import MissingExtraError
from skyweave.locating.track_table import compass_degrees, true_north_offset
from skyweave.locating.writers.base import TrackOutput, TrackPlace
from skyweave.locating.writers.images import TimedPlaces, places_over_time

try:
    from mcap.writer import Writer
except ImportError as error:  # before hours of work are done for nothing
    raise MissingExtraError("MCAP needs mcap; install skyweave[record]") from error

_NUMBER, _NUMBERS = {"type": "number"}, {"type": "array", "items": {"type": "number"}}
TRACK_PROPERTIES: dict[str, Any] = {
    "track": {"type": "integer"},
    "category": {"type": "string"},
    "score": _NUMBER,
    "longitude": _NUMBER | {"description": "degrees"},
    "latitude": _NUMBER | {"description": "degrees"},
    "position": _NUMBERS | {"description": "metres east, north, up in crs"},
    "covariance": _NUMBERS | {"description": "xx, xy, yx, yy, square metres"},
    "velocity": _NUMBERS | {"description": "metres per second east, north"},
    "velocity_covariance": _NUMBERS | {"description": "xx, xy, yx, yy"},
    "heading": _NUMBER | {"description": "degrees clockwise from true north"},
    "size": _NUMBERS | {"description": "length, width, height in metres"},
    "camera": {"type": "string"},
    "frame": {"type": "integer"},
}
TRACKS_SCHEMA: dict[str, Any] = {
    "title": "skyweave.Tracks",
    "type": "object",
    "properties": {
        "time": _NUMBER | {"description": "seconds, UTC or from the first image"},
        "crs": {"type": "string"},
        "tracks": {
            "type": "array",
            "items": {"type": "object", "properties": TRACK_PROPERTIES, "required": list(TRACK_PROPERTIES)},
        },
    },
    "required": ["time", "crs", "tracks"],
}
GEOJSON_SCHEMA: dict[str, Any] = {  # as Foxglove's schemas have it
    "title": "foxglove.GeoJSON",
    "type": "object",
    "properties": {"geojson": {"type": "string", "description": "GeoJSON data encoded as a UTF-8 string"}},
}


def write_track_mcap(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.mcap``: under ``/tracks`` what was seen at each time, under ``/tracks/geojson`` its places.

    Args:
        output: what to write.
        folder: where.
    """
    path = folder / "tracks.mcap"
    with write_aside(path) as aside, aside.open("wb") as file:
        writer: Any = Writer(file)  # parts of it are not typed
        writer.start(profile="", library="skyweave")
        tracks = _register(writer, "/tracks", TRACKS_SCHEMA)
        geojson = _register(writer, "/tracks/geojson", GEOJSON_SCHEMA)
        for timed in places_over_time(output):
            content = tracks_content(output, timed)
            _add(writer, tracks, content, timed.time)
            _add(writer, geojson, {"geojson": json.dumps(_feature_collection(content))}, timed.time)
        writer.finish()
    return [path]


def tracks_content(output: TrackOutput, timed: TimedPlaces) -> dict[str, Any]:
    """Return where tracks are at one time as plain JSON types.

    Args:
        output: tracks.
        timed: the points of that time.
    """
    tracks = [_track_content(output, place) for place in timed.places]
    return {"time": timed.time / 1e9, "crs": output.result.crs, "tracks": tracks}


def _track_content(output: TrackOutput, place: TrackPlace) -> dict[str, Any]:
    table, row = place.table, place.row
    north = true_north_offset(output.result.crs, table.lon_lat[row])
    return {
        "track": table.number,
        "category": table.category,
        "score": round(table.score, 3),
        "longitude": float(table.lon_lat[row, 0]),
        "latitude": float(table.lon_lat[row, 1]),
        "position": np.round([*table.points[row], table.up[row]], 3).tolist(),
        "covariance": table.covariances[row].ravel().tolist(),
        "velocity": np.round(table.velocities[row], 3).tolist(),
        "velocity_covariance": table.velocity_covariances[row].ravel().tolist(),
        "heading": round(float(compass_degrees(table.headings[row : row + 1], north)[0]), 2),
        "size": np.round(table.size, 2).tolist(),
        "camera": output.result.streams[int(table.platforms[row])].name,
        "frame": int(table.frames[row]),
    }


def _feature_collection(content: dict[str, Any]) -> dict[str, Any]:
    features = [
        {
            "type": "Feature",
            "id": track["track"],
            "geometry": {"type": "Point", "coordinates": [track["longitude"], track["latitude"]]},
            "properties": {"name": f"{track['category']} {track['track']}", "heading": track["heading"]},
        }
        for track in content["tracks"]
    ]
    return {"type": "FeatureCollection", "features": features}


def _register(writer: Any, topic: str, schema: dict[str, Any]) -> int:
    number = writer.register_schema(name=schema["title"], encoding="jsonschema", data=json.dumps(schema).encode())
    channel: int = writer.register_channel(topic=topic, message_encoding="json", schema_id=number)
    return channel


def _add(writer: Any, channel: int, content: dict[str, Any], time: int) -> None:
    data = json.dumps(content, allow_nan=False).encode()
    writer.add_message(channel_id=channel, log_time=time, publish_time=time, data=data)
