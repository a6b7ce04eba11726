"""Subtitles of drones: every dialect in circulation, and what no drone should write."""

from pathlib import Path

import av
import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.core.geometry.frames import camera_angles, rotation_from_quaternion
from skyweave.telemetry import read_telemetry
from skyweave.telemetry.formats.subtitles import parse_cue

DIALECTS = {  # text of a subtitle: latitude, longitude, heights
    "[iso : 100] [shutter : 1/1000.0] [latitude : 31.452012] [longtitude : 74.398751] [altitude: 213.98]": (
        31.452012,
        74.398751,
        {"unstated": 213.98},
    ),
    "[latitude: 59.1] [longitude: -18.2] [rel_alt: 5.0 abs_alt: 105.0]": (
        59.1,
        -18.2,
        {"takeoff": 5, "sea_level": 105},
    ),
    "HOME(149.0251,-20.2532) 2017.8.5 14:11:51\nGPS(149.0251,-20.2533,16) Hb:1.9 Hs:2.1\nISO:100": (
        -20.2533,
        149.0251,
        {"takeoff": 1.9, "ground": 2.1},
    ),
    "GPS(-58.4563,-34.7383,19) BAROMETER:20.1": (-34.7383, -58.4563, {"takeoff": 20.1}),
    "GPS(7.5432,46.1234,0.0M) BAROMETER:28.6M": (46.1234, 7.5432, {"takeoff": 28.6, "unstated": 0.0}),
    "F/2.8, SS 30, GPS (-121.7458, 48.0771, 17), D 221.21m, H 200.70m, H.S n/a, V.S n/a": (
        48.0771,
        -121.7458,
        {"takeoff": 200.7},
    ),
    "HOME(W: 122.331110, N: 47.607000) 2021-03-01 10:00:00\nGPS(W: 122.331222, N: 47.607333, 52.60m)": (
        47.607333,
        -122.331222,
        {"unstated": 52.6},
    ),
    "GPS (S: 122.3): no": (np.nan, np.nan, {}),
    "[latitude: 59,1] [longitude: -18,25] [rel_alt: 5,5 abs_alt: 105,0]": (
        59.1,
        -18.25,
        {"takeoff": 5.5, "sea_level": 105},
    ),
    "GPS (2,1, 41,4, 15), H 60m": (np.nan, np.nan, {"takeoff": 60.0}),
    "[latitude: 59.1 S] [longitude: W18.25] [rel_alt: 10ft abs_alt: 100 feet]": (
        -59.1,
        -18.25,
        {"takeoff": 3.048, "sea_level": 30.48},
    ),
    "[latitude: \u22125.91e+01] [longitude: 1.825E+01] [rel_alt: 5.5 m abs_alt: 105m]": (
        -59.1,
        18.25,
        {"takeoff": 5.5, "sea_level": 105},
    ),
    "GPS (W: 18.25, N: 59.1, 100ft), H 10ft, Hs:5ft": (
        59.1,
        -18.25,
        {"unstated": 30.48, "takeoff": 3.048, "ground": 1.524},
    ),
}


@pytest.mark.parametrize("text", DIALECTS)
def test_every_dialect_says_where_it_was(text: str) -> None:
    latitude, longitude, heights = DIALECTS[text]
    cue = parse_cue(f'<font size="36">{text}</font>', 0)
    assert cue.heights == pytest.approx(heights)
    place = [cue.values.get("latitude", np.nan), cue.values.get("longitude", np.nan)]
    np.testing.assert_allclose(place, [latitude, longitude])


@pytest.mark.parametrize(
    "angles",
    ["F.PRY (2.7°, -7.0°, 110.1°), G.PRY (-24.4°, 0.0°, 110.4°)", "[gb_yaw: 110.4 gb_pitch: -24.4 gb_roll: 0]"],
)
def test_gimbal_angles_are_the_cameras(tmp_path: Path, angles: str) -> None:
    poses = read_telemetry(subtitles(tmp_path, [f"GPS (2.1, 41.4, 15), H 60m, {angles}"]))
    yaw, pitch, roll = camera_angles(rotation_from_quaternion(poses.enu_from_camera[0]))
    assert np.degrees([yaw, pitch, roll]) == pytest.approx([90 - 110.4, 24.4, 0])
    assert "orientation" not in poses.missing


