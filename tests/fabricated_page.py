"""Scenes as the live page receives them: boxes, a camera, a platform's fused scene."""

from pathlib import Path

import msgspec

from skyweave.fleet.link.scene_message import SceneBox, SceneMessage, SceneView

NOW = 1_750_000_000.0  # UTC seconds
SECONDS = 40
SILENT = range(20, 30)  # seconds in which UAV_2 says nothing


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


def write_recording(path: Path, chunk_size: int = 4000, finish: bool = True) -> Path:
    """Two nodes follow a car that drives east at 2 m/s; one of them is silent for a while."""
    from mcap.writer import Writer

    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=chunk_size)
        writer.start(profile="", library="test")
        channels = {
            name: writer.register_channel(f"skyweave/test/result/{name}/scene", "json", 0)
            for name in ("UAV_1", "UAV_2")
        }
        other = writer.register_channel("/tf", "protobuf", 0)
        for step in range(2 * SECONDS):
            time = round((NOW + step / 2) * 1e9)
            writer.add_message(other, time, b"\0", time)
            for name, channel in channels.items():
                if name == "UAV_1" or step // 2 not in SILENT:
                    car = box("1", float(step), velocity=(2.0, 0.0))
                    content = msgspec.json.encode(scene(name, step / 2, car, sequence=step))
                    writer.add_message(channel, time, content, time)
        if finish:
            writer.finish()
    return path
