"""A fleet's objects, tracks, platforms and detections as GeoJSON features, in degrees of CRS84."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np

from skyweave.fleet.dashboard.state import DashboardState

ELLIPSE_SCALE = math.sqrt(-2 * math.log(0.1))  # standard deviations of the ellipse that holds 90 %
DIGITS = 8  # of degrees: about a millimetre


@dataclass(frozen=True)
class MapFeature:
    """One feature in the fleet's reference system.

    Attributes:
        identity: unique within its collection.
        kind: of geometry: Point, LineString or Polygon.
        points: (n, 2) metres east and north.
        begin: UTC seconds of what it shows.
        end: UTC seconds of the last of it.
        properties: plain JSON types.
    """

    identity: str
    kind: str
    points: np.ndarray
    begin: float
    end: float
    properties: dict[str, Any]


@dataclass(frozen=True)
class FeatureCollection:
    """A kind of features.

    Attributes:
        title: for people.
        description: for people.
        collect: returns the features as of now.
    """

    title: str
    description: str
    collect: Callable[[DashboardState], list[MapFeature]]


def object_features(state: DashboardState) -> list[MapFeature]:
    """Return every object of the common scene as a point.

    Args:
        state: of the fleet.
    """
    features = []
    for known in state.common_scene.objects():
        content = known.json_content()
        points = np.array([content["centre"][:2]])
        features.append(
            MapFeature(known.identity, "Point", points, known.time, known.time, _object_properties(content))
        )
    return features


def track_features(state: DashboardState) -> list[MapFeature]:
    """Return the way of every object of the common scene over the last minute.

    Args:
        state: of the fleet.
    """
    return [
        MapFeature(
            known.identity,
            "LineString",
            np.array([point[:2] for point in known.trail]),
            known.trail[0][2],
            known.trail[-1][2],
            {
                **_object_properties(known.json_content()),
                "begin": _timestamp(known.trail[0][2]),
                "end": _timestamp(known.trail[-1][2]),
            },
        )
        for known in state.common_scene.objects()
        if len(known.trail) > 1
    ]


def platform_features(state: DashboardState) -> list[MapFeature]:
    """Return every platform as a point: its first camera; those that are lost where they were.

    Args:
        state: of the fleet.
    """
    content, features = state.json_content(), []
    for name, scene in content["platforms"].items():
        for view in scene["views"][:1]:
            properties = {
                "platform": name,
                "time": _timestamp(scene["time"]),
                "age_s": content["age"][name],
                "altitude_m": view.position[2],
                "heading_deg": _azimuth(view.heading),
                "latency_s": scene["latency"],
                "objects": len(scene["boxes"]),
                "budget_bytes": scene["budget"],
                "lost": False,
            }
            point = np.array([view.position[:2]])
            features.append(MapFeature(name, "Point", point, scene["time"], scene["time"], properties))
    shown = {feature.identity for feature in features}
    for lost in content["lost"]:
        time, name = content["time"] - lost["age"], lost["platform"]
        features = [feature for feature in features if feature.identity != name] if name in shown else features
        properties = {"platform": name, "time": _timestamp(time), "age_s": lost["age"], "lost": True}
        features.append(MapFeature(name, "Point", np.array([lost["position"][:2]]), time, time, properties))
    return features


def detection_features(state: DashboardState) -> list[MapFeature]:
    """Return the boxes of every platform's newest scene as they stand on the ground.

    Args:
        state: of the fleet.
    """
    features = []
    for scene in state.scenes():
        for index, box in enumerate(scene.boxes):
            cosine, sine = math.cos(box.yaw), math.sin(box.yaw)
            corners = np.array([[0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]]) * box.size[:2]
            points = corners @ np.array([[cosine, sine], [-sine, cosine]]) + box.centre[:2]
            properties = {
                "platform": scene.platform,
                "track": box.id,
                "identity": state.common_scene.identity(scene.platform, box.id),
                "class": box.category,
                "score": box.score,
                "time": _timestamp(scene.time),
                "speed_m_s": round(math.hypot(*box.velocity), 2),
                "observers": list(box.observers),
                **_ellipse(box.covariance),
            }
            identity = f"{scene.platform}.{index}"
            features.append(MapFeature(identity, "Polygon", points, scene.time, scene.time, properties))
    return features


COLLECTIONS = {
    "objects": FeatureCollection("Objects", "every object of the fleet once, where it is", object_features),
    "tracks": FeatureCollection("Tracks", "the way of every object over the last minute", track_features),
    "platforms": FeatureCollection(
        "Platforms", "where the platforms are, or were when they got lost", platform_features
    ),
    "detections": FeatureCollection("Detections", "the boxes of every platform's own scene", detection_features),
}


def geojson_features(features: Sequence[MapFeature], crs: str) -> list[dict[str, Any]]:
    """Return features as GeoJSON (RFC 7946), plain JSON types.

    Args:
        features: in the reference system.
        crs: the reference system.

    Raises:
        pyproj.exceptions.ProjError: it is none, or has no place on Earth.
    """
    if not features:
        return []
    points = np.concatenate([feature.points for feature in features])
    longitude, latitude = _to_degrees(crs).transform(points[:, 0], points[:, 1], errcheck=True)
    degrees = np.stack([longitude, latitude], 1).round(DIGITS)
    ends = np.cumsum([len(feature.points) for feature in features])[:-1]
    return [
        {
            "type": "Feature",
            "id": feature.identity,
            "geometry": {"type": feature.kind, "coordinates": _coordinates(feature.kind, part.tolist())},
            "properties": feature.properties,
        }
        for feature, part in zip(features, np.split(degrees, ends), strict=True)
    ]


def _coordinates(kind: str, points: list[Any]) -> list[Any]:
    if kind == "Point":
        coordinates: list[Any] = points[0]
        return coordinates
    return [points] if kind == "Polygon" else points


def _object_properties(content: dict[str, Any]) -> dict[str, Any]:
    return {
        "identity": content["identity"],
        "class": content["category"],
        "score": content["score"],
        "time": _timestamp(content["time"]),
        "speed_m_s": content["speed"],
        "heading_deg": _azimuth(content["heading"]),
        "length_m": content["size"][0],
        "width_m": content["size"][1],
        "observers": content["observers"],
        "platforms": list(content["tracks"]),
        **_ellipse(content["covariance"]),
    }


def _ellipse(covariance: Iterable[float] | None) -> dict[str, float | None]:
    """Return the half axes of the 90 % ellipse, and the azimuth of the longer; None where nobody knows it."""
    if covariance is None:
        return {"ellipse_long_m": None, "ellipse_short_m": None, "ellipse_azimuth_deg": None}
    xx, xy, yy = covariance
    mean, root = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    return {
        "ellipse_long_m": round(ELLIPSE_SCALE * math.sqrt(max(mean + root, 0.0)), 3),
        "ellipse_short_m": round(ELLIPSE_SCALE * math.sqrt(max(mean - root, 0.0)), 3),
        "ellipse_azimuth_deg": _azimuth(math.atan2(2 * xy, xx - yy) / 2) % 180,
    }


def _azimuth(angle: float) -> float:
    """Return degrees clockwise from the map's north, of radians counter-clockwise from east."""
    return round((90.0 - math.degrees(angle)) % 360, 1)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=16)
def _to_degrees(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)


def is_within(feature: dict[str, Any], bounds: Sequence[float]) -> bool:
    """Return whether a GeoJSON feature's bounds meet a rectangle; west > east: across the antimeridian.

    Args:
        feature: GeoJSON.
        bounds: (west, south, east, north) in degrees.
    """
    points = np.array(feature["geometry"]["coordinates"]).reshape(-1, 2)
    (west, south), (east, north) = points.min(0), points.max(0)
    if north < bounds[1] or south > bounds[3]:
        return False
    if bounds[0] > bounds[2]:
        return bool(east >= bounds[0] or west <= bounds[2])
    return bool(east >= bounds[0] and west <= bounds[2])