def test_without_a_gimbal_the_orientation_is_missing_by_name(tmp_path: Path) -> None:
    poses = read_telemetry(subtitles(tmp_path, [next(iter(DIALECTS))] * 3))
    assert poses.missing["orientation"] == "the subtitles hold no gimbal angles"
    assert np.isnan(poses.enu_from_camera).all()
    with pytest.raises(DataError, match="--pitch"):
        poses.require("orientation")


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("[focal_len: 24.00]", 71.59),
        ("[fnum : 280] [focal_len : 240]", 71.59),
        ("[focal_len: 24.00] [dzoom_ratio: 2.00]", 39.66),
        ("[focal_len: 24.00] [dzoom_ratio: 20000, delta: 0]", 39.66),
        ("[focal_len: 162.00]", 12.19),
    ],
)
def test_focal_lengths_are_equivalents_or_tenths_of_them(text: str, degrees: float) -> None:
    assert parse_cue(text, 0).values["horizontal_fov"] == pytest.approx(degrees, abs=0.02)


def test_times_count_from_the_first_image_and_the_local_time_is_named(tmp_path: Path) -> None:
    poses = read_telemetry(subtitles(tmp_path, ["2020-04-02 15:19:58,720,764\nGPS (2.1, 41.4, 15)"] * 3))
    assert poses.clock == "video" and poses.epoch is None
    assert poses.seconds.tolist() == [0, 1, 2]
    assert "2020-04-02 15:19:58.720" in poses.missing["utc"]
    assert poses.time_std == pytest.approx(0.389, abs=0.001)  # one subtitle a second says little of when it was true


def test_coordinates_are_as_good_as_their_digits(tmp_path: Path) -> None:
    std = {}
    for digits in (4, 6):
        poses = read_telemetry(subtitles(tmp_path, [f"GPS ({2.123456:.{digits}f}, {41.123456:.{digits}f}, 15)"]))
        std[digits] = np.sqrt(poses.covariance[0, 0, 0])
    assert std[4] == pytest.approx(np.hypot(2.0, 11.132 / np.sqrt(12))) and std[6] == pytest.approx(2.0, abs=0.01)


def test_no_fix_is_no_place_and_text_of_a_film_is_no_telemetry(tmp_path: Path) -> None:
    poses = read_telemetry(subtitles(tmp_path, ["GPS (0.0000, 0.0000, 0), H 0m", "GPS (2.1, 41.4, 15), H 1m"]))
    assert np.isfinite(poses.places).all(1).tolist() == [False, True]
    assert any("before there was a fix" in note for note in poses.notes)
    with pytest.raises(DataError, match="2 subtitles and no telemetry"):
        read_telemetry(subtitles(tmp_path, ["Who goes there?", "Nobody."]))
    (tmp_path / "empty.srt").write_text("")
    with pytest.raises(DataError, match="no telemetry"):
        read_telemetry(tmp_path / "empty.srt")


ALPHA = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,HOME(-117.9606, 33.6324) 2019.9.8 16:49:24\\NGPS(W: -117.-9605, N: 33.6323, -37) ReH:30 \\NISO:100
Dialogue: 0,0:00:01.50,0:00:02.00,Default,,0,0,0,,HOME(-117.9606, 33.6324) 2019.9.8 16:49:25\\NGPS(W: -117.9607, N: 33.6323, -36) ReH:31 \\NISO:100
"""  # noqa: E501


def test_subtitles_of_substation_alpha_are_read(tmp_path: Path) -> None:
    """As Autel's drones write them (github.com/CallMarcus/dji-drone-metadata-embedder, issue 324), a split sign too."""
    path = tmp_path / "autel.ass"
    path.write_text(ALPHA)
    poses = read_telemetry(path)
    assert poses.seconds.tolist() == [0.0, 1.5] and "16:49:24" in poses.missing["utc"]
    np.testing.assert_allclose(poses.places, [[33.6323, -117.9605], [33.6323, -117.9607]])
    assert poses.heights["takeoff"].values.tolist() == [30, 31]


