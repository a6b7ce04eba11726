"""Flight logs of ArduPilot, written after the description of their format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fabricated_logs import dataflash
from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import ReadOptions, read_telemetry

WEEK, MILLISECONDS = 2300, 100_000_000  # 2024-02-05 03:46:40 of the receiver's time
UTC_NS = 1_707_104_782 * 10**9  # 18 leap seconds before that


def flight(mounts: tuple[int, ...] = (0,), first_fix: int = 0, filtered: bool = True) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for k in range(20):
        time = 5_000_000 + 100_000 * k
        fixed = k >= first_fix
        place = (round(48e7) + 10 * k, round(11e7)) if fixed else (round(47e7), round(12e7))
        rows.append(
            (
                "GPS",
                time,
                0,
                3 if fixed else 1,
                MILLISECONDS + 100 * k,
                WEEK * fixed,
                12,
                80,
                *place,
                56_000,
                0,
                0,
                0,
                1,
            )
        )
        rows.append(("GPS", time, 1, 3, MILLISECONDS + 100 * k, WEEK, 12, 80, round(49e7), round(13e7), 0, 0, 0, 0, 1))
        if filtered:
            rows.append(("POS", time, *place, 560.0, 60.0, 60.0))
        rows.append(("ATT", time, 0, 200, 0, 500, 0, 9000))
        rows += [("MNT", time, m, 0, 0, 0, -30.0, 0, 45.0, 0, 135.0 + 90 * m) for m in mounts]
    return rows


def test_a_flight(tmp_path: Path) -> None:
    """ArduPilot/UAVLogViewer#308 (leap seconds), ArduPilot/MissionPlanner#1628 (both heights), #1482 (one receiver)."""
    (tmp_path / "00000012.BIN").write_bytes(dataflash(flight()))
    poses = read_telemetry(tmp_path / "00000012.BIN")
    assert poses.clock == "utc" and abs(int(poses.times[0]) - UTC_NS) < 10**6
    assert poses.places[0] == pytest.approx([48, 11]) and np.nanmax(poses.places[:, 0]) < 48.001
    assert poses.heights["sea_level"].values[2] == 560 and poses.heights["takeoff"].values[2] == 60
    forward = rotation_from_quaternion(poses.enu_from_body[5])[:, 0]
    assert forward == pytest.approx([np.cos(np.radians(5)), 0, np.sin(np.radians(5))], abs=1e-4)  # east, nose up
    known = poses.enu_from_camera[np.isfinite(poses.enu_from_camera).all(1)]
    yaw, pitch, _ = np.degrees(camera_angles(rotation_from_quaternion(known[3])))
    assert (90 - yaw) % 360 == pytest.approx(135, abs=1e-3) and pitch == pytest.approx(30, abs=1e-3)
    assert "lens" in poses.missing and "orientation" not in poses.missing


def test_without_a_filter_and_without_a_gimbal(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(dataflash(flight((), filtered=False)))
    poses = read_telemetry(tmp_path / "a.bin")
    assert np.nanmax(poses.places[:, 0]) < 48.001 and poses.heights["sea_level"].values[2] == 560
    assert "MNT" in poses.missing["orientation"]


def test_before_there_is_a_fix(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(dataflash(flight(first_fix=8)))
    places = read_telemetry(tmp_path / "a.bin").places
    assert np.nanmin(places[:, 0]) == pytest.approx(48.000008, abs=1e-6)  # not 47, where the filter believed it was


def test_two_gimbals(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(dataflash(flight((0, 1))))
    with pytest.raises(DataError, match="gimbals 0, 1; choose one with --channel"):
        read_telemetry(tmp_path / "a.bin")
    poses = read_telemetry(tmp_path / "a.bin", options=ReadOptions(camera="1"))
    known = poses.enu_from_camera[np.isfinite(poses.enu_from_camera).all(1)]
    yaw = np.degrees(camera_angles(rotation_from_quaternion(known[3]))[0])
    assert (90 - yaw) % 360 == pytest.approx(225, abs=1e-3)


def test_the_text_of_a_ground_station(tmp_path: Path) -> None:
    from pymavlink.DFReader import DFReader_binary

    (tmp_path / "a.bin").write_bytes(dataflash(flight()))
    lines = []
    log = DFReader_binary(str(tmp_path / "a.bin"))
    while (message := log.recv_msg()) is not None:
        lines.append(
            ", ".join([message.get_type(), *(str(getattr(message, name)) for name in message.get_fieldnames())])
        )
    log.close()
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    text, binary = read_telemetry(tmp_path / "a.log"), read_telemetry(tmp_path / "a.bin")
    np.testing.assert_allclose(text.places, binary.places, atol=1e-9)
    np.testing.assert_allclose(text.times, binary.times, atol=1000)


def test_what_is_no_flight(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(dataflash([]))
    with pytest.raises(DataError, match="no log of a flight of ArduPilot"):
        read_telemetry(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(dataflash(flight())[:-7])
    assert len(read_telemetry(tmp_path / "b.bin").times)  # cut off in its last message
