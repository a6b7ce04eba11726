"""MISB ST 0601 in KLV: after the standard's own examples, held against klvdata, in transport streams and hostile."""

from fractions import Fraction
from pathlib import Path

import av
import klvdata
import numpy as np
import pytest

from fabricated_logs import START_US, scaled, scaled_signed, uas_set
from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import ReadOptions, read_telemetry
from skyweave.telemetry.formats.klv import checksum_holds, imapb, parse_local_set, read_tag, signed


def test_what_is_written_is_what_somebody_elses_library_reads() -> None:
    (packet,) = klvdata.StreamParser(uas_set())
    stated = {tag: value[-1] for tag, value in packet.MetadataList().items()}
    assert float(stated[13]) == pytest.approx(48) and float(stated[14]) == pytest.approx(11)
    assert float(stated[15]) == pytest.approx(560, abs=0.2) and float(stated[19]) == pytest.approx(-30)


def test_a_file_of_sets_is_poses_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "flight.klv"
    path.write_bytes(b"noise" + b"".join(uas_set(START_US + k * 100_000) for k in range(5)))
    poses = read_telemetry(path, "misb-klv")
    assert poses.clock == "utc" and poses.utc[1] - poses.utc[0] == 100_000_000
    np.testing.assert_allclose(poses.places, [[48, 11]] * 5, atol=1e-6)
    assert poses.heights["sea_level"].values[0] == pytest.approx(560, abs=0.2)
    yaw, pitch, roll = np.degrees(camera_angles(rotation_from_quaternion(poses.enu_from_camera[0])))
    assert (yaw, pitch, roll) == pytest.approx((-45, 30, 0), abs=0.01)  # east and 45 degrees to the right: south-east
    assert np.degrees(poses.field_of_view[0]) == pytest.approx([60, 40], abs=0.01)
    assert poses.platform == "Kestrel" and not poses.missing


def test_a_banked_aircraft_turns_its_sensor(tmp_path: Path) -> None:
    path = tmp_path / "flight.klv"
    path.write_bytes(uas_set(t91=scaled_signed(20, 90, 4), t18=scaled(90, 0, 360, 4), t19=scaled_signed(0, 180, 4)))
    yaw, pitch, _ = np.degrees(camera_angles(rotation_from_quaternion(read_telemetry(path).enu_from_camera[0])))
    assert (yaw, pitch) == pytest.approx((-90, 20), abs=0.01)  # to the right, which is down by the bank


def test_an_azimuth_that_only_some_sets_state_holds_between_them(tmp_path: Path) -> None:
    path = tmp_path / "flight.klv"
    changes = [{"t18": None} if k % 2 else {} for k in range(5)]
    path.write_bytes(b"".join(uas_set(START_US + k * 100_000, **change) for k, change in enumerate(changes)))
    poses = read_telemetry(path)
    yaws = [np.degrees(camera_angles(rotation_from_quaternion(one)))[0] for one in poses.enu_from_camera]
    assert yaws == pytest.approx([-45] * 5, abs=0.01) and not poses.notes
    path.write_bytes(uas_set(t18=None))
    assert "the azimuth of the sensor on the platform is not stated and taken as 0" in read_telemetry(path).notes


