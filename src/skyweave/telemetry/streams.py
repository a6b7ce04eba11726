"""Streams of a log that come at rates of their own (receiver, attitude, gimbal), interleaved to one list of samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from skyweave.telemetry.interpolation import interpolate_orientations
from skyweave.telemetry.poses_over_time import NS_PER_S, ClockName, HeightDatum
from skyweave.telemetry.samples import Column, LogSamples

MIN_INTERVAL_S = 0.02  # between the samples of a stream; attitudes come at some hundred a second


@dataclass(frozen=True)
class Stream:
    """Samples of one kind of message.

    Attributes:
        times: (n,) int64 nanoseconds.
        columns: (n,) each.
        heights: (n,) metres each.
        enu_from_camera: (n, 4), if it is of a gimbal.
        enu_from_body: (n, 4), if it is of the platform.
        covariance: (n, 6, 6), where the messages have it.
    """

    times: np.ndarray
    columns: Mapping[Column, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    heights: Mapping[HeightDatum, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    enu_from_camera: np.ndarray | None = None
    enu_from_body: np.ndarray | None = None
    covariance: np.ndarray | None = None


def _stack(values: Sequence[np.ndarray | None], lengths: Sequence[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of all streams, NaN for those that have none."""
    parts = [
        np.full((length, *shape), np.nan) if part is None else np.asarray(part, np.float64)
        for length, part in zip(lengths, values, strict=True)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, *shape))


def join_streams(source: str, clock: ClockName, streams: Sequence[Stream], **about: Any) -> LogSamples:
    """Return the samples of all streams, in order of time.

    Args:
        source: of the log, for messages.
        clock: that all count on.
        streams: of the log; none with samples is an empty log.
        **about: other fields of `LogSamples`.
    """
    streams = [_thinned(stream) for stream in streams if len(stream.times)]
    times = np.concatenate([stream.times for stream in streams]) if streams else np.zeros(0, np.int64)
    order = np.argsort(times, kind="stable")
    names = {name for stream in streams for name in stream.columns}
    datums = {datum for stream in streams for datum in stream.heights}

    def stacked(values: Sequence[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
        return _stack(values, [len(stream.times) for stream in streams], shape)[order]

    return LogSamples(
        source=source,
        times=times[order],
        clock=clock,
        columns={name: stacked([stream.columns.get(name) for stream in streams], ()) for name in names},
        heights={datum: stacked([stream.heights.get(datum) for stream in streams], ()) for datum in datums},
        enu_from_camera=stacked([stream.enu_from_camera for stream in streams], (4,)),
        enu_from_body=stacked([stream.enu_from_body for stream in streams], (4,)),
        covariance=stacked([stream.covariance for stream in streams], (6, 6)),
        interleaved=True,
        **about,
    )


def orientations_at(stream: Stream, times: np.ndarray) -> np.ndarray:
    """Return the orientations of a platform at the times of another stream: (k, 4), NaN where it has none near.

    Args:
        stream: with ``enu_from_body``, of growing times.
        times: (k,) nanoseconds.
    """
    if stream.enu_from_body is None or not len(stream.times):
        return np.full((len(times), 4), np.nan)
    return interpolate_orientations(stream.times, stream.enu_from_body, times)


def _thinned(stream: Stream) -> Stream:
    """Every sample that is at least `MIN_INTERVAL_S` after the one taken before it."""
    ticks = stream.times // round(MIN_INTERVAL_S * NS_PER_S)
    rows = np.flatnonzero(np.diff(ticks, prepend=ticks[0] - 1) != 0)

    def taken(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.asarray(values)[rows]

    return Stream(
        stream.times[rows],
        {name: np.asarray(values)[rows] for name, values in stream.columns.items()},
        {datum: np.asarray(values)[rows] for datum, values in stream.heights.items()},
        taken(stream.enu_from_camera),
        taken(stream.enu_from_body),
        taken(stream.covariance),
    )
