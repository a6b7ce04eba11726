"""Any log: the right reader is chosen, what is none is refused, and every real log is read."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skyweave.cli.main import as_user_error
from skyweave.core.errors import DataError, MissingExtraError, UnknownNameError
from skyweave.core.geometry.frames import rotation_from_quaternion
from skyweave.telemetry import READERS, LogSamples, read_telemetry
from skyweave.telemetry.reading import find_reader


def test_what_no_format_recognises_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(
        DataError,
        match=r"no telemetry that is read; there are subtitles of DJI and Autel drones \(\.srt, \.ass\), MISB",
    ):
        read_telemetry(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="there is no log"):
        read_telemetry(tmp_path / "b.txt")
    with pytest.raises(UnknownNameError, match="did you mean 'dji-srt'"):
        read_telemetry(tmp_path / "a.txt", "dji-str")


def test_a_format_of_ones_own_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class MyReader:
        description = "mine"

        def recognises(self, path: Path, head: bytes) -> bool:
            return head.startswith(b"MINE")

        def read(self, path: Path, options: object) -> LogSamples:
            return LogSamples(path.name, np.arange(3), "utc")

    monkeypatch.setattr(READERS, "_registered", {"mine": MyReader})
    (tmp_path / "a.mine").write_bytes(b"MINE")
    assert len(read_telemetry(tmp_path / "a.mine")) == 3


def test_content_counts_where_the_name_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("1\n00:00:00,000 --> 00:00:01,000\nGPS (2.1, 41.4, 15)\n")
    assert read_telemetry(tmp_path / "log").places[0].tolist() == [41.4, 2.1]


@pytest.mark.parametrize(
    ("library", "name"),
    [("pyulog", "a.ulg"), ("pymavlink", "a.tlog"), ("rosbags", "a.bag"), ("av", "a.mp4")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_bytes(bytes(64))
    with pytest.raises(ModuleNotFoundError) as caught:
        read_telemetry(tmp_path / name)
    caught.value.name = library  # what None in sys.modules leaves out
    error = as_user_error(caught.value)
    assert isinstance(error, MissingExtraError) and "pip install 'skyweave[" in str(error)


def photographs(folder: Path, count: int = 3, offset: str | None = "+02:00") -> Path:
    """JPEG files a second apart, with places and a focal length."""
    for k in range(count):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "DJI", "FC6310"
        camera = exif.get_ifd(0x8769)
        camera[0x9003] = f"2023:11:15 00:13:{20 + k:02d}"
        camera[0xA405], camera[0x920A] = 24, 8.8
        if offset:
            camera[0x9011] = offset
        exif.get_ifd(0x8825).update(
            {1: "N", 2: (48.0, 0.0, float(k)), 3: "E", 4: (11.0, 0.0, 0.0), 5: b"\0", 6: 560.0, 16: "T", 17: 90.0}
        )
        Image.new("RGB", (64, 48), (k * 40, 0, 0)).save(folder / f"{k}.jpg", exif=exif)
    return folder


def test_photographs_are_poses_in_order_of_time(tmp_path: Path) -> None:
    poses = read_telemetry(photographs(tmp_path))
    assert poses.clock == "utc" and poses.utc[0] == 1_700_000_000 * 10**9
    assert np.diff(poses.seconds).tolist() == [1, 1]
    assert poses.places[1] == pytest.approx([48 + 1 / 3600, 11])
    assert poses.heights["sea_level"].values.tolist() == [560] * 3
    assert rotation_from_quaternion(poses.enu_from_body[0])[:, 0] == pytest.approx([1, 0, 0], abs=1e-9)
    assert poses.camera is not None and "gimbal" in poses.missing["orientation"]


def test_photographs_of_one_second_keep_their_order_and_their_zone_may_be_unknown(tmp_path: Path) -> None:
    photographs(tmp_path, 1, offset=None)
    (tmp_path / "1.jpg").write_bytes((tmp_path / "0.jpg").read_bytes() + b"\0")  # no copy of the first
    poses = read_telemetry(tmp_path)
    assert poses.clock == "local" and len(poses) == 2 and "zone" in poses.missing["utc"]
    (tmp_path / "2.jpg").write_bytes(b"no image")
    assert "1 photographs are left out" in read_telemetry(tmp_path).notes[0]


@pytest.mark.realdata
def test_every_real_log_is_read(data_dir: Path) -> None:
    subtitles = sorted((data_dir / "telemetry" / "dji_srt").iterdir())
    assert len(subtitles) == 11
    for path in subtitles:
        poses = read_telemetry(path)
        assert poses.knows("position") and poses.knows("height"), path.name
        assert poses.knows("orientation") == (path.name == "p4_rtk.SRT")
    for path in (data_dir / "telemetry" / "px4_ulog").iterdir():
        poses = read_telemetry(path)
        assert poses.knows("position") and poses.knows("heading") and poses.knows("utc")
    packet = read_telemetry(data_dir / "telemetry" / "misb_klv" / "DynamicOnlyMISMMSPacketData.bin")
    assert packet.places[0] == pytest.approx([60.176823, 128.426759])  # as klvdata reads it
    with pytest.raises(DataError, match="detections"):
        read_telemetry(data_dir / "telemetry" / "misb_klv" / "st0903_vmti.bin")
    assert len(read_telemetry(data_dir / "uav_brighton_beach")) == 12
    assert find_reader(data_dir / "uav_brighton_beach").description.startswith("photographs")
