"""Scenes as the live page receives them: boxes, a camera, a platform's fused scene."""

from skyweave.fleet.link.scene_message import SceneBox, SceneMessage, SceneView

NOW = 1_750_000_000.0  # UTC seconds


def box(track: str | None, x: float, y: float = 0.0, **changes: object) -> SceneBox:
    values = {
        "id": track,
        "category": "car",
        "score": 0.9,
        "centre": (x, y, 0.8),
        "size": (4.0, 2.0, 1.6),
        "yaw": 0.0,
        "velocity": (0.0, 0.0),
    }
    return SceneBox(**{**values, **changes})  # type: ignore[arg-type]


def view(**changes: object) -> SceneView:
    """A camera 20 m above the origin that looks straight down, its image's up is north."""
    values = {
        "channel": "CAM",
        "position": (0.0, 0.0, 20.0),
        "orientation": (0.0, 1.0, 0.0, 0.0),
        "heading": 0.0,
        "footprint": (),
        "rows": 100,
        "columns": 200,
        "intrinsics": (100.0, 0, 100, 0, 100, 50, 0, 0, 1),
    }
    return SceneView(**{**values, **changes})  # type: ignore[arg-type]


def scene(platform: str, time: float, *boxes: SceneBox, **changes: object) -> SceneMessage:
    values = {
        "fleet": "test",
        "platform": platform,
        "sequence": 1,
        "time": NOW + time,
        "latency": 0.1,
        "crs": "EPSG:32632",
        "boxes": boxes,
        "forecasts": (),
        "views": (view(),),
        "peer_frames": {},
        "links": {},
        "budget": 20_000,
    }
    return SceneMessage(**{**values, **changes})  # type: ignore[arg-type]
