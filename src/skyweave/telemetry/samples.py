"""What a reader takes from a log, column by column, before it is looked at as poses."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from skyweave.core.geometry.camera import PinholeCamera
from skyweave.telemetry.poses_over_time import ClockName, HeightDatum, MissingTopic

Column = Literal[
    "latitude",
    "longitude",
    "camera_yaw",
    "camera_pitch",
    "camera_roll",
    "body_yaw",
    "body_pitch",
    "body_roll",
    "horizontal_fov",
    "vertical_fov",
    "horizontal_std",
    "vertical_std",
    "heading_std",
    "tilt_std",
]
"""Degrees and metres. Yaw is a compass heading; a camera's pitch is above the horizon, as gimbals count it; a body's
angles are those of aerospace (nose up, right wing down)."""
HEIGHT_BIAS_STD_M: dict[HeightDatum, float] = {
    "ellipsoid": 3.0,
    "sea_level": 20.0,  # drones state it tens of metres off: a barometer on a standard atmosphere
    "takeoff": 1.0,
    "ground": 1.0,
    "unstated": 30.0,
}


@dataclass(frozen=True)
class LogSamples:
    """Columns of a log; NaN, or no column, where it says nothing.

    Attributes:
        source: file or topic, for messages.
        times: (n,) int64 nanoseconds in the order of the log; they may stand still or go back.
        clock: what they count from.
        columns: (n,) each.
        heights: (n,) metres by what they count from.
        height_bias_std: metres, where the log knows better than `HEIGHT_BIAS_STD_M`.
        enu_from_camera: (n, 4) where the log has rotations instead of angles.
        enu_from_body: (n, 4) likewise.
        covariance: (n, 6, 6) where the log has it; NaN where it does not.
        interleaved: whether rows come from several streams, so that each says a part and its neighbours the rest.
        epoch, time_std, camera, platform, is_fixed: as of `PosesOverTime`.
        missing: what the log does not say, in its reader's words.
        notes: what was assumed.
    """

    source: str
    times: np.ndarray
    clock: ClockName
    columns: Mapping[Column, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    heights: Mapping[HeightDatum, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    height_bias_std: Mapping[HeightDatum, float] = field(default_factory=lambda: MappingProxyType({}))
    enu_from_camera: np.ndarray | None = None
    enu_from_body: np.ndarray | None = None
    covariance: np.ndarray | None = None
    interleaved: bool = False
    epoch: int | None = None
    time_std: float = 0.0
    camera: PinholeCamera | None = None
    platform: str = ""
    is_fixed: bool = False
    missing: Mapping[MissingTopic, str] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()

    def column(self, name: Column) -> np.ndarray:
        """Return a column: (n,) float64, NaN where the log says nothing.

        Args:
            name: of the column.
        """
        if name not in self.columns:
            return np.full(len(self.times), np.nan)
        return np.asarray(self.columns[name], np.float64)

    def in_time_order(self) -> "LogSamples":
        """Return the samples whose times grow: one for each time, with what any row of that time says.

        Of clocks that jump the longest run of growing times is taken (patience sorting), so that one wrong stamp costs
        one row, wherever it stands.
        """
        rows = _growing_rows(self.times)
        times, groups = np.unique(self.times[rows], return_inverse=True)

        def merged(values: np.ndarray) -> np.ndarray:
            values = np.asarray(values, np.float64)[rows]
            result = np.full((len(times), *values.shape[1:]), np.nan)
            known = np.isfinite(values.reshape(len(values), -1)).all(1)
            result[groups[known]] = values[known]
            return result

        dropped = len(self.times) - len(rows)
        note = (f"{dropped} of {len(self.times)} samples whose times go back are left out",) if dropped else ()
        return replace(
            self,
            times=times,
            columns={name: merged(values) for name, values in self.columns.items()},
            heights={datum: merged(values) for datum, values in self.heights.items()},
            notes=(*self.notes, *note),
            enu_from_camera=None if self.enu_from_camera is None else merged(self.enu_from_camera),
            enu_from_body=None if self.enu_from_body is None else merged(self.enu_from_body),
            covariance=None if self.covariance is None else merged(self.covariance),
        )


def _growing_rows(times: np.ndarray) -> np.ndarray:
    """Indices of the longest subsequence of times that never go back (Fredman, 1975)."""
    if not (np.diff(times) < 0).any():
        return np.arange(len(times))
    ends: list[int] = []  # the smallest time at which a run of each length ends
    rows: list[int] = []
    previous = np.full(len(times), -1)
    for row, time in enumerate(times.tolist()):
        length = bisect_right(ends, time)
        previous[row] = rows[length - 1] if length else -1
        ends[length : length + 1], rows[length : length + 1] = [time], [row]
    chain = [rows[-1]]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return np.array(chain[::-1])
