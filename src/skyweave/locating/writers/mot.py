"""Tracks in the images as MOT challenge files, one a camera, with places on the map as x, y, z."""

from pathlib import Path

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.locating.writers.base import TrackOutput, file_of_camera


def write_track_mot(output: TrackOutput, folder: Path) -> list[Path]:
    """Write ``tracks.mot.txt``, or ``tracks-CAMERA.mot.txt`` of several.

    Args:
        output: what to write.
        folder: where.
    """
    lines: list[list[tuple[int, int, str]]] = [[] for _ in output.result.streams]
    for table in output.tables:
        for number, (platform, frame) in enumerate(zip(table.platforms.tolist(), table.frames.tolist(), strict=True)):
            detections = output.result.located[platform, frame].detections
            row = table.rows[number]
            left, top, right, bottom = detections.boxes[row]
            place = [*table.points[number], table.up[number]]
            values = [left, top, right - left, bottom - top, detections.scores[row], *place]
            text = ",".join(f"{value:.3f}" for value in np.array(values, np.float64))
            lines[platform].append((frame, table.number, f"{frame + 1},{table.number},{text}\n"))
    paths = []
    for platform, rows in enumerate(lines):
        path = folder / file_of_camera(output, platform, "tracks", ".mot.txt")
        with write_aside(path) as aside:
            aside.write_text("".join(text for _, _, text in sorted(rows)), "utf-8")
        paths.append(path)
    return paths
