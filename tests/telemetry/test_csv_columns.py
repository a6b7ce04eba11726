"""Tables with named columns: the exports of Airdata and Litchi, tables of one's own, and what is none of them."""

from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import PosesOverTime, read_telemetry

AIRDATA = (
    "time(millisecond),datetime(utc),latitude,longitude,height_above_takeoff(feet),"
    "height_above_ground_at_drone_location(feet),altitude_above_seaLevel(feet),speed(mph),isVideo,"
    " compass_heading(degrees), pitch(degrees), roll(degrees),"
    " gimbal_heading(degrees),gimbal_pitch(degrees),gimbal_roll(degrees)\n"
)
LITCHI = (
    "latitude,longitude,altitude(feet),ascent(feet),speed(mph),time(millisecond),datetime(utc),isTakingVideo,pitchRaw,"
    "rollRaw,yawRaw,gimbalPitchRaw,gimbalRollRaw,gimbalYawRaw\n"
)


def read(folder: Path, text: str) -> PosesOverTime:
    (folder / "log.csv").write_text(text, encoding="utf-8")
    return read_telemetry(folder / "log.csv")


def angles(poses: PosesOverTime, k: int = 0) -> list[float]:
    return np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[k]))).tolist()


def airdata(videos: str = "00111") -> str:
    rows = [
        f"{k * 100},2023-11-14 22:13:{20 + k // 10:02d},48.0,11.0,{200 / 0.3048},{190 / 0.3048},{700 / 0.3048},"
        f"5,{on},90,1,2,110.4,-24.4,0\n"
        for k, on in enumerate(videos)
    ]
    return AIRDATA + "".join(rows)


def test_airdata_begins_with_the_recording_and_counts_in_feet(tmp_path: Path) -> None:
    poses = read(tmp_path, airdata())
    assert poses.clock == "video" and poses.seconds == pytest.approx([-0.2, -0.1, 0, 0.1, 0.2])
    assert {datum: round(h.values[0], 6) for datum, h in poses.heights.items()} == {
        "takeoff": 200,
        "ground": 190,
        "sea_level": 700,
    }
    assert angles(poses) == pytest.approx([-20.4, 24.4, 0])
    assert rotation_from_quaternion(poses.enu_from_body[0])[:2, 0] == pytest.approx(
        [np.cos(np.radians(1)), 0], abs=1e-9
    )
    assert "0.2 s after the log" in poses.notes[0]
    assert poses.utc[0] == 1_700_000_000 * 10**9


def test_several_videos_in_one_log_are_not_guessed_among(tmp_path: Path) -> None:
    poses = read(tmp_path, airdata("0110110"))
    assert poses.clock == "boot" and "2 videos" in poses.notes[0] and "--start" in poses.notes[0]


def test_whole_seconds_of_utc_are_cut_off(tmp_path: Path) -> None:
    poses = read(tmp_path, airdata("1" * 25))
    assert poses.epoch == 1_700_000_000 * 10**9


def test_litchi_writes_tenths_of_degrees_and_heights_above_the_take_off(tmp_path: Path) -> None:
    row = f"48.0,11.0,{60 / 0.3048},0,5,{{}},2023-11-14 22:13:20,1,10,20,900,-244,0,1104\n"
    poses = read(tmp_path, LITCHI + row.format(0) + row.format(100))
    assert list(poses.heights) == ["takeoff"] and poses.heights["takeoff"].values[0] == pytest.approx(60)
    assert angles(poses) == pytest.approx([-20.4, 24.4, 0])


