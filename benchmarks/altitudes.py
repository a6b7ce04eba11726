"""Over which altitudes one set of depth bins can put things of 0 to 15 m where they are.

    python benchmarks/altitudes.py

No network: the bin nearest to the true depth is taken, so this is the best any network can do with those bins. Cameras
at 20 to 120 m, pitched 20 to 90 degrees down, with three focal lengths; rays that fall at least 12 degrees. A thing is
right if it lands within half a cell (0.25 m) of its place on the map.
"""

import argparse
import json

import numpy as np
import torch

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.ground import GroundPlane
from skyweave.mapping import Bins, DepthBins, FlatGround, HeightBins, OffsetBins, RatioBins, ground_rays

ALTITUDES = (20, 30, 40, 60, 80, 100, 120)
PITCHES = (20, 30, 45, 60, 75, 90)
FIELDS_OF_VIEW = (84, 50, 25)
SHAPE, CELL, TALLEST, LEAST_FALL = (28, 60), 0.5, 15.0, np.tan(np.radians(12))
CONTENDERS: tuple[Bins, ...] = (
    HeightBins(15, 151),
    RatioBins(0.198, 100),
    RatioBins(0.75, 151),
    RatioBins(0.75, 901),
    OffsetBins(10, 11),
    DepthBins(1, 100, 1),
    FlatGround(),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    shares = [[share_right(bins, altitude) for altitude in ALTITUDES] for bins in CONTENDERS]
    if arguments.json:
        print(json.dumps({"altitudes": ALTITUDES, "bins": [str(b) for b in CONTENDERS], "share_right": shares}))
        return
    print("| bins | " + " | ".join(f"{altitude} m" for altitude in ALTITUDES) + " |\n|" + " --- |" * 8)
    for bins, row in zip(CONTENDERS, shares, strict=True):
        print(f"| `{bins}` | " + " | ".join(f"{100 * share:.1f}" for share in row) + " |")


def share_right(bins: Bins, altitude: float) -> float:
    """Share of things, over all pitches, focal lengths, pixels and heights, within half a cell."""
    right, total = 0, 0
    generator = torch.Generator().manual_seed(0)
    for pitch in PITCHES:
        for field in FIELDS_OF_VIEW:
            camera = PinholeCamera.from_field_of_view(np.radians(field), 224, 480)
            pose = camera_pose(np.array([0, 0, altitude]), 0.4, np.radians(pitch))
            rays = ground_rays(CameraGeometry(camera, pose), GroundPlane(), SHAPE)
            across, fall = rays.directions[:, :2].norm(dim=1), -rays.directions[:, 2]
            height = TALLEST * torch.rand(len(fall), generator=generator, dtype=torch.float64)
            truth = rays.ground_depth - height / fall
            error = (bins.depths(rays) - truth[:, None]).abs().nan_to_num(nan=torch.inf).amin(1) * across
            asked = fall >= LEAST_FALL * across
            right += int((error[asked] <= CELL / 2).sum())
            total += int(asked.sum())
    return right / total


if __name__ == "__main__":
    main()
