"""All tracks at the times of images: what formats that play over time are made of."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from skyweave.locating.writers.base import TrackOutput, TrackPlace


@dataclass(frozen=True)
class TimedPlaces:
    """Where tracks were at one time.

    Attributes:
        time: nanoseconds, UTC or from the first image.
        places: of the tracks that were seen then.
    """

    time: int
    places: list[TrackPlace]


def places_over_time(output: TrackOutput) -> Iterator[TimedPlaces]:
    """Yield the points of all tracks in order of time.

    Args:
        output: tracks.
    """
    by_time: dict[int, list[TrackPlace]] = defaultdict(list)
    for table in output.tables:
        for row, time in enumerate(table.times.tolist()):
            by_time[time].append(TrackPlace(table, row))
    for time in sorted(by_time):
        yield TimedPlaces(time, by_time[time])
