"""What a writer is given, and the writers by name."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.locating.counting import CountShape
from skyweave.locating.image_sequence import ImageSequence
from skyweave.locating.track_table import TrackTable
from skyweave.locating.tracking import TrackingResult
from skyweave.telemetry.poses_over_time import REMEDIES


@dataclass(frozen=True)
class TrackOutput:
    """Everything that may be written.

    Attributes:
        result: of tracking.
        tables: its tracks.
        sequences: images of each camera.
        shapes: lines and areas over which tracks are counted.
    """

    result: TrackingResult
    tables: Sequence[TrackTable]
    sequences: Sequence[ImageSequence]
    shapes: Sequence[CountShape] = ()

    def require_utc(self, name: str) -> None:
        """Refuse to write a format whose times are UTC where that is not known.

        Args:
            name: of the format.

        Raises:
            DataError: it is not known.
        """
        if not self.result.has_utc:
            raise DataError(f"{name} needs times in UTC; {REMEDIES['utc']}")


@dataclass(frozen=True)
class TrackPlace:
    """One point of one track.

    Attributes:
        table: of the track.
        row: of the point in it.
    """

    table: TrackTable
    row: int


def places_by_image(output: TrackOutput, platform: int) -> dict[int, list[TrackPlace]]:
    """Return the points of all tracks by the number of the image that they are from.

    Args:
        output: tracks.
        platform: number of the camera.
    """
    by_image: dict[int, list[TrackPlace]] = defaultdict(list)
    for table in output.tables:
        for row in np.flatnonzero(table.platforms == platform).tolist():
            by_image[int(table.frames[row])].append(TrackPlace(table, row))
    return by_image


def file_of_camera(output: TrackOutput, platform: int, stem: str, suffix: str) -> str:
    """Return the name of a file of one camera, which names the camera where there are several.

    Args:
        output: tracks.
        platform: number of the camera.
        stem: of the name, such as ``tracks``.
        suffix: of the name, with its dot.
    """
    several = len(output.result.streams) > 1
    return f"{stem}-{output.result.streams[platform].name}{suffix}" if several else f"{stem}{suffix}"


class TrackWriter(Protocol):
    """Writes tracks in one format."""

    def __call__(self, output: TrackOutput, folder: Path) -> list[Path]:
        """Write, and return the files.

        Args:
            output: what to write.
            folder: where.
        """
        ...


TRACK_WRITERS: Registry[TrackWriter] = Registry(
    "track_writers",
    "format of tracks",
    {
        "geojson": "skyweave.locating.writers.geojson:write_track_geojson",
        "geoparquet": "skyweave.locating.writers.geoparquet:write_track_geoparquet",
        "csv": "skyweave.locating.writers.csv_table:write_track_csv",
        "kml": "skyweave.locating.writers.kml:write_track_kml",
        "cot": "skyweave.locating.writers.cursor_on_target:write_track_cot",
        "klv": "skyweave.locating.writers.vmti:write_track_klv",
        "mcap": "skyweave.locating.writers.mcap:write_track_mcap",
        "ros2": "skyweave.locating.writers.ros_bag:write_track_ros_bag",
        "rerun": "skyweave.locating.writers.rerun:write_track_rerun",
        "nuscenes": "skyweave.locating.writers.nuscenes:write_track_nuscenes",
        "mot": "skyweave.locating.writers.mot:write_track_mot",
        "counts": "skyweave.locating.writers.counts:write_counts",
        "report": "skyweave.locating.writers.report:write_track_report",
        "video": "skyweave.locating.writers.annotated_video:write_annotated_video",
    },
)
