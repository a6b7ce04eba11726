"""A flight finds itself on an orthophoto of another look, to a fraction of a cell, and says when it does not know."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from fabricated_flight import EAST, NORTH, ZONE, Drawn, lawnmower, write_flight
from fabricated_world import small_world
from skyweave.core.errors import DataError
from skyweave.core.geometry.grid import MapGrid
from skyweave.orthomosaic.pipeline import OrthomosaicReport, make_orthomosaic
from skyweave.orthomosaic.reference import ReferenceShift, locate_on_reference
from skyweave.simulator.config import SceneryConfig
from skyweave.simulator.imagery import earlier_world, render_imagery
from skyweave.simulator.imagery_config import ImageryConfig
from skyweave.simulator.world import World, _generators

OFF = (7.4, -5.2, 0.0)  # metres that a satellite navigation is wrong by


def another_look(drawn: Drawn, path: Path, cell: float = 0.25, seed: int | None = None) -> Path:
    """The drawn ground as a raster: dark where it was bright, blurred, in noise; of another place with a seed."""
    grid = MapGrid.around(EAST, NORTH, 100.0, cell, ZONE.crs)
    random = np.random.default_rng(seed or 0)
    grey = drawn.at(grid.cell_centres())[..., 0] if seed is None else random.uniform(0, 255, grid.shape)
    pixels = np.clip(230 - 0.6 * grey + random.normal(0, 12, grid.shape), 0, 255).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": grid.rows, "width": grid.columns}
    with rasterio.open(path, "w", **profile, crs=grid.crs, transform=rasterio.Affine(*grid.affine)) as file:
        file.write(pixels, 1)
    return path


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Path:
    shots = [replace(shot, said_shift=OFF) for shot in lawnmower()]
    return write_flight(tmp_path_factory.mktemp("flight"), shots, drawn)


def mapped(flight: Path, tmp_path: Path, reference: Path) -> OrthomosaicReport:
    return make_orthomosaic([flight], tmp_path / "mosaic.tif", reference=reference, horizontal_std=3.0, resolution=0.4)


def test_a_flight_is_moved_to_where_it_was(flight: Path, tmp_path: Path, drawn: Drawn) -> None:
    report = mapped(flight, tmp_path, another_look(drawn, tmp_path / "reference.tif"))
    moved = report.reference
    assert moved is not None and moved.std < 0.5
    assert (moved.east, moved.north) == pytest.approx((-OFF[0], -OFF[1]), abs=0.15)
    assert any("was moved by" in note for note in report.notes)
    assert all(photo.moved == pytest.approx(np.hypot(*OFF[:2]), abs=0.2) for photo in report.photos)


def test_a_flight_that_is_not_on_the_reference_stays(flight: Path, tmp_path: Path, drawn: Drawn) -> None:
    report = mapped(flight, tmp_path, another_look(drawn, tmp_path / "reference.tif", seed=1))
    assert report.reference is None
    assert any("is not known, so it was not moved" in note for note in report.notes)
    assert all(photo.moved == 0 for photo in report.photos)


def test_a_reference_without_a_place_is_refused(flight: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "nowhere.tif")
    with pytest.warns(NotGeoreferencedWarning), pytest.raises(DataError, match="no reference system"):
        mapped(flight, tmp_path, tmp_path / "nowhere.tif")


@pytest.fixture(scope="module")
def seasons() -> list[tuple[np.ndarray, np.ndarray]]:
    """Two places now, and as they were in another season, with other traffic and clouds."""
    imagery = ImageryConfig("ref", ground_sample_distance=0.5, size=120, seasons=1.0, clouds=0.1)
    pairs = []
    for index in range(2):
        scenery = SceneryConfig(buildings=8, trees=20, texture=0.25)
        world, draw = World(small_world(imagery=[imagery], scenery=scenery), 7, index), _generators(7, index)
        sensor, then = world.sensors["rgb", None], earlier_world(world, imagery, draw)
        now = render_imagery(world, replace(imagery, clouds=0.0), sensor, draw).mean(0)
        pairs.append((now, render_imagery(then, imagery, sensor, draw).mean(0)))
    return pairs


def shifted(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A part of an image where it is not: NaN around."""
    result = np.full(image.shape, np.nan)
    result[40:200, 40:200] = image[40 - rows : 200 - rows, 40 - columns : 200 - columns]
    return result


def test_another_season_is_the_same_place(seasons: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for now, then in seasons:
        for rows, columns in ((0, 0), (13, -24), (-20, 7)):
            found: ReferenceShift = locate_on_reference(shifted(now, rows, columns), then, 0.5, 18.0)
            assert found.known, found.reason
            error = found.shift - np.array([-columns, rows]) * 0.5
            assert np.hypot(*error) < 0.3
            assert error @ np.linalg.solve(found.covariance, error) < 9.2, "within the stated 99 %"


def test_another_place_is_not_known(seasons: list[tuple[np.ndarray, np.ndarray]]) -> None:
    (now, _), (_, elsewhere) = seasons
    assert not locate_on_reference(shifted(now, 0, 0), elsewhere, 0.5, 18.0).known
    nothing = np.full(now.shape, np.nan)
    assert locate_on_reference(nothing, elsewhere, 0.5, 18.0).reason == "the two images hardly overlap"


def test_beyond_the_search_nothing_is_known(seasons: list[tuple[np.ndarray, np.ndarray]]) -> None:
    now, then = seasons[0]
    assert not locate_on_reference(shifted(now, 24, 0), then, 0.5, 6.0).known, "12 m off, 6 m searched"


def test_one_road_does_not_say_where_along_it() -> None:
    """Stripes along one axis: no shift along them is better than another."""
    stripes = np.tile(100 + 80 * np.sin(np.arange(160) / 2.3 + np.sin(np.arange(160) / 17)), (160, 1))
    noise = np.random.default_rng(0).normal(0, 2, (2, 160, 160))
    assert not locate_on_reference(stripes + noise[0], stripes + noise[1], 0.5, 20.0).known
