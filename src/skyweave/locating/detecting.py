"""Boxes of all images of a sequence, kept in a file as they come, so that a run that was stopped goes on."""

from skyweave.core.errors import DataError
from skyweave.core.line_journal import LineJournal
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
    journal: LineJournal,
    progress: ReportProgress | None = None,
) -> list[SeenBoxes]:
    """Detect in all images of a sequence.

    Boxes are those that the file holds, rounded, whether they come from it or from the detector: a run that was
    stopped and goes on gives what an undisturbed one gives, to the last byte.

    Args:
        sequence: of images.
        detector: a model, or a file of boxes.
        journal: the JSON lines that are written, one an image, and those of an earlier run.
        progress: called with how far it is.

    Raises:
        DataError: the lines to go on with are of other images.
    """
    schedule = sequence.schedule()
    lines = journal.lines[: len(schedule)]
    if [line.get("frame") for line in lines] != [frame for frame, _, _ in schedule[: len(lines)]]:
        raise DataError(f"{journal.path} is of other images; start anew without --resume")
    for image in sequence.images(len(lines), detector.needs_images):
        detections = detector.detect(image.pixels, image.frame, image.name)
        line = {"frame": image.frame, "seconds": round(image.seconds, 6)} | detections_to_json(detections)
        journal.add(line)
        lines.append(line)
        if progress is not None:
            progress("detecting", len(lines), len(schedule))
    return [(int(line["frame"]), float(line["seconds"]), detections_from_json(line)) for line in lines]
