"""Flights with known poses come out where they were; disturbed ones are mended; what is wrong is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from fabricated_flight import (
    EAST,
    NORTH,
    ZONE,
    Drawn,
    Hills,
    Shot,
    lawnmower,
    noisy,
    out_of_shape,
    write_flight,
    write_shot,
)
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import Ground, GroundPlane
from skyweave.orthomosaic.correlation import match_patches
from skyweave.orthomosaic.pipeline import OrthomosaicReport, make_orthomosaic
from skyweave.orthomosaic.poses import read_poses

FLIGHT = lawnmower()
LEVEL = GroundPlane(100.0)


def mapped(
    tmp_path: Path, shots: list[Shot], drawn: Drawn, ground: Ground = LEVEL, **options: Any
) -> OrthomosaicReport:
    folder = write_flight(tmp_path / "flight", shots, drawn, ground)
    return make_orthomosaic([folder], tmp_path / "mosaic.tif", **options)


def offsets(mosaic: Path, drawn: Drawn) -> np.ndarray:
    """(n, 2) metres east and north that patches of a mosaic lie from where they were drawn."""
    with rasterio.open(mosaic) as source:
        red, alpha, affine = source.read(1).astype(np.float32), source.read(4), source.transform
        grid = MapGrid(round(affine.c / affine.a), round(affine.f / affine.a), affine.a, *source.shape, str(source.crs))
    red[alpha == 0] = np.nan
    truth = drawn.at(grid.cell_centres())[..., 0].astype(np.float32)
    places = [(r, c) for r in range(20, grid.rows - 20, 14) for c in range(20, grid.columns - 20, 14)]
    patches = np.stack([red[r - 8 : r + 9, c - 8 : c + 9] for r, c in places])
    windows = np.stack([truth[r - 18 : r + 19, c - 18 : c + 19] for r, c in places])
    shifts, scores, _ = match_patches(patches, windows)
    good = scores > 0.7
    assert good.sum() > 15
    return -shifts[good][:, ::-1] * (grid.resolution, -grid.resolution)


def heading_errors(report: OrthomosaicReport, shots: list[Shot]) -> np.ndarray:
    truth = np.array([shot.yaw + 180 * shot.upside_down for shot in shots])
    return (np.array([photo.heading for photo in report.photos]) - truth + 180) % 360 - 180


def shape_error(report: OrthomosaicReport, shots: list[Shot]) -> float:
    found = ZONE.project([(photo.longitude, photo.latitude) for photo in report.photos])
    return out_of_shape(found, np.array([shot.position[:2] for shot in shots]))


def test_true_poses_give_a_true_mosaic(tmp_path: Path, drawn: Drawn) -> None:
    report = mapped(tmp_path, FLIGHT, drawn)
    assert report.before is not None and report.before.ties > 30
    assert report.before.median < 0.01 and report.before.percentile90 < 0.02
    assert report.after is None and all(photo.turned == 0 for photo in report.photos)
    assert report.resolution == 0.22 and report.crs == "EPSG:32633" and report.height == pytest.approx(30, abs=1e-3)
    errors = offsets(report.path, drawn)
    assert np.hypot(*np.median(errors, axis=0)) < 0.01
    assert np.percentile(np.hypot(*errors.T), 90) < 0.05
    with rasterio.open(report.path) as source:
        assert source.crs == "EPSG:32633" and source.profile["tiled"]
        assert source.transform.a == 0.22 and source.transform.e == -0.22
        assert [c.name for c in source.colorinterp] == ["red", "green", "blue", "alpha"]
        assert set(np.unique(source.read(4))) == {0, 255}
    assert [p.name for p in tmp_path.iterdir()] and not list(tmp_path.glob(".*"))


def test_refining_mends_positions_and_headings(tmp_path: Path, drawn: Drawn) -> None:
    shots = noisy(FLIGHT, metres=1.5, yaw=3.0)
    report = mapped(tmp_path, shots, drawn, refine=True, save_poses=tmp_path / "refined.json")
    assert report.before is not None and report.after is not None
    assert report.before.median > 1.0 and report.after.median < 0.02
    assert report.before.ties == report.after.ties  # one and the same measure
    truth = np.array([shot.position[:2] for shot in shots])
    said = truth + np.array([shot.said_shift[:2] for shot in shots])
    assert shape_error(report, shots) < 0.1 < 0.5 < out_of_shape(said, truth)
    assert np.ptp(heading_errors(report, shots)) < 0.1
    errors = offsets(report.path, drawn)
    assert np.hypot(*errors.T).max() < 3.0  # shift, turn and scale of the whole are as good as the positions
    # the refined poses, read again, need no refining
    again = make_orthomosaic([tmp_path / "flight"], tmp_path / "again.tif", poses=read_poses(tmp_path / "refined.json"))
    assert again.before is not None and again.before.median < 0.02


def test_the_disagreement_is_the_true_one(tmp_path: Path, drawn: Drawn) -> None:
    """One of two photos is said to be 3 m east and 4 m north of where it is: all its ground lies 5 m off."""
    shots = [FLIGHT[0], replace(FLIGHT[1], said_shift=(3.0, 4.0, 0.0))]
    report = mapped(tmp_path, shots, drawn)
    assert report.before is not None
    assert report.before.median == pytest.approx(5.0, abs=0.01)
    assert report.before.percentile90 == pytest.approx(5.0, abs=0.03)
    assert len(report.pairs) == 1 and report.pairs[0].before == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("which", [{2}, {3, 4, 5}, set(range(6))], ids=["one", "strip", "all"])
def test_upside_down_pictures_are_found(tmp_path: Path, drawn: Drawn, which: set[int]) -> None:
    shots = [replace(shot, upside_down=k in which) for k, shot in enumerate(noisy(FLIGHT, 1.0, 3.0))]
    report = mapped(tmp_path, shots, drawn)
    assert {k for k, photo in enumerate(report.photos) if photo.turned == 180} == which
    assert any("upside down" in note and f"{len(which)} pictures" in note for note in report.notes)
    assert report.before is not None and report.before.median < 3.0


@pytest.mark.parametrize("heading", ["along the track", "the same throughout", "any"])
def test_without_gimbal_data_headings_come_from_the_overlaps(tmp_path: Path, drawn: Drawn, heading: str) -> None:
    random = np.random.default_rng(3)
    yaws = {"along the track": None, "the same throughout": 30.0}
    silent = frozenset({"gimbal"})
    shots = [
        replace(
            shot, leave_out=silent, yaw=y if (y := yaws.get(heading, random.uniform(0, 360))) is not None else shot.yaw
        )
        for shot in noisy(FLIGHT, 0.5, 0.0)
    ]
    report = mapped(tmp_path, shots, drawn, refine=True)
    assert {photo.heading_source for photo in report.photos} == {"overlaps"}
    assert np.abs(heading_errors(report, shots)).max() < 3.0
    assert np.ptp(heading_errors(report, shots)) < 0.2
    assert report.after is not None and report.after.median < 0.02
    assert any("nothing of their gimbal" in note for note in report.notes)


def test_without_any_height_it_comes_from_the_overlaps(tmp_path: Path, drawn: Drawn) -> None:
    shots = [replace(shot, leave_out=frozenset({"relative", "altitude"})) for shot in noisy(FLIGHT, 0.3, 2.0)]
    report = mapped(tmp_path, shots, drawn)
    assert report.height_source == "overlaps" and report.height == pytest.approx(30, rel=0.03)
    assert any("found from the overlaps" in note for note in report.notes)


def test_one_photo_without_height_asks_for_it(tmp_path: Path, drawn: Drawn) -> None:
    lonely = [replace(FLIGHT[0], leave_out=frozenset({"relative"}))]
    with pytest.raises(ValueError, match="--height METRES"):
        mapped(tmp_path, lonely, drawn)
    assert not (tmp_path / "mosaic.tif").exists()
    report = make_orthomosaic([tmp_path / "flight"], tmp_path / "mosaic.tif", height=30.0)
    assert report.height == pytest.approx(30) and report.before is None
    assert np.hypot(*np.median(offsets(report.path, drawn), axis=0)) < 0.01


def test_a_wrong_take_off_height_is_noticed(tmp_path: Path, drawn: Drawn) -> None:
    report = mapped(tmp_path, [replace(shot, said_shift=(0, 0, 8.0)) for shot in FLIGHT], drawn)
    assert any("suggest 30" in note for note in report.notes)


def test_oblique_photos_are_placed_too(tmp_path: Path, drawn: Drawn) -> None:
    shots = [replace(shot, pitch=-60.0, roll=2.0) for shot in noisy(FLIGHT, 1.0, 2.0)]
    report = mapped(tmp_path, shots, drawn, refine=True)
    assert report.before is not None and report.after is not None and report.after.median < 0.03 < report.before.median
    straight = make_orthomosaic(
        [write_flight(tmp_path / "true", [replace(s, said_shift=(0, 0, 0), said_yaw=0.0) for s in shots], drawn)],
        tmp_path / "true.tif",
    )
    assert np.hypot(*np.median(offsets(straight.path, drawn), axis=0)) < 0.02


def test_relief_needs_an_elevation_model(tmp_path: Path, drawn: Drawn) -> None:
    hills = Hills()
    dem = hills.write(tmp_path / "dem.tif")
    start = float(hills.height(np.array(FLIGHT[0].position[:2])))
    shots = [replace(shot, said_shift=(0, 0, 100.0 - start)) for shot in FLIGHT]  # altitudes count from the take-off
    flat = mapped(tmp_path, shots, drawn, hills)
    level = make_orthomosaic([tmp_path / "flight"], tmp_path / "dem_mosaic.tif", elevation=dem)
    assert flat.before is not None and level.before is not None
    assert level.before.median < 0.03 and flat.before.median > 0.5
    assert any("taken for the take-off point" in note for note in level.notes)
    errors = offsets(level.path, drawn)
    assert np.hypot(*np.median(errors, axis=0)) < 0.03


def test_refining_on_flat_ground_does_not_sink_the_flight(tmp_path: Path, drawn: Drawn) -> None:
    """Everything agrees best, in metres, where all cameras lie on the ground: uneven ground once drew them there."""
    report = mapped(tmp_path, noisy(FLIGHT, 1.5, 3.0), drawn, Hills(), refine=True)
    assert report.before is not None and report.after is not None
    assert report.after.median < report.before.median / 2
    assert report.height == pytest.approx(30, abs=4)


def test_an_elevation_model_elsewhere_is_named(tmp_path: Path, drawn: Drawn) -> None:
    dem = Hills().write(tmp_path / "dem.tif")
    with rasterio.open(dem, "r+") as target:
        target.transform = rasterio.Affine(1, 0, EAST + 50_000, 0, -1, NORTH)
    with pytest.raises(ValueError, match=r"dem\.tif does not cover"):
        mapped(tmp_path, FLIGHT[:2], drawn, elevation=dem)


def test_an_elevation_model_of_a_part_leaves_out_what_it_does_not_reach(tmp_path: Path, drawn: Drawn) -> None:
    dem = tmp_path / "part.tif"
    grid = MapGrid.covering((EAST - 60, NORTH - 60, EAST + 2, NORTH + 60), 1.0, ZONE.crs)
    profile = {"driver": "GTiff", "height": grid.rows, "width": grid.columns, "count": 1, "dtype": "float32"}
    with rasterio.open(dem, "w", **profile, crs=grid.crs, transform=rasterio.Affine(*grid.affine)) as target:
        target.write(np.full(grid.shape, 100, np.float32), 1)
    far = replace(FLIGHT[0], name="FAR.JPG", position=(EAST + 45, NORTH, 130.0))
    report = mapped(tmp_path, [*FLIGHT[:2], far], drawn, elevation=dem)
    skipped = {photo.name: photo.skipped for photo in report.photos if photo.skipped}
    assert skipped == {"FAR.JPG": "looks where the elevation model does not reach"}
    assert report.bounds[2] <= EAST + 3  # nothing beyond it


def test_pictures_that_cannot_be_used_are_named_and_the_rest_is_mapped(tmp_path: Path, drawn: Drawn) -> None:
    folder = write_flight(tmp_path / "flight", FLIGHT[:3], drawn)
    blank = np.zeros((300, 400, 3), np.uint8)
    without = frozenset({"gps"})
    write_shot(folder / "NOGPS.JPG", replace(FLIGHT[0], leave_out=without), blank, 9, lambda shot, height: "")
    (folder / "BROKEN.JPG").write_bytes(b"\xff\xd8 not a picture")
    cut = (folder / "P0002.JPG").read_bytes()
    (folder / "P0002.JPG").write_bytes(cut[: len(cut) // 2])
    write_flight(folder, [replace(FLIGHT[0], name="SKY.JPG", pitch=20.0)], drawn, _Nowhere())
    write_flight(folder, [replace(FLIGHT[0], name="GROUND.JPG", position=(EAST, NORTH, 101.0))], drawn)
    write_flight(folder, [replace(FLIGHT[0], name="OTHER.JPG", position=(EAST + 90_000, NORTH, 130.0))], drawn)
    report = make_orthomosaic([folder], tmp_path / "mosaic.tif")
    skipped = {photo.name: photo.skipped or "" for photo in report.photos if photo.skipped}
    assert "no GPS" in skipped["NOGPS.JPG"] and "cannot be read" in skipped["BROKEN.JPG"]
    assert "cannot be read" in skipped["P0002.JPG"]
    assert "horizon" in skipped["SKY.JPG"] and "above the ground" in skipped["GROUND.JPG"]
    assert "km from" in skipped["OTHER.JPG"]
    assert len(report.photos) - len(skipped) == 2 and report.before is not None


class _Nowhere:
    """Ground that no ray meets."""

    def depth(self, position: np.ndarray, rays: np.ndarray) -> np.ndarray:
        return np.full(rays.shape[:-1], np.nan)


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path, drawn: Drawn) -> None:
    shots = [replace(shot, leave_out=frozenset({"gps"})) for shot in FLIGHT[:4]]
    with pytest.raises(
        ValueError, match=r"none of 4 pictures can be placed \(P0000.JPG: has no GPS.*and 1 more.*--poses"
    ):
        mapped(tmp_path, shots, drawn)
    focal = [replace(FLIGHT[0], leave_out=frozenset({"focal"}))]
    write_flight(tmp_path / "focal", focal, drawn)
    with pytest.raises(ValueError, match="--focal PIXELS"):
        make_orthomosaic([tmp_path / "focal"], tmp_path / "mosaic.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures"):
        make_orthomosaic([tmp_path / "empty"], tmp_path / "mosaic.tif")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_orthomosaic([tmp_path / "nowhere"], tmp_path / "mosaic.tif")
    assert not list(tmp_path.glob("*.tif"))


def test_poses_of_other_pictures_are_refused_and_of_some_noted(tmp_path: Path, drawn: Drawn) -> None:
    path = tmp_path / "poses.json"
    path.write_text(json.dumps({"images": [{"file": "OTHER.JPG"}]}))
    with pytest.raises(ValueError, match=r"names none of the pictures: it has OTHER\.JPG, they are P0000\.JPG"):
        mapped(tmp_path, FLIGHT[:2], drawn, poses=read_poses(path))
    path.write_text(json.dumps({"images": [{"file": "P0001.JPG", "image_up_yaw_deg": 91.0, "heading_deg": 5}]}))
    report = make_orthomosaic([tmp_path / "flight"], tmp_path / "mosaic.tif", poses=read_poses(path))
    assert "1 of 2 pictures are not in the file of poses" in report.notes
    assert "the file of poses states heading_deg, which are not read" in report.notes
    assert [round(photo.heading or 0, 3) for photo in report.photos] == [90.0, 91.0]


def test_photos_that_do_not_overlap_are_still_mapped(tmp_path: Path, drawn: Drawn) -> None:
    distance = [
        replace(FLIGHT[0], position=(EAST - 30, NORTH, 130.0)),
        replace(FLIGHT[1], position=(EAST + 30, NORTH, 130.0)),
    ]
    report = mapped(tmp_path, distance, drawn, refine=True)
    assert report.before is None and report.after is None and not report.pairs
    assert any("nothing could be refined" in note for note in report.notes)
    assert len(offsets(report.path, drawn)) > 15


def test_tiles_change_nothing(tmp_path: Path, drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mapped(tmp_path, FLIGHT[:4], drawn)
    monkeypatch.setattr("skyweave.orthomosaic.mosaic.TILE_CELLS", 64)
    monkeypatch.setattr("skyweave.orthomosaic.image_cache.CACHE_BYTES", 1)
    tiled = make_orthomosaic([tmp_path / "flight"], tmp_path / "tiled.tif")
    with rasterio.open(whole.path) as one, rasterio.open(tiled.path) as other:
        np.testing.assert_array_equal(one.read(), other.read())


def test_the_report_is_plain_json(tmp_path: Path, drawn: Drawn) -> None:
    report = mapped(tmp_path, noisy(FLIGHT[:3], 1.0, 1.0), drawn, refine=True)
    plain = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert plain["after"]["median"] < plain["before"]["median"]
    assert {"a", "b", "ties", "before", "after"} == plain["pairs"][0].keys()
