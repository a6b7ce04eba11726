"""Boxes of all images of a sequence, kept in a file as they come, so that a run that was stopped goes on."""

import json
from pathlib import Path

from skyweave.core.errors import DataError
from skyweave.core.progress import ReportProgress
from skyweave.detection.detector import Detector
from skyweave.detection.formats.json_lines import detections_from_json, detections_to_json
from skyweave.detection.image_detections import ImageDetections
from skyweave.locating.image_sequence import ImageSequence

SeenBoxes = tuple[int, float, ImageDetections]
"""Number of an image, its seconds from the first one, and its boxes."""


def detect_images(
    sequence: ImageSequence,
    detector: Detector,
    path: Path,
    resume: bool = False,
    progress: ReportProgress | None = None,
) -> list[SeenBoxes]:
    """Detect in all images of a sequence.

    Args:
        sequence: of images.
        detector: a model, or a file of boxes.
        path: of the JSON lines that are written, one an image.
        resume: go on after the last image that is in the file.
        progress: called with how far it is.

    Raises:
        DataError: the file to go on with is of other images.
    """
    schedule = sequence.schedule()
    seen = _read_seen(path, schedule) if resume and path.is_file() else []
    with path.open("a" if seen else "w", encoding="utf-8") as file:
        for image in sequence.images(len(seen), detector.needs_images):
            detections = detector.detect(image.pixels, image.frame, image.name)
            seen.append((image.frame, image.seconds, detections))
            line = {"frame": image.frame, "seconds": round(image.seconds, 6)} | detections_to_json(detections)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if progress is not None:
                progress("detecting", len(seen), len(schedule))
    return seen


def _read_seen(path: Path, schedule: list[tuple[int, float, str]]) -> list[SeenBoxes]:
    """Read what an earlier run has written; a line that was cut off is left out, and cut off."""
    seen: list[SeenBoxes] = []
    lines = path.read_text("utf-8").splitlines()
    for line, (frame, _, _) in zip(lines, schedule, strict=False):
        try:
            image = json.loads(line)
        except ValueError:
            break
        if image["frame"] != frame:
            raise DataError(f"{path} is of other images; start anew without --resume")
        seen.append((frame, float(image["seconds"]), detections_from_json(image)))
    path.write_text("".join(line + "\n" for line in lines[: len(seen)]), "utf-8")
    return seen
