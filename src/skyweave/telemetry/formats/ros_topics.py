"""Which of a bag's topics are the vehicle's: several receivers, several odometries, poses that are only wanted.

Odometry counts its heading from where it was switched on as often as from east (REP 105 leaves it open). Where the
bag has fixes, the way by both tells the turn between them.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.geometry.geodesy import LocalFrame, distances_lon_lat
from skyweave.telemetry.angles import multiply_quaternions
from skyweave.telemetry.samples import Column
from skyweave.telemetry.streams import Stream

FixesOfTopic = dict[str, list[tuple[int, float, float, float, float, float]]]
Rows = Sequence[tuple[int, np.ndarray]]
ONE_VEHICLE_M = 20.0  # between the middles of what receivers of one vehicle say
SETPOINT_NAMES = ("setpoint", "goal", "target", "command", "desired", "reference", "initialpose", "waypoint")
MIN_WAY_M = 5.0  # spread of a way, from which its direction is known
MAX_MISFIT = 0.2  # of two ways, as a share of their spread
MIN_TURN_DEGREES = 5.0  # that is made; less is within a compass's error


def choose_fixes(fixes: FixesOfTopic, source: str) -> tuple[Stream, list[str]]:
    """Return the fixes of one receiver, and what to note.

    Args:
        fixes: by topic: times, latitude, longitude, height, and two standard deviations a row.
        source: of the bag, for messages.

    Raises:
        DataError: the topics are of several vehicles.
    """
    topics = sorted(fixes, key=lambda topic: -len(fixes[topic]))
    middles = np.array([np.nanmedian([row[1:3] for row in fixes[topic]], 0)[::-1] for topic in topics])
    names, notes = ", ".join(sorted(topics)), []
    if len(topics) > 1:
        distance = distances_lon_lat(middles, (float(middles[0, 0]), float(middles[0, 1]))).max()
        if not distance <= ONE_VEHICLE_M:
            raise DataError(
                f"{source} has fixes of several vehicles, {distance:.0f} m apart ({names}): choose one by a part of "
                "its topic with --system"
            )
        notes.append(f"several receivers have a fix ({names}): {topics[0]} is used; --system chooses another")
    rows = np.array(fixes[topics[0]] if topics else [], np.float64).reshape(-1, 6)
    times = np.array([fix[0] for fix in fixes[topics[0]]] if topics else [], np.int64)
    names_of_columns: tuple[tuple[Column, int], ...] = (
        ("latitude", 1), ("longitude", 2), ("horizontal_std", 4), ("vertical_std", 5),
    )  # fmt: skip
    return Stream(times, {name: rows[:, k] for name, k in names_of_columns}, {"ellipsoid": rows[:, 3]}), notes


def choose_poses(
    poses: Mapping[str, Rows], types: Mapping[str, str], order: Sequence[str], notes: list[str]
) -> str | None:
    """Return the topic whose poses are the vehicle's; None where none is.

    Poses that somebody wants are none, and neither are those without an orientation: all 0, or all the identity,
    which is what messages hold in which nobody wrote one.

    Args:
        poses: by topic; the quaternion is in columns 3 to 6.
        types: of the topics.
        order: types, the best first.
        notes: what the user should know is added here.
    """
    turned = [topic for topic in poses if _has_orientation(poses[topic])]
    topics = [topic for topic in turned if not any(word in topic.lower() for word in SETPOINT_NAMES)]
    chosen = min(topics, key=lambda topic: order.index(types[topic]), default=None)
    others = [topic for topic in topics if chosen != topic and types[topic] == types[chosen or topic]]
    if others:
        notes.append(f"{chosen} is taken for the vehicle's pose, and not {', '.join(others)}; --system chooses another")
    return chosen


def _has_orientation(rows: Rows) -> bool:
    quaternions = np.stack([values[3:7] for _, values in rows])
    return bool((np.abs(quaternions[:, 1:]) > 0).any())


def turn_to_north(
    body: np.ndarray, places: np.ndarray, times: np.ndarray, fixes: Stream, topic: str, notes: list[str]
) -> np.ndarray:
    """Return orientations about east, north and up of those about a frame that begins anywhere.

    Args:
        body: (n, 4) in the frame of the odometry.
        places: (n, 2) metres there.
        times: (n,) nanoseconds, growing.
        fixes: with latitude and longitude.
        topic: of the odometry, for notes.
        notes: what the user should know is added here.

    Raises:
        DataError: the frame is left-handed seen from above: its axes are north, east, down.
    """
    ways = _ways(places, times, fixes)
    if ways is None:
        notes.append(f"headings count from the x axis of {topic}, which is taken to point east")
        return body
    by_odometry, by_fixes = ways
    turn, misfit = _fit(by_odometry, by_fixes)
    if misfit > MAX_MISFIT and _fit(by_odometry.conj(), by_fixes)[1] <= MAX_MISFIT:
        raise DataError(
            f"{topic} counts north and east, not east and north as REP 103 asks: choose another topic with --system, "
            "or record it converted"
        )
    degrees = np.degrees(np.angle(turn))
    if misfit > MAX_MISFIT or abs(degrees) < MIN_TURN_DEGREES:
        return body
    notes.append(f"{topic} is turned by {degrees:.0f} degrees to north, as its way and that of the fixes show")
    half = np.angle(turn) / 2
    return multiply_quaternions(np.array([np.cos(half), 0.0, 0.0, np.sin(half)]), body)


def _ways(places: np.ndarray, times: np.ndarray, fixes: Stream) -> tuple[np.ndarray, np.ndarray] | None:
    """The way by odometry and by fixes, (k,) complex metres about their middles; None where it is too short."""
    known = np.isfinite([fixes.columns["latitude"], fixes.columns["longitude"]]).all(0)
    if known.sum() < 2 or not np.isfinite(places).all(1).any():
        return None
    latitude, longitude = (fixes.columns[name][known] for name in ("latitude", "longitude"))
    frame = LocalFrame(float(latitude[0]), float(longitude[0]), 0.0)
    metres = frame.from_geographic(np.column_stack([latitude, longitude, np.zeros(len(latitude))]))
    inside = np.isfinite(places).all(1) & (times >= fixes.times[known][0]) & (times <= fixes.times[known][-1])
    east, north = (np.interp(times[inside], fixes.times[known], metres[:, axis]) for axis in (0, 1))
    ways = places[inside] @ np.array([1, 1j]), east + 1j * north
    by_odometry, by_fixes = (way - way.mean() if len(way) else way for way in ways)
    is_long = len(by_odometry) and min(np.abs(by_odometry).max(), np.abs(by_fixes).max()) > MIN_WAY_M
    return (by_odometry, by_fixes) if is_long else None


def _fit(way: np.ndarray, target: np.ndarray) -> tuple[complex, float]:
    """The turn of one way to another, and what it leaves as a share of their spread."""
    product = np.vdot(way, target)
    turn = complex(product / abs(product)) if product else 1 + 0j
    return turn, float(np.sqrt(np.mean(np.abs(target - turn * way) ** 2) / np.mean(np.abs(target) ** 2)))
