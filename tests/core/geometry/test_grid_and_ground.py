import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane

DOWN = np.array([0.0, 0, -1])


def test_cells_and_world() -> None:
    grid = MapGrid.covering((-1.0, -2.0, 3.0, 2.0), 0.5)
    assert grid.shape == (8, 8) and grid.bounds == (-1, -2, 3, 2)
    assert grid.cells_from_world(np.array([-0.75, 1.75])).tolist() == [0.5, 0.5]  # the centre of the first cell
    assert grid.world_from_cells(np.array([8.0, 8.0])).tolist() == [3, -2]
    assert grid.affine == (0.5, 0, -1, 0, -0.5, 2)
    assert grid.index(np.array([[-0.9, 1.9], [2.9, -1.9], [3.1, 0], [np.nan, 0]])).tolist() == [0, 63, -1, -1]
    assert grid.cell_centres()[0, 0].tolist() == [-0.75, 1.75]


@given(st.floats(-1e6, 1e6), st.floats(-1e7, 1e7), st.sampled_from([0.25, 0.5, 1.0, 3.0]), st.integers(2, 80))
def test_grids_are_snapped_and_differ_by_whole_cells(x: float, y: float, resolution: float, cells: int) -> None:
    here = MapGrid.around(x, y, cells * resolution, resolution)
    there = MapGrid.around(x + 7.3, y - 3.9, cells * resolution, resolution)
    assert here.shape == (cells, cells)
    offset = np.array(here.offset_to(there))
    point = np.array([x, y])
    assert here.cells_from_world(point) + offset == pytest.approx(there.cells_from_world(point), abs=1e-5)
    assert np.abs(np.array(here.bounds[:2]) + np.array(here.bounds[2:]) - 2 * point).max() <= 2 * resolution + 1e-6


def test_subgrids_and_coarser_grids() -> None:
    grid = MapGrid.covering((0, 0, 10, 10), 1.0)
    part = grid.subgrid(2, 3, 4, 5)
    assert part.bounds == (3, 4, 8, 8) and part.offset_to(grid) == (2, 3)
    assert grid.coarser(4).bounds == (0, 0, 12, 12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MapGrid(0, 0, 1.0, 4, 4, "EPSG:4326"), "degree; a map grid needs metres"),
        (lambda: MapGrid(0, 0, 1.0, 4, 4, "EPSG:999999"), "unknown coordinate reference system"),
        (lambda: MapGrid(0, 0, 0.0, 4, 4), "metres > 0"),
        (lambda: MapGrid(0, 0, 1.0, 0, 4), "no cells"),
        (lambda: MapGrid.covering((0, 0, -1, 1), 1.0), "west < east"),
        (lambda: MapGrid(0, 0, 1.0, 4, 4).offset_to(MapGrid(0, 0, 0.5, 4, 4)), "agree on one resolution"),
        (lambda: MapGrid(0, 0, 1.0, 4, 4).offset_to(MapGrid(0, 0, 1.0, 4, 4, "EPSG:32633")), "one reference system"),
    ],
)
def test_impossible_grids_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_depth_of_a_plane_and_the_horizon() -> None:
    rays = np.array([[0, 0, -1.0], [1, 0, -0.5], [1, 0, 0], [0, 1, 0.3], [1, 0, -1e-9]])
    depth = GroundPlane(2.0).depth(np.array([0.0, 0, 12]), rays)
    assert depth[:2].tolist() == [10, 20] and np.isnan(depth[2:]).all()
    assert np.isnan(GroundPlane(2.0).depth(np.array([0.0, 0, 1]), rays)).all()  # a camera under the ground


def test_depth_of_a_plane_has_gradients_towards_the_pose() -> None:
    position = torch.tensor([1.0, 2, 30], dtype=torch.float64, requires_grad=True)
    rays = torch.tensor([[0.1, 0.2, -0.9], [1, 0, 0.2], [0.5, 0, -0.2]], dtype=torch.float64, requires_grad=True)

    def below(p: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return GroundPlane(1.0).depth(p, r).nan_to_num()

    assert torch.autograd.gradcheck(below, (position, rays))
    below(position, rays).sum().backward()
    assert torch.isfinite(rays.grad).all()  # type: ignore[arg-type]


def test_terrain_is_bilinear_between_the_centres_of_cells() -> None:
    grid = MapGrid.covering((0, 0, 3, 2), 1.0)
    model = ElevationModel(np.array([[1.0, 2, 3], [5, 6, np.nan]]), grid)
    assert model.height(np.array([[0.5, 1.5], [1.0, 1.5], [1.0, 1.0]])).tolist() == [1, 1.5, 3.5]
    assert np.isnan(model.height(np.array([[0.2, 1.5], [2.4, 0.8], [9, 9]]))).all()  # outside, beside unknown, far


@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.floats(-20, 20), st.floats(-20, 20))
def test_rays_end_on_the_terrain_and_never_earlier(dx: float, dy: float, x: float, y: float) -> None:
    grid = MapGrid.around(0, 0, 160, 2.0)
    centres = grid.cell_centres()
    model = ElevationModel(5 * np.sin(centres[..., 0] / 12) * np.cos(centres[..., 1] / 9), grid)
    position, ray = np.array([x, y, 40.0]), np.array([[dx, dy, -1.0]])
    depth = model.depth(position, ray)
    assert np.isfinite(depth).all()
    end = position + depth[:, None] * ray
    assert end[:, 2] == pytest.approx(model.height(end), abs=1e-6)
    before = position + np.linspace(0, 0.999, 400)[:, None] * depth * ray
    assert (before[:, 2] > model.height(before) - 1e-6).all()


def test_rays_that_miss_the_terrain_have_no_depth() -> None:
    grid = MapGrid.around(0, 0, 40, 2.0)
    model = ElevationModel(np.zeros(grid.shape), grid)
    rays = np.array([[3.0, 0, -1], [1, 0, 0.1], [0, 0, -1]])
    depth = model.depth(np.array([0.0, 0, 30]), rays)
    assert np.isnan(depth[:2]).all() and depth[2] == pytest.approx(30)
    assert np.isnan(model.depth(np.array([0.0, 0, -1]), DOWN[None])).all()


def test_a_model_of_nothing_is_refused() -> None:
    grid = MapGrid.covering((0, 0, 2, 2), 1.0)
    with pytest.raises(ValueError, match="no finite height"):
        ElevationModel(np.full((2, 2), np.nan), grid)
    with pytest.raises(ValueError, match="the grid has"):
        ElevationModel(np.zeros((3, 2)), grid)
