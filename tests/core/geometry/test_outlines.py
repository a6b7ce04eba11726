"""Lines on pictures and maps are where the things are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fabricated_recordings import CRS, EAST, NORTH, cast, scene
from skyweave.core.geometry.boxes import Boxes
from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import camera_pose
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import ElevationModel, GroundPlane
from skyweave.core.geometry.outlines import camera_footprint, clip_edges, name_colour, project_box_edges
from skyweave.core.sensors import get_sensor
from skyweave.recordings.nuscenes.link import nanoseconds_from_timestamp
from skyweave.viewing.contact_sheet import write_contact_sheet
from skyweave.viewing.ground_mosaic import frame_map_grid, render_ground_mosaic


def test_outlines_enclose_the_pixels_of_their_box() -> None:
    frame = scene(rows=120, columns=200, crs=None).frames[0]
    assert frame.annotations is not None
    for capture in frame.captures.values():
        geometry = capture.true_geometry
        assert geometry is not None
        _, index = cast(geometry, frame.annotations.boxes)
        for number, outline in enumerate(project_box_edges(geometry, frame.annotations.boxes)):
            rows, columns = np.nonzero(index == number)
            assert len(outline) == 14 and len(rows)
            low, high = outline.reshape(-1, 2).min(0), outline.reshape(-1, 2).max(0)
            assert (low <= [columns.min() + 0.5, rows.min() + 0.5]).all()
            assert (high >= [columns.max() + 0.5, rows.max() + 0.5]).all()
            assert (high - low <= np.array([np.ptp(columns) + 3, np.ptp(rows) + 3])).all()


def test_boxes_behind_or_beside_the_camera_have_no_lines() -> None:
    geometry = CameraGeometry(PinholeCamera.from_field_of_view(1.0, 60, 80), camera_pose(np.zeros(3), 0.0, 0.0))
    boxes = Boxes([[-10, 0, 0], [10, 0, 0], [10, 50, 0], [2, 0, 0]], [[4, 2, 2]] * 3 + [[8, 2, 2]], [0.0] * 4)
    counts = [len(outline) for outline in project_box_edges(geometry, boxes)]
    assert counts[0] == 0 and counts[1] == 14 and counts[2] == 0
    assert all(np.isfinite(outline).all() for outline in project_box_edges(geometry, boxes))


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=8))
@settings(max_examples=50)
def test_cut_edges_stay_in_front(depths: list[tuple[float, float]]) -> None:
    edges = np.array([[[1.0, 2.0, a], [-3.0, 0.5, b]] for a, b in depths])
    cut = clip_edges(edges, 0.1)
    assert len(cut) == sum(max(pair) > 0.1 for pair in depths)
    assert (cut[..., 2] >= 0.1 - 1e-9).all() and np.isfinite(cut).all()


@pytest.mark.parametrize("pitch", [0.0, 0.3, 0.8, np.pi / 2])
def test_views_end_at_the_ground_or_far_away(pitch: float) -> None:
    geometry = CameraGeometry(
        PinholeCamera.from_field_of_view(1.2, 60, 80), camera_pose(np.array([5.0, 6.0, 50.0]), 0.4, pitch)
    )
    outline = camera_footprint(geometry, GroundPlane(2.0), 300.0)
    away = np.linalg.norm(outline - geometry.position, axis=1)
    on_ground = np.abs(outline[:, 2] - 2.0) < 1e-9
    assert len(outline) == 32 and (on_ground | np.isclose(away, 300.0)).all() and away.max() < 300.0 + 1e-6
    assert on_ground.any() and (pitch < 0.5 or on_ground.all())


def test_the_mosaic_shows_colours_where_the_pictures_saw_them() -> None:
    one = scene(rows=120, columns=200)
    frame = one.frames[0]
    grid = frame_map_grid(frame, one.ground, 200, one.crs)
    mosaic = render_ground_mosaic(frame, one.ground, grid, {c: x.load() for c, x in frame.captures.items()})
    assert frame.annotations is not None and mosaic.shape == (200, 200, 3)
    cells = grid.cells_from_world(frame.annotations.boxes.centres)
    assert ((cells > 0) & (cells < 200)).all()
    row, column = cells[0].astype(int)  # a car's colour near its foot, not that of the ground
    pixels = frame.captures["UAV_1"].load().pixels
    ground = pixels[:, 0, 0]
    assert np.abs(mosaic[row, column] - ground).max() > 20
    corner = grid.cells_from_world(one.frames[0].captures["UAV_1"].geometry.world_from_camera[:3, 3])
    assert corner.shape == (2,)


def test_names_keep_their_colours() -> None:
    assert name_colour("vehicle.car") == name_colour("car") != name_colour("truck")
    assert name_colour("UAV_1") == name_colour("UAV_1") != name_colour("UAV_2")


def test_time_stamps_in_any_unit() -> None:
    assert nanoseconds_from_timestamp(1_700_000_000_123_456) == 1_700_000_000_123_456_000
    assert nanoseconds_from_timestamp(1_700_000_000_123_456_789) == 1_700_000_000_123_456_789
    assert nanoseconds_from_timestamp(12.5) == 12_500 and nanoseconds_from_timestamp(3.0) == 3000


def test_a_sheet_over_hills_with_a_camera_at_the_horizon_and_another_sensor(tmp_path: Path) -> None:
    made = scene(frames=1, sensor=get_sensor("sentinel2-l2a"))
    grid = MapGrid.around(EAST, NORTH, 60, 2.0, CRS)  # smaller than what the cameras see
    hills = ElevationModel(np.random.default_rng(0).uniform(0, 3, grid.shape), grid)
    frame = made.frames[0]
    level = camera_pose(np.array([EAST, NORTH, 20.0]), 1.0, 0.0)
    capture = frame.captures["UAV_1"]
    captures = {
        **frame.captures,
        "UAV_1": replace(capture, geometry=replace(capture.geometry, world_from_camera=level)),
    }
    one = replace(made, frames=[replace(frame, captures=captures, annotations=None)], ground=hills)
    assert write_contact_sheet(tmp_path / "sheet.png", one, [0]) == []
    assert write_contact_sheet(tmp_path / "sheet.png", one, [0], channels=[]) == []
    with Image.open(tmp_path / "sheet.png") as opened:
        assert opened.size[1] > 420
