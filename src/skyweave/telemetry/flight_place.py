"""Whether a log lies where its images and other logs lie: latitudes for longitudes, and logs of other flights.

Nothing in a log of one flight says that its latitudes are longitudes: both are numbers of degrees. What else says where
it was is asked: the place in a video's container, the EXIF of images, the logs of other cameras.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import central_lon_lat, distances_lon_lat
from skyweave.telemetry.image_metadata.image_files import find_images
from skyweave.telemetry.image_metadata.metadata import read_metadata
from skyweave.telemetry.poses_over_time import PosesOverTime

MAX_DISTANCE_M = 50_000.0  # between what belongs to one flight
LOCATION_TAGS = ("location", "com.apple.quicktime.location.ISO6709")  # of a video's container
ISO_6709 = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)(?![\d.])")
"""Latitude and longitude in decimal degrees."""
Place = tuple[float, float]  # longitude and latitude in degrees


def check_one_place(flights: Sequence[PosesOverTime]) -> None:
    """Refuse flights that cannot be on one map.

    Args:
        flights: logs of cameras that saw one place together.

    Raises:
        DataError: two are too far from each other; says whether one has exchanged latitude and longitude.
    """
    for flight in flights[1:]:
        _compare(flight, _middle(flights[0]), flights[0].source)


def check_place_of_images(poses: PosesOverTime, images: Path) -> None:
    """Refuse a log that lies elsewhere than its images say that they were taken.

    Args:
        poses: of the log.
        images: video, folder of images or list of frames that it is of.

    Raises:
        DataError: it is too far from them; says whether it has exchanged latitude and longitude.
    """
    place = recorded_place(images)
    if place is not None and poses.knows("position"):
        _compare(poses, place, str(images))


def recorded_place(images: Path) -> Place | None:
    """Return the longitude and latitude that images state of themselves in degrees; None where they do not.

    Args:
        images: video, folder of images, or list of frames.
    """
    if images.is_dir():
        first = next(iter(find_images([images]).values()), None)
        return None if first is None else _place_of_image(first)
    return None if images.suffix.lower() == ".csv" else _place_of_video(images)


def _place_of_image(path: Path) -> Place | None:
    try:
        metadata = read_metadata(path)
    except DataError:  # whoever reads its pixels says what is wrong with it
        return None
    if metadata.latitude is None or metadata.longitude is None:
        return None
    return metadata.longitude, metadata.latitude


def _place_of_video(path: Path) -> Place | None:
    import av

    with av.open(str(path)) as container:
        text = next(filter(None, map(container.metadata.get, LOCATION_TAGS)), "")
    match = ISO_6709.match(text)
    return None if match is None else (float(match[2]), float(match[1]))


def _middle(flight: PosesOverTime) -> Place:
    return central_lon_lat(flight.places[np.isfinite(flight.places).all(1)][:, ::-1])


def _compare(flight: PosesOverTime, place: Place, source: str) -> None:
    """Refuse a flight that is far from a place."""
    longitude, latitude = _middle(flight)
    exchanged = (latitude, float(np.clip(longitude, -90, 90)))
    distance, other = distances_lon_lat(np.array([(longitude, latitude), exchanged]), place)
    if distance <= MAX_DISTANCE_M:
        return
    remedy = "take the logs and images of one flight"
    if other <= MAX_DISTANCE_M:
        remedy = "with latitude and longitude exchanged it would lie there: give its columns each other's names"
    raise DataError(
        f"{flight.source} lies at latitude {latitude:.4f}, longitude {longitude:.4f}, {distance / 1000:.0f} km from "
        f"where {source} says that it was ({place[1]:.4f}, {place[0]:.4f}); {remedy}"
    )