@pytest.mark.parametrize(
    ("header", "cells", "clock"),
    [
        ("time", ["0", "0.5"], "video"),
        ("time(ms)", ["0", "500"], "video"),
        ("timestamp", ["1700000000.0", "1700000000.5"], "utc"),
        ("timestamp", ["1700000000000", "1700000000500"], "utc"),
        ("timestamp", ["1700000000000000000", "1700000000500000000"], "utc"),
        ("datetime(utc)", ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5Z"], "utc"),
        ("time", ["2023-11-14 22:13:20.0", "2023-11-14 22:13:20.5"], "utc"),
        ("utc", ["2023-11-14T23:13:20+01:00", "2023-11-14T23:13:20.500+01:00"], "utc"),
    ],
)
def test_times_of_any_kind(tmp_path: Path, header: str, cells: list[str], clock: str) -> None:
    poses = read(tmp_path, f"{header};lat;lon\n{cells[0]};48;11\n{cells[1]};48;11\n")
    assert poses.clock == clock and np.diff(poses.seconds) == pytest.approx([0.5])
    if clock == "utc":
        assert poses.utc[0] == pytest.approx(1_700_000_000 * 10**9, abs=1000)
    assert set(poses.missing) >= {"orientation", "height", "lens"}


def test_uncertainty_and_view_may_be_columns(tmp_path: Path) -> None:
    poses = read(tmp_path, "time,latitude,longitude,hacc,vacc,heading_std,tilt_std,fov\n0,48,11,0.02,0.03,1,0.5,60\n")
    std = [0.02, 0.02, 0.03, *np.radians([0.5, 0.5, 1])]
    assert np.sqrt(np.diag(poses.covariance[0])) == pytest.approx(std) and poses.knows("lens")


def test_cells_that_are_no_numbers_are_unknown(tmp_path: Path) -> None:
    poses = read(
        tmp_path, "time,lat,lon,height\n0,48,11,60\n0.5,nan,,x\n1,inf,11,1e9\n,48,11,60\n2,0,0,60\n3,95,11,60\n"
    )
    assert poses.seconds.tolist() == [0, 0.5, 1, 2, 3]
    assert np.isfinite(poses.places).all(1).tolist() == [True, False, False, False, False]
    assert np.isfinite(poses.heights["takeoff"].values).tolist() == [True, False, False, True, True]
    assert len(poses.notes) == 3


def test_the_antimeridian_is_one_flight(tmp_path: Path) -> None:
    poses = read(tmp_path, "time,lat,lon\n0,10,179.9999\n1,10,-179.9999\n")
    assert poses.places[:, 1].tolist() == [179.9999, -179.9999]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,a,b\n0,1,2\n", "none of the columns that are read.*it has time, a, b"),
        ("lat,lon\n48,11\n", "no column of times"),
        ("time,lat,lon,height(furlongs)\n0,48,11,3\n", "furlongs"),
        ("time,lat,lon\n", "no telemetry"),
        ("", "is empty"),
        ("time,lat,lon\nx,48,11\n", "column 'time' holds 'x', and no times"),
        ("time,lat,lon\n0,48°30'12\",11\n", "no cell of column 'lat' is a number, such as '48°"),
        ("time,lat,lon\n0,48.5 N,11\n", "no cell of column 'lat' is a number, such as '48.5 N'"),
        ("time,lat,lon,gimbal_pitch(mil)\n0,48,11,-30\n", "column 'gimbal_pitch.mil.' in 'mil' is not read.*rad"),
        ("date,lat,lon\n2026-05-05,48,11\n2026-05-05,48,11\n", "the same day in all rows and no time of day"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "clock", "utc"),
    [
        ("date,time,lat,lon\n2023-11-14,22:13:20,48,11\n2023-11-14,22:13:20.5,48,11\n", "utc", True),
        ("datetime(local),lat,lon\n2023-11-14 22:13:20,48,11\n2023-11-14 22:13:20.5,48,11\n", "local", False),
        ("time,lat,lon\n00:01:20,48,11\n00:01:20.5,48,11\n", "video", False),
        ("OSD.flyTime,OSD.flyTime [s],lat,lon\n1m 20s,80,48,11\n1m 20.5s,80.5,48,11\n", "video", False),
    ],
)
def test_times_in_two_columns_by_a_local_clock_or_in_words(tmp_path: Path, text: str, clock: str, utc: bool) -> None:
    poses = read(tmp_path, text)
    assert len(poses) == 2 and poses.clock == clock and np.diff(poses.seconds) == pytest.approx([0.5])
    assert poses.knows("utc") is utc
    if utc:
        assert poses.utc[0] == 1_700_000_000 * 10**9 and "taken as one time in UTC" in poses.notes[0]


def test_a_zone_that_nobody_states_is_noted(tmp_path: Path) -> None:
    assert read(tmp_path, "datetime,lat,lon\n2023-11-14 22:13:20,48,11\n").notes == (
        "times in column 'datetime' state no zone and are taken as UTC",
    )
    assert not read(tmp_path, "datetime,lat,lon\n2023-11-14 22:13:20+01:00,48,11\n").notes


def test_units_of_angles_and_decimal_commas_are_heeded(tmp_path: Path) -> None:
    poses = read(
        tmp_path,
        "time;lat;lon;height;gimbal_heading(rad);gimbal_pitch [rad];fov(deg)\n"
        "0,5;48,25;11,5;60,5;1,5707963;-0,7853982;70,5\n",
    )
    assert poses.places[0].tolist() == [48.25, 11.5] and poses.heights["takeoff"].values[0] == 60.5
    assert angles(poses)[:2] == pytest.approx([0, 45], abs=1e-5)
    assert np.degrees(poses.field_of_view[0, 0]) == pytest.approx(70.5)


def test_ascent_is_above_the_take_off_and_the_altitude_beside_it_is_not(tmp_path: Path) -> None:
    poses = read(tmp_path, "time,latitude,longitude,altitude(feet),ascent(feet)\n0,14,-90,4800,336\n")
    assert poses.heights["takeoff"].values[0] == pytest.approx(336 * 0.3048)
    assert poses.heights["unstated"].values[0] == pytest.approx(4800 * 0.3048)


def test_an_accuracy_of_nines_is_none(tmp_path: Path) -> None:
    poses = read(tmp_path, "time,lat,lon,eph,epv\n0,48,11,99.99,9999\n1,48,11,1.5,2.5\n")
    std = np.sqrt(poses.covariance[:, [0, 2], [0, 2]])
    assert std[1].tolist() == [1.5, 2.5] and std[0].tolist() == [2.0, 0.5]
    assert "1 of 2 samples state an accuracy that stands for none (99.99, 9999)" in poses.notes[0]