@pytest.mark.parametrize("suffix", [".srt", ".ass"])
def test_what_is_cut_off_or_damaged_says_less(tmp_path: Path, suffix: str) -> None:
    whole = subtitles(tmp_path, ["[latitude: 59.1] [longitude: 18.2] [rel_alt: 5.0 abs_alt: 105.0]"] * 4).read_bytes()
    whole = whole if suffix == ".srt" else ALPHA.encode()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole[: random.integers(60, len(whole))])
        damaged[random.integers(len(damaged))] = random.integers(256)
        (tmp_path / f"damaged{suffix}").write_bytes(damaged)
        try:
            poses = read_telemetry(tmp_path / f"damaged{suffix}")
        except DataError:
            continue
        assert 1 <= len(poses) <= 4 and not np.isinf(poses.places).any()


def test_times_that_go_back_cost_one_row_each(tmp_path: Path) -> None:
    text = subtitles(tmp_path, [f"GPS (2.1, 41.{k}, 15)" for k in range(4)]).read_text()
    (tmp_path / "back.srt").write_text(text.replace("00:00:01,000 -->", "09:00:01,000 -->"))
    poses = read_telemetry(tmp_path / "back.srt")
    assert poses.seconds.tolist() == [0, 2, 3]
    assert "1 of 4 samples whose times go back are left out" in poses.notes


def test_a_track_of_subtitles_in_a_video_is_read(tmp_path: Path) -> None:
    path = tmp_path / "DJI_0001.mp4"
    source = subtitles(tmp_path, ["GPS (2.1, 41.4, 15), H 60m, G.PRY (-24.4°, 0.0°, 110.4°)"] * 3)
    with av.open(str(path), "w") as container, av.open(str(source)) as texts:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = container.add_mux_stream("mov_text")
        for _ in range(30):
            container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(video.encode(None))
        for packet in texts.demux():
            if packet.size:
                content = bytes(packet)
                written = av.Packet(len(content).to_bytes(2, "big") + content)
                written.stream, written.time_base = track, packet.time_base
                written.pts = written.dts = packet.pts
                written.duration = packet.duration
                container.mux(written)
    poses = read_telemetry(path)
    assert poses.seconds.tolist() == pytest.approx([0, 1, 2], abs=0.01)
    assert poses.knows("orientation") and poses.clock == "video"


def test_a_video_without_telemetry_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        container.mux([*video.encode(av.VideoFrame(64, 48, "yuv420p")), *video.encode(None)])
    with pytest.raises(DataError, match="carries no telemetry; give its log with --telemetry"):
        read_telemetry(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"x" * 100)
    with pytest.raises(DataError, match="cannot be read as a video"):
        read_telemetry(tmp_path / "b.mp4")


def subtitles(folder: Path, texts: list[str]) -> Path:
    """A file with one subtitle a second."""
    cues = [f"{k + 1}\n00:00:{k:02d},000 --> 00:00:{k + 1:02d},000\n{text}\n" for k, text in enumerate(texts)]
    path = folder / "DJI_0001.SRT"
    path.write_text("\n".join(cues), encoding="utf-8")
    return path


def test_the_order_of_a_place_is_noted_and_can_be_said(tmp_path: Path) -> None:
    path = subtitles(tmp_path, ["GPS (48.1, 11.5, 15), H 60m, G.PRY (-24.4°, 0.0°, 110.4°)"] * 3)
    poses = read_telemetry(path)
    assert poses.places[0] == pytest.approx([11.5, 48.1])
    assert any(
        "latitude 11.5000, longitude 48.1000" in note and "dji-srt-latitude-first" in note for note in poses.notes
    )
    poses = read_telemetry(path, "dji-srt-latitude-first")
    assert poses.places[0] == pytest.approx([48.1, 11.5]) and not any("GPS(" in note for note in poses.notes)
    for sure in ("GPS (W: 48.1, N: 11.5, 1m)", "GPS (122.1, 11.5, 15)"):
        assert not any("GPS(" in note for note in read_telemetry(subtitles(tmp_path, [sure] * 2)).notes)
