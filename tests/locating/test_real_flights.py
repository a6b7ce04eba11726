"""Boxes of real drones: published trajectories are met, and cars are as long as cars."""

from pathlib import Path

import pytest
from locating_real import (
    SONGDO_CRS,
    compare_songdo,
    hit_uav,
    songdo_images,
    songdo_poses,
)

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def test_vehicles_of_songdo_lie_on_their_published_paths(data_dir: Path) -> None:
    import numpy as np

    from skyweave.core.geometry import GroundPlane
    from skyweave.locating import (
        BoxErrorConfig,
        CameraStream,
        CameraTrack,
        LocatingConfig,
        PoseErrorConfig,
        tables_of,
        track_streams,
    )

    folder = data_dir / "drone_traffic_songdo"
    poses, camera = songdo_poses(folder)
    images = songdo_images(folder)[:20]
    errors = PoseErrorConfig(elevation=0.2, position_jitter=0.02, angle_jitter=0.005)
    stated = np.array([0.2, 0.2, 0.5, *np.radians([0.1] * 3), 0.001, 0.001])
    track = CameraTrack(poses, camera, SONGDO_CRS, "ground", 0.0, errors, stated)
    config = LocatingConfig(errors, BoxErrorConfig(share=0.02), calibration_rounds=0)
    result = track_streams([CameraStream("songdo", track, images)], GroundPlane(0.0), config, has_utc=False)
    figures = compare_songdo(folder, tables_of(result), result, len(images), 0.0)
    assert figures["median_error_m"] < 0.6 and figures["vehicles_of_several_tracks"] <= 2


def test_cars_of_hit_uav_are_as_long_as_cars(data_dir: Path) -> None:
    lengths = hit_uav(data_dir / "hit_uav")["length_quantiles_m"]
    assert lengths["p25"] > 3.5 and lengths["p75"] < 5.5