def flight(name: str, heading: str, pitch: str, angle: float = 1.0) -> str:
    rows = (f"{k},48.{k},11.0,60,{k * 20 * angle},{-60 * angle}\n" for k in range(6))
    return f"{name},lat,lon,height_ft,{heading},{pitch}\n" + "".join(rows)


@pytest.mark.parametrize(
    ("unit", "angle"), [("(rad)", np.pi / 180), ("_rad", np.pi / 180), (" gon", 1 / 0.9), ("_deg", 1.0), ("", 1.0)]
)
def test_units_are_read_behind_names_as_in_brackets(tmp_path: Path, unit: str, angle: float) -> None:
    poses = read(tmp_path, flight("time_s", f"gimbal_heading{unit}", f"gimbal_pitch{unit}", angle))
    assert angles(poses, 2) == pytest.approx([50, 60, 0]) and poses.seconds[-1] == 5
    assert poses.heights["takeoff"].values[0] == pytest.approx(60 * 0.3048)


def test_angles_that_could_be_radians_are_asked_for(tmp_path: Path) -> None:
    small = np.pi / 180
    with pytest.raises(DataError, match=r"degrees or radians.*'gimbal_pitch\(rad\)'"):
        read(tmp_path, flight("time", "gimbal_heading", "gimbal_pitch", small))
    poses = read(tmp_path, flight("time", "gimbal_heading(deg)", "gimbal_pitch(deg)", small))
    assert angles(poses)[1] == pytest.approx(60 * small)


@pytest.mark.parametrize(("scale", "unit"), [(1e3, "ms"), (1e6, "us"), (60.0, "s")])
def test_times_that_are_hardly_seconds_are_asked_for(tmp_path: Path, scale: float, unit: str) -> None:
    text = "".join(f"{k * scale},48.0,11.0\n" for k in range(4))
    with pytest.raises(DataError, match=rf"grows by .*'time\({unit}\)'"):
        read(tmp_path, "time,lat,lon\n" + text)
    poses = read(tmp_path, f"time({unit}),lat,lon\n" + text)
    assert poses.seconds[-1] == (3 if unit != "s" else 180)
    with pytest.raises(DataError, match=r"'fortnights' is not read.*'time\(s\)'"):
        read(tmp_path, "time(fortnights),lat,lon\n" + text)


def test_rows_from_the_last_to_the_first_are_turned_and_mixed_ones_refused(tmp_path: Path) -> None:
    rows = [f"{k},48.{k},11.0\n" for k in range(8)]
    poses = read(tmp_path, "time,lat,lon\n" + "".join(rows[::-1]))
    assert poses.places[:, 0].tolist() == [float(f"48.{k}") for k in range(8)] and "from its end" in poses.notes[0]
    with pytest.raises(DataError, match="go back in 4 of 8 rows; sort the rows"):
        read(tmp_path, "time,lat,lon\n" + "".join(rows[k] for k in (3, 0, 5, 4, 7, 1, 6, 2)))


def test_rows_that_share_seconds_are_spread_and_those_of_a_minute_refused(tmp_path: Path) -> None:
    def table(times: list[str]) -> str:
        rows = (f"2026-11-30T14:{time},48.{k},11.0\n" for k, time in enumerate(times))
        return "datetime(utc),lat,lon\n" + "".join(rows)

    poses = read(tmp_path, table(["02:00", *["02:01"] * 4, *["02:02"] * 4]))
    assert np.diff(poses.seconds) == pytest.approx([0.25] * 8) and "spread" in poses.notes[0]
    for times in (["02"] * 4, [*["02"] * 4, *["03"] * 3]):
        with pytest.raises(DataError, match=r"share one time.*export it with seconds"):
            read(tmp_path, table(times))


def test_milliseconds_since_boot_and_of_the_week_are_no_date(tmp_path: Path) -> None:
    rows = "".join(f"{400_000_000 + 200 * k},48.0,11.0\n" for k in range(4))
    assert read(tmp_path, "timestamp(ms),lat,lon\n" + rows).clock == "video"


def test_heights_that_nothing_in_the_air_has_are_no_heights(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    row = "{},48,11,-90,0,{}"
    header = "time(s),latitude,longitude,gimbal_pitch,gimbal_heading,rel_alt"
    path.write_text("\n".join([header, *(row.format(k, 60_000 + k) for k in range(3))]))
    poses = read_telemetry(path)
    with pytest.raises(DataError, match=r"none of its heights is one in metres, such as 60000.*--height"):
        poses.require("height")
    path.write_text("\n".join([header, row.format(0, 60), row.format(1, 1e6), row.format(2, 61)]))
    poses = read_telemetry(path)
    assert np.isnan(poses.heights["takeoff"].values).tolist() == [False, True, False]
    assert any("1 of 3 heights (takeoff) are beyond 40000 m" in note for note in poses.notes)
