"""Objects instead of rasters: what windows contain, each taken from the window in whose middle it lies."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from skyweave.inference.config import InferenceConfig
from skyweave.inference.engine import ReportProgress
from skyweave.inference.groups import ReadGroup, check_readable, compute_group, read_group, summarise_failures
from skyweave.inference.job import Observations, WindowSource
from skyweave.inference.journal import Journal, StripRecord, open_journal
from skyweave.inference.pipeline import map_overlapped
from skyweave.inference.windows import Strip, Window, WindowGroup, WindowPlan


@dataclass(frozen=True)
class ObjectJob:
    """What is looked for.

    Attributes:
        plan: of the windows, in pixels.
        source: of the pixels.
        detect: from the pixels of windows of one size to the boxes of each, (boxes, columns): left, top, right, bottom
            in pixels of the window, and more.
        key: hash of all that the boxes depend on.
        device: type of the device that the model runs on.
        config: batches and workers.
    """

    plan: WindowPlan
    source: WindowSource
    detect: Callable[[Sequence[Observations]], list[np.ndarray]]
    key: str
    device: str
    config: InferenceConfig


@contextlib.contextmanager
def compute_objects(
    job: ObjectJob, output: Path, progress: ReportProgress | None = None
) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """Compute the boxes of a scene and give them to the block, which writes them.

    A box counts where its centre lies in the core of its window, so one at an edge is taken from the window that sees
    more of it. Work that was killed goes on where it stopped, see `compute_raster`.

    Args:
        job: what is looked for.
        output: file that the block writes.
        progress: called with windows done and in all.

    Yields:
        (boxes, columns) in pixels of the part of the scene; and what could not be read, one line for each cause.

    Raises:
        DataError: no window can be read.
        OSError: the disk is full.
    """
    with open_journal(output, job.key) as journal:
        _compute_strips(job, journal, progress or (lambda done, total: None))
        rows = [row for record in journal.records for row in record.objects]
        boxes = np.array(rows, np.float64) if rows else np.zeros((0, 0))
        yield boxes, summarise_failures(journal.records)


def _compute_strips(job: ObjectJob, journal: Journal, progress: ReportProgress) -> None:
    kept = len(journal.records)
    done, total = sum(strip.num_windows for strip in itertools.islice(job.plan.strips(), kept)), len(job.plan)
    groups = ((strip, group) for strip in itertools.islice(job.plan.strips(), kept, None) for group in strip.groups)
    objects: list[tuple[float, ...]] = []
    failures: list[str] = []
    read, compute = partial(_read, job), partial(compute_group, job.detect, job.config.batch)
    for (strip, group), result in map_overlapped(groups, read, compute, job.config.resolved_workers(job.device)):
        for window, boxes in result.values:
            objects += _boxes_in_core(job, window, boxes)
        failures += result.failures
        done += len(group.windows)
        progress(done, total)
        if group is strip.groups[-1]:
            journal.append(StripRecord(0, tuple(failures), tuple(objects)))
            objects, failures = [], []
    check_readable(journal.records, total)


def _read(job: ObjectJob, item: tuple[Strip, WindowGroup]) -> ReadGroup:
    return read_group(job.source, item[1])


def _boxes_in_core(job: ObjectJob, window: Window, boxes: np.ndarray) -> list[tuple[float, ...]]:
    """Return the boxes whose centre is in the core of a window and is wanted, in pixels of the scene.

    A centre beyond the window's edge counts as on it: objects are cut there.
    """
    core, mask = job.plan.core(window), job.source.mask(window)
    kept = []
    for box in boxes.astype(np.float64).tolist():
        x = min(max((box[0] + box[2]) / 2, 0), window.columns - 0.5) + window.column
        y = min(max((box[1] + box[3]) / 2, 0), window.rows - 0.5) + window.row
        inside = core.row <= y < core.bottom and core.column <= x < core.right
        if inside and (mask is None or mask[int(y) - window.row, int(x) - window.column]):
            left, top, right, bottom, *rest = box
            place = left + window.column, top + window.row, right + window.column, bottom + window.row
            kept.append((*place, *rest))
    return kept
