"""Tracks made ready to be scored: one score a track, and no gaps."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Literal

import numpy as np

from skyweave.perception.metrics.tables import BoxTable

Interpolation = Literal["devkit", "linear"]


def with_track_scores(table: BoxTable) -> BoxTable:
    """Return the boxes, each with the mean score of its track.

    Args:
        table: boxes of one scene, with ``instances``.
    """
    scores = table.scores.copy()
    for rows in _tracks(table).values():
        scores[rows] = np.mean(table.scores[rows])
    return replace(table, scores=scores)


def interpolate_tracks(table: BoxTable, times: np.ndarray, interpolation: Interpolation | None) -> BoxTable:
    """Return the boxes with the gaps of their tracks filled, new boxes at the end of their frame.

    Args:
        table: boxes of one scene.
        times: (frames,) of any unit, rising.
        interpolation: ``linear``: on the line between both; ``devkit``: likewise, with the weights of both exchanged,
            as in the nuScenes devkit; None: not at all.
    """
    if interpolation is None:
        return table
    left, right, frames, weights = [], [], [], []
    for rows in _tracks(table).values():
        known = table.frames[rows]
        between = np.setdiff1d(np.arange(known[0], known[-1] + 1), known)
        after = np.searchsorted(known, between)
        before, behind = rows[after - 1], rows[after]
        start, end = times[table.frames[before]], times[table.frames[behind]]
        passed = times[between] - start if interpolation == "linear" else end - times[between]
        left.append(before)
        right.append(behind)
        frames.append(between)
        weights.append(passed / (end - start))
    if not frames:
        return table
    a, b = table.select(np.concatenate(left)), table.select(np.concatenate(right))
    weight = np.concatenate(weights)
    new = replace(
        b,
        frames=np.concatenate(frames),
        centres=(1 - weight)[:, None] * a.centres + weight[:, None] * b.centres,
        scores=(1 - weight) * a.scores + weight * b.scores,  # one score, but for the last bit, as in the devkit
    )
    columns = [np.concatenate([getattr(table, f.name), getattr(new, f.name)]) for f in fields(table)]
    return BoxTable(*columns).select(np.argsort(np.append(table.frames, new.frames), kind="stable"))


def iterate_frames(objects: BoxTable, tracks: BoxTable, label: int) -> Iterator[tuple[BoxTable, BoxTable]]:
    """Yield the boxes of one class of each frame that has any, in order.

    Args:
        objects: of one scene.
        tracks: of the same scene.
        label: of the class.
    """
    objects, tracks = objects.select(objects.labels == label), tracks.select(tracks.labels == label)
    for frame in np.union1d(objects.frames, tracks.frames):
        yield objects.select(objects.frames == frame), tracks.select(tracks.frames == frame)


def _tracks(table: BoxTable) -> dict[object, np.ndarray]:
    """Rows of each track in order of time, tracks in the order of their first box."""
    rows: dict[object, list[int]] = {}
    for row, name in enumerate(table.instances.tolist()):
        rows.setdefault(name, []).append(row)
    return {name: np.array(indices) for name, indices in rows.items()}
