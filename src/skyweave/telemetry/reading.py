"""Any log to poses over time: the reader that knows the file reads it.

A package of somebody else adds a format through an entry point in the group ``skyweave.telemetry_formats``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.telemetry.assembly import assemble_poses
from skyweave.telemetry.poses_over_time import PosesOverTime
from skyweave.telemetry.samples import LogSamples

HEAD_BYTES = 4096  # of a file, by which formats are told apart


@dataclass(frozen=True)
class ReadOptions:
    """Which part of a log is wanted, where it has several.

    Attributes:
        camera: name, frame or topic of the camera (bags), index of the camera (MAVLink), empty: the only one.
        platform: name, topic or system number of the platform; empty: the only one.
        origin: latitude, longitude (degrees) and height above the ellipsoid (metres) at which a local frame begins,
            for logs that know no fix.
        images: name of the images, without suffix, after which calibrations name their camera; empty: not known.
    """

    camera: str = ""
    platform: str = ""
    origin: tuple[float, float, float] | None = None
    images: str = ""


class TelemetryReader(Protocol):
    """Reads one format.

    Attributes:
        description: of the format, in a few words.
    """

    description: str

    def recognises(self, path: Path, head: bytes) -> bool:
        """Return whether a file is of this format.

        Args:
            path: file or folder.
            head: its first `HEAD_BYTES`; none of a folder.
        """
        ...

    def read(self, path: Path, options: ReadOptions) -> LogSamples:
        """Read a file.

        Args:
            path: of this format.
            options: which part of it.

        Raises:
            DataError: it is damaged, or has no telemetry; the message names it.
            MissingExtraError: an optional library is not installed.
        """
        ...


READERS: Registry[type[TelemetryReader]] = Registry(
    "telemetry_formats",
    "telemetry format",
    {
        "dji-srt": "skyweave.telemetry.formats.subtitles:SubtitleReader",
        "misb-klv": "skyweave.telemetry.formats.misb:MisbReader",
        "mavlink": "skyweave.telemetry.formats.mavlink:MavlinkReader",
        "ardupilot": "skyweave.telemetry.formats.dataflash:DataflashReader",
        "px4-ulog": "skyweave.telemetry.formats.ulog:UlogReader",
        "ros-bag": "skyweave.telemetry.formats.ros_bag:RosBagReader",
        "fixed-cameras": "skyweave.telemetry.formats.fixed_cameras:FixedCameraReader",
        "csv": "skyweave.telemetry.formats.csv_columns:CsvReader",
        "photographs": "skyweave.telemetry.formats.photographs:PhotographReader",
        "dji-srt-latitude-first": "skyweave.telemetry.formats.subtitles:LatitudeFirstReader",
        "video": "skyweave.telemetry.formats.video_tracks:VideoTrackReader",
    },
)


def read_telemetry(
    path: str | Path, file_format: str | None = None, options: ReadOptions | None = None
) -> PosesOverTime:
    """Read a log of any format.

    Args:
        path: file, or folder of photographs or of a ROS 2 bag.
        file_format: name in `READERS`; default: the one that recognises the file.
        options: which part of it, where it has several.

    Returns:
        The poses in it; ``missing`` names what it does not say.

    Raises:
        FileNotFoundError: no such file.
        DataError: no format recognises it, or it is damaged; names the file and what helps.
        MissingExtraError: an optional library is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no log {path}; check the name")
    reader = READERS[file_format]() if file_format else find_reader(path)
    return assemble_poses(reader.read(path, options or ReadOptions()))


def find_reader(path: Path) -> TelemetryReader:
    """Return the reader that recognises a file.

    Args:
        path: file or folder.

    Raises:
        DataError: none does.
    """
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    readers = [READERS[name]() for name in READERS.names()]
    reader = next((reader for reader in readers if reader.recognises(path, head)), None)
    if reader is None:
        raise DataError(f"{path} is no telemetry that is read; there are {_listed(readers)}")
    return reader


def _listed(readers: Sequence[TelemetryReader]) -> str:
    return ", ".join(reader.description for reader in readers)