def transport_stream(path: Path, start: int = 9000) -> Path:
    """Two seconds of video with a set of KLV every tenth of a second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        data = container.add_data_stream("klv")
        for k in range(20):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(video.encode(frame))
            packet = av.Packet(uas_set(START_US + k * 100_000))
            packet.stream, packet.time_base = data, Fraction(1, 90_000)
            packet.pts = packet.dts = k * 9000
            container.mux(packet)
        container.mux(video.encode(None))
    return path


def test_in_a_transport_stream_times_count_from_its_first_image(tmp_path: Path) -> None:
    poses = read_telemetry(transport_stream(tmp_path / "flight.ts"))
    assert poses.clock == "video" and len(poses) == 20
    assert poses.seconds == pytest.approx(np.arange(20) / 10, abs=1e-6)
    assert poses.epoch == START_US * 1000
    with av.open(str(tmp_path / "flight.ts")) as container:
        stream = next(stream for stream in container.streams if stream.type == "data")
        contents = [bytes(packet) for packet in container.demux(stream) if packet.size]
    assert sum(1 for content in contents for _ in klvdata.StreamParser(content)) == 20


@pytest.mark.parametrize(
    ("tag", "topic"), [("t19", "orientation"), ("t13", "position"), ("t15", "height"), ("t16", "lens")]
)
def test_what_a_stream_lacks_is_named(tmp_path: Path, tag: str, topic: str) -> None:
    (tmp_path / "a.klv").write_bytes(uas_set(**{tag: None}))
    poses = read_telemetry(tmp_path / "a.klv")
    assert tag[1:] in poses.missing[topic] and not poses.knows(topic)  # type: ignore[arg-type]


def test_numbers_that_mean_out_of_range_are_unknown() -> None:
    assert np.isnan(signed(b"\x80\x00\x00\x00", 90.0)) and signed(b"\x7f\xff\xff\xff", 90.0) == 90
    assert np.isnan(imapb(b"\xc8\x00\x00", -900, 40_000)) and np.isnan(imapb(b"", -900, 40_000))
    # ST 0601's example of tag 104
    assert imapb(bytes.fromhex("2f921e"), -900, 40_000) == pytest.approx(23456.24, abs=0.01)


def test_damaged_sets_are_left_out_and_said(tmp_path: Path) -> None:
    damaged = bytearray(uas_set(START_US + 1))
    damaged[40] ^= 0xFF
    (tmp_path / "a.klv").write_bytes(uas_set() + damaged)
    poses = read_telemetry(tmp_path / "a.klv")
    assert len(poses) == 1 and poses.notes == ("1 sets of KLV with a wrong checksum are left out",)
    assert not checksum_holds(bytes(damaged))


def test_garbage_never_crashes(tmp_path: Path) -> None:
    whole = b"".join(uas_set(START_US + k * 100_000) for k in range(3))
    random, path = np.random.default_rng(0), tmp_path / "a.klv"
    for _ in range(60):
        content = bytearray(whole[: random.integers(20, len(whole))])
        content[random.integers(len(content))] = random.integers(256)
        path.write_bytes(content)
        try:
            poses = read_telemetry(path, "misb-klv")
        except DataError:
            continue
        assert not np.isinf(poses.places).any()
    path.write_bytes(b"")
    with pytest.raises(DataError, match="holds no KLV"):
        read_telemetry(path, "misb-klv")
    assert parse_local_set(b"\x05\x02\x01") == {}
    assert read_tag(b"\x81\x34", 0) == (180, 2)
    with pytest.raises(DataError, match="cut off"):
        read_tag(b"\xff\xff", 0)


def misb_file(path: Path, *sets: bytes) -> Path:
    path.write_bytes(b"".join(sets))
    return path


def test_sets_of_two_platforms_are_never_mixed(tmp_path: Path) -> None:
    sets = [
        uas_set(START_US + k * 10**5, t10=name, t13=scaled_signed(48 + k % 2, 90, 4))
        for k, name in enumerate([b"A", b"B"] * 3)
    ]
    path = misb_file(tmp_path / "two.klv", *sets)
    with pytest.raises(DataError, match="several platforms, A, B; choose with --system"):
        read_telemetry(path)
    poses = read_telemetry(path, options=ReadOptions(platform="B"))
    assert poses.platform == "B" and poses.places[:, 0] == pytest.approx(49)
    with pytest.raises(DataError, match="no platform 'C'; it has A, B"):
        read_telemetry(path, options=ReadOptions(platform="C"))


def test_stamps_in_milliseconds_are_no_utc(tmp_path: Path) -> None:
    path = misb_file(tmp_path / "a.klv", *[uas_set(START_US // 1000 + k * 100) for k in range(4)])
    poses = read_telemetry(path)
    assert poses.clock == "boot" and not poses.knows("utc")


def test_a_camera_that_looks_elsewhere_than_the_stated_middle_is_noted(tmp_path: Path) -> None:
    distance = 2000 / np.tan(np.radians(30))  # 2000 m above the ground, 30 degrees down, 135 clockwise from north
    latitude = 48 + distance * np.cos(np.radians(135)) / 111_320
    longitude = 11 + distance * np.sin(np.radians(135)) / 111_320 / np.cos(np.radians(48))
    stated: dict[str, bytes | None] = {
        "t15": scaled(2500, -900, 19_000, 2), "t25": scaled(500, -900, 19_000, 2),
        "t23": scaled_signed(latitude, 90, 4), "t24": scaled_signed(longitude, 180, 4),
    }  # fmt: skip
    for changes, noted in (
        ({}, False),
        ({"t18": scaled(225, 0, 360, 4)}, True),
        ({"t19": scaled_signed(-60, 180, 4)}, True),
    ):
        sets = [uas_set(START_US + k * 10**5, **(stated | changes)) for k in range(3)]
        poses = read_telemetry(misb_file(tmp_path / "a.klv", *sets))
        assert any("the middle of the image lies, in 3 of 3 sets" in note for note in poses.notes) == noted
