"""What a writer is given, and the writers by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skyweave.core.registry import Registry
from skyweave.locating.image_sequence import ImageSequence
from skyweave.locating.track_table import TrackTable
from skyweave.locating.tracking import TrackingResult


@dataclass(frozen=True)
class TrackOutput:
    """Everything that may be written.

    Attributes:
        result: of tracking.
        tables: its tracks.
        sequences: images of each camera.
    """

    result: TrackingResult
    tables: Sequence[TrackTable]
    sequences: Sequence[ImageSequence]


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
        "mot": "skyweave.locating.writers.mot:write_track_mot",
        "report": "skyweave.locating.writers.report:write_track_report",
        "video": "skyweave.locating.writers.annotated_video:write_annotated_video",
    },
)
