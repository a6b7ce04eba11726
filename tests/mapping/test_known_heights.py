"""Things of known height land where they stand, for every camera, with one set of height bins."""

import numpy as np
import pytest
import torch

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import GroundPlane
from skyweave.mapping import HeightBins, RatioBins, depth_targets, ground_rays, lift_features, plan_lift, project_to_bev

BINS = HeightBins(ceiling=15, count=151)  # a node every 0.1 m; the same for all of what follows
ALTITUDES = range(20, 121, 10)
PITCHES = range(20, 91, 10)
FIELDS_OF_VIEW = (84.0, 50.0, 25.0)  # focal lengths of 0.56, 1.07 and 2.26 picture widths
SHAPE = (9, 13)
CELL = 0.5


def camera(altitude: float, pitch: float, field: float) -> CameraGeometry:
    pinhole = PinholeCamera.from_field_of_view(np.radians(field), 224, 400)
    return CameraGeometry(pinhole, camera_pose(np.array([12.3, -4.7, altitude]), 0.7, np.radians(pitch)))


@pytest.mark.parametrize("field", FIELDS_OF_VIEW)
@pytest.mark.parametrize("pitch", PITCHES)
def test_things_of_known_height_land_in_their_cell(pitch: float, field: float) -> None:
    for altitude in ALTITUDES:
        geometry = camera(altitude, pitch, field)
        rays = ground_rays(geometry, GroundPlane(), SHAPE)
        fall, across = -rays.directions[:, 2], rays.directions[:, :2].norm(dim=1)
        down = torch.isfinite(rays.ground_depth)
        depths = BINS.depths(rays)
        # a thing of one of these heights stands on every ray: at a node, so its cell is exactly right
        known = torch.tensor([0, 0.5, 1.5, 3, 7.3, 11.9, 15], dtype=torch.float64)[torch.arange(len(fall)) % 7]
        truth = rays.ground_depth - known / fall
        things = rays.position + truth[:, None] * rays.directions
        targets, mask = depth_targets(depths, truth)
        assert torch.equal(mask, down)
        middle = rays.position + (rays.ground_depth[:, None] * rays.directions)[len(fall) // 2]
        grid = MapGrid.around(float(middle[0]), float(middle[1]), 200, CELL)
        # the features are the thing's own place: every cell must hold places that are in it
        features = torch.where(down[:, None], things[:, :2], 0).t().reshape(1, 2, *SHAPE)
        plan = plan_lift([geometry], grid, BINS, SHAPE, cache=False)
        placed, weight = lift_features(features, plan, weights=targets.t().reshape(1, 151, *SHAPE))
        hit = weight[0] > 1e-6
        within = grid.index(things[down].numpy()) >= 0
        assert float(weight.sum()) == pytest.approx(within.sum(), abs=1e-6) and within.sum() > 5
        centres = torch.as_tensor(grid.cell_centres())[hit]
        places = (placed[0, :, hit] / weight[0, hit]).t()
        assert (places - centres).abs().max() <= CELL / 2 + 1e-5
        # any height between nodes: right in the mean, and never further off than half a node's width on the map
        anything = torch.linspace(0, 15, len(fall), dtype=torch.float64)
        truth = rays.ground_depth - anything / fall
        targets, mask = depth_targets(depths, truth, soft=False)
        error = ((targets * depths).sum(1) - truth).abs() * across
        assert (error[mask] <= (0.05 / fall * across)[mask] + 1e-9).all()
        falling = mask & (fall >= np.tan(np.radians(11.5)) * across)
        assert (error[falling] <= CELL / 2).all()


def test_the_flat_ground_puts_tall_things_behind_themselves() -> None:
    """What the lift is for: at 45 degrees a thing of 10 m lands 10 m off without it."""
    geometry = camera(60, 45, 50)
    rays = ground_rays(geometry, GroundPlane(), SHAPE)
    middle = SHAPE[0] // 2 * SHAPE[1] + SHAPE[1] // 2
    truth = rays.ground_depth + 10 / rays.directions[:, 2]
    thing = (rays.position + truth[:, None] * rays.directions)[middle].numpy()
    grid = MapGrid.around(thing[0], thing[1], 60, CELL)
    features = torch.zeros(1, *SHAPE)
    features.view(-1)[middle] = 1
    weights = depth_targets(BINS.depths(rays), truth)[0].t().reshape(151, *SHAPE).float()
    lifted = project_to_bev(features, geometry, grid, weights=weights, bins=BINS).features[0].numpy()
    flat = project_to_bev(features, geometry, grid).features[0].numpy()
    off = [np.linalg.norm(grid.cell_centres()[m > 0.5][0] - thing[:2]) for m in (lifted, flat)]
    assert off[0] < 0.36 and off[1] == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize(
    ("altitude", "pitch", "share"), [(20, 60, 0.27), (40, 60, 0.53), (76, 60, 1.0), (120, 60, 1.0), (120, 20, 0.81)]
)
def test_one_set_of_ratio_bins_holds_over_a_limited_range_of_altitudes(altitude: int, pitch: int, share: float) -> None:
    """The released bins reach 15 m only from 76 m up; docs/mapping.md has the whole table."""
    rays = ground_rays(camera(altitude, pitch, 50), GroundPlane(), (28, 60))
    fall, across = -rays.directions[:, 2], rays.directions[:, :2].norm(dim=1)
    shuffled = torch.randperm(len(fall), generator=torch.Generator().manual_seed(0))
    truth = rays.ground_depth - torch.linspace(0, 15, len(fall), dtype=torch.float64)[shuffled] / fall
    error = (RatioBins(0.198, 100).depths(rays) - truth[:, None]).abs().amin(1) * across
    asked = fall >= np.tan(np.radians(12)) * across
    assert float((error[asked] <= CELL / 2).double().mean()) == pytest.approx(share, abs=0.03)
