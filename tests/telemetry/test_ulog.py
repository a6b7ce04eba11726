"""PX4's flight logs, written after the published layout (ULog file format, version 1)."""

from pathlib import Path

import numpy as np
import pytest

from fabricated_logs import BOOT_US, MAGIC, START_US, ulog
from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import read_telemetry

STAMPS = [BOOT_US + k * 100_000 for k in range(20)]
PLACES = [("d", "lat"), ("d", "lon"), ("f", "alt"), ("f", "alt_ellipsoid"), ("f", "eph"), ("f", "epv")]
ATTITUDE = [("f", f"q[{k}]") for k in range(4)]
FLIGHT = {
    "vehicle_global_position": (PLACES, [(t, 48.0, 11.0, 560.0, 607.0, 0.8, 1.2) for t in STAMPS]),
    "vehicle_attitude": (ATTITUDE, [(t + 7, np.sqrt(0.5), 0, 0, np.sqrt(0.5)) for t in STAMPS]),
    "sensor_gps": (
        [("Q", "time_utc_usec"), ("B", "fix_type"), ("d", "latitude_deg"), ("d", "longitude_deg")],
        [(t, START_US + t, 3, 48.0, 11.0) for t in STAMPS],
    ),
    "home_position": ([("f", "alt")], [(BOOT_US, 500.0)]),
}


def written(path: Path, **topics: object) -> Path:
    path.write_bytes(ulog({**FLIGHT, **topics}))  # type: ignore[arg-type]
    return path


def test_a_flight_knows_its_body_and_its_utc(tmp_path: Path) -> None:
    poses = read_telemetry(written(tmp_path / "a.ulg"))
    assert poses.clock == "boot" and poses.epoch == START_US * 1000
    assert poses.utc[0] == (START_US + BOOT_US) * 1000
    assert poses.places[4] == pytest.approx([48, 11])
    assert {datum: h.values[4] for datum, h in poses.heights.items()} == {
        "sea_level": 560,
        "ellipsoid": 607,
        "takeoff": 60,
    }
    assert rotation_from_quaternion(poses.enu_from_body[5])[:, 0] == pytest.approx([1, 0, 0], abs=1e-6)
    assert np.sqrt(poses.covariance[0, 0, 0]) == pytest.approx(0.8)
    assert set(poses.missing) == {"orientation", "lens"}


def test_a_gimbal_places_the_camera_by_the_vehicles_heading(tmp_path: Path) -> None:
    half = np.radians([45, -30]) / 2
    (cy, cp), (sy, sp) = np.cos(half), np.sin(half)
    fields = [*ATTITUDE, ("I", "device_flags")]
    rows = [(t + 9, cy * cp, -sy * sp, cy * sp, sy * cp, 32) for t in STAMPS]
    poses = read_telemetry(written(tmp_path / "a.ulg", gimbal_device_attitude_status=(fields, rows)))
    angles = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[10])))
    assert angles == pytest.approx([-45, 30, 0], abs=0.01) and "orientation" not in poses.missing


def test_places_that_the_filter_does_not_vouch_for_are_none(tmp_path: Path) -> None:
    places = [
        (48.0, 560.0) if k >= 5 else (0.5, -20.0) for k in range(len(STAMPS))
    ]  # before it, what a filter starts at
    rows = [(t, x, 11.0, z, z, 99.9, 1.2, x > 1, z > 0) for t, (x, z) in zip(STAMPS, places, strict=True)]
    fields = [*PLACES, ("B", "lat_lon_valid"), ("B", "alt_valid")]
    poses = read_telemetry(written(tmp_path / "a.ulg", vehicle_global_position=(fields, rows)))
    known = np.isfinite(poses.places).all(1)
    assert known.any() and poses.places[known, 0] == pytest.approx(48)
    assert np.nanmin(poses.heights["takeoff"].values) == pytest.approx(60)
    assert "accuracy that stands for none (99.9)" in " ".join(poses.notes)


def test_old_receivers_write_integers(tmp_path: Path) -> None:
    fields = [("i", "lat"), ("i", "lon"), ("i", "alt"), ("B", "fix_type")]
    rows = [(t, 480_000_000, 110_000_000, 560_000, 3 if k else 0) for k, t in enumerate(STAMPS)]
    (tmp_path / "a.ulg").write_bytes(ulog({"vehicle_gps_position": (fields, rows)}))
    poses = read_telemetry(tmp_path / "a.ulg")
    assert poses.places[5] == pytest.approx([48, 11]) and poses.heights["sea_level"].values[5] == 560
    assert poses.missing["heading"] == "the log has no vehicle_attitude"


def test_a_log_of_no_flight_and_garbage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ulg"
    path.write_bytes(ulog({"cpuload": ([("f", "load")], [(BOOT_US, 0.5)])}))
    with pytest.raises(DataError, match="no log of a flight"):
        read_telemetry(path)
    for garbage in (b"", b"ULog", MAGIC, np.random.default_rng(0).bytes(500)):
        path.write_bytes(garbage)
        with pytest.raises(DataError, match=r"a\.ulg"):
            read_telemetry(path)


def test_damage_is_an_error_or_less_data_and_never_a_crash(tmp_path: Path) -> None:
    content = ulog(FLIGHT)  # type: ignore[arg-type]
    random, path = np.random.default_rng(0), tmp_path / "a.ulg"
    for _ in range(30):
        damaged = bytearray(content[: random.integers(200, len(content))])
        damaged[random.integers(16, len(damaged))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            poses = read_telemetry(path)
        except DataError:
            continue
        assert not np.isinf(poses.places).any()


def test_clocks_before_a_fix_and_other_instances_are_not_believed(tmp_path: Path) -> None:
    fields = [("Q", "time_utc_usec"), ("B", "fix_type"), ("d", "latitude_deg"), ("d", "longitude_deg")]
    start = 315_964_800_000_000  # 6 January 1980, where the time of GPS begins
    rows = [(t, start + t if k < 15 else START_US + t, 3, 48.0, 11.0) for k, t in enumerate(STAMPS)]
    assert read_telemetry(written(tmp_path / "a.ulg", sensor_gps=(fields, rows))).epoch == START_US * 1000
    rows = [(t, start + t, 3, 48.0, 11.0) for t in STAMPS]
    assert read_telemetry(written(tmp_path / "b.ulg", sensor_gps=(fields, rows))).epoch is None
    content = ulog(
        {
            "vehicle_attitude": (ATTITUDE, [(t, 1, 0, 0, 0) for t in STAMPS]),
            **dict([("vehicle_attitud2", FLIGHT["vehicle_attitude"])]),
        }
    )
    content = content.replace(
        b"\x00\x00\x00vehicle_attitude", b"\x01\x00\x00vehicle_attitude", 1
    )  # the second instance
    content = content.replace(b"vehicle_attitud2", b"vehicle_attitude")
    (tmp_path / "c.ulg").write_bytes(content)
    body = rotation_from_quaternion(read_telemetry(tmp_path / "c.ulg").enu_from_body[5])
    assert body[:, 0] == pytest.approx([1, 0, 0], abs=1e-3)  # the first instance's: a quarter turn from north is east
