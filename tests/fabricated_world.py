"""A small simulated world for tests: everything there is, on few pixels."""

from skyweave.simulator.config import (
    CameraConfig,
    PlatformConfig,
    RoadsConfig,
    SceneryConfig,
    TerrainConfig,
    TrafficConfig,
    WorldConfig,
)


def small_world(**changes: object) -> WorldConfig:
    """Two UAVs over a crossing, with some of each kind of object; any field can be changed."""
    fields: dict[str, object] = {
        "name": "small",
        "scenes": 2,
        "frames": 3,
        "warm_up": 8.0,
        "roads": RoadsConfig(size=120, arms=4),
        "traffic": TrafficConfig(cars=12, trucks=2, buses=1, bicycles=4, pedestrians=10, parked=10),
        "scenery": SceneryConfig(buildings=6, trees=12, texture=0.5),
        "platforms": [uav(count=2)],
    }
    return WorldConfig(**(fields | changes))  # type: ignore[arg-type]


def uav(**changes: object) -> PlatformConfig:
    """A UAV with a small colour camera."""
    camera = CameraConfig(rows=128, columns=224, field_of_view=(65, 65))
    return PlatformConfig(**({"name": "UAV", "cameras": [camera]} | changes))  # type: ignore[arg-type]


HILLS = TerrainConfig(relief=10, wavelength=120)
