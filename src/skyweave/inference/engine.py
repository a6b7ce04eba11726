"""One engine for every model that goes over a scene: read windows, compute, blend, keep what is final on disk."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from skyweave.inference.blending import BlendedStrip
from skyweave.inference.groups import ReadGroup, check_readable, compute_group, read_group, summarise_failures
from skyweave.inference.job import InferenceJob, WindowValues
from skyweave.inference.journal import Journal, StripRecord, open_journal
from skyweave.inference.pipeline import map_overlapped
from skyweave.inference.raster import FinishedRaster, Runtime
from skyweave.inference.spool import RasterSpool
from skyweave.inference.windows import Strip, Window, WindowGroup, WindowPlan

ReportProgress = Callable[[int, int], None]
"""Called with windows done and windows in all."""


@contextlib.contextmanager
def compute_raster(job: InferenceJob, output: Path, progress: ReportProgress | None = None) -> Iterator[FinishedRaster]:
    """Compute a raster and give it to the block, which writes it; memory does not grow with the scene.

    Windows that cannot be read are no data, and named in ``provenance.failures``. Work that was killed goes on where it
    stopped, if all that the values depend on is the same; the result is the same to the last bit.

    Args:
        job: what is computed.
        output: file that the block writes; the values lie beside it until then, see `open_journal`.
        progress: called with windows done and in all.

    Raises:
        DataError: no window can be read, or the model refuses the pixels.
        OSError: the disk is full.
    """
    start, clock = time.time_ns(), time.monotonic()
    description = job.description
    with (
        open_journal(output, job.key) as journal,
        RasterSpool(journal.values, description.shape, description.dtype) as spool,
    ):
        _compute_strips(job, journal, spool, progress or (lambda done, total: None))
        failures = summarise_failures(journal.records)
        provenance = replace(description.provenance, failures=failures)
        runtime = Runtime(start, time.monotonic() - clock, job.device)
        yield FinishedRaster(replace(description, provenance=provenance), spool.read, runtime)


def _compute_strips(job: InferenceJob, journal: Journal, spool: RasterSpool, progress: ReportProgress) -> None:
    """Compute the strips that are not on disk yet."""
    _check_strips(job.plan, journal, spool)
    kept = len(journal.records)
    done, total = sum(strip.num_windows for strip in itertools.islice(job.plan.strips(), kept)), len(job.plan)
    blended = BlendedStrip(0, (0, 0), -1)
    failures: list[str] = []
    groups = _groups_to_compute(job.plan, kept)
    workers = job.config.resolved_workers(job.device)
    read, compute = partial(_read, job), partial(compute_group, job.model, job.config.batch)
    for (strip, group), result in map_overlapped(groups, read, compute, workers):
        if group is strip.groups[0] and (blended.first_column, blended.row) != (strip.cells.column, strip.cells.row):
            blended = BlendedStrip(job.model.channels, (strip.cells.column, strip.cells.right), strip.cells.row)
        for window, (values, valid) in result.values:
            blended.add(window, values, job.plan.weight(window) * valid)
        failures += result.failures
        is_new = strip.number >= kept
        if is_new:
            done += len(group.windows)
            progress(done, total)
        if group is strip.groups[-1]:
            values, valid = blended.finish(strip.cells.bottom)
            if is_new:
                _keep_strip(job, strip, (values, valid), failures, journal, spool)
            failures = []
    check_readable(journal.records, total)


def _read(job: InferenceJob, item: tuple[Strip, WindowGroup]) -> ReadGroup:
    return read_group(job.source, item[1])


def _groups_to_compute(plan: WindowPlan, kept: int) -> Iterator[tuple[Strip, WindowGroup]]:
    """Yield the groups of the strips that are not kept, behind those of kept ones that add to the first of these."""
    before: list[Strip] = []
    for strip in plan.strips():
        before = [other for other in before if other.reaches(strip)]
        if strip.number == kept:
            yield from ((other, group) for other in before for group in other.groups)
        if strip.number >= kept:
            yield from ((strip, group) for group in strip.groups)
        else:
            before.append(strip)


def _keep_strip(
    job: InferenceJob,
    strip: Strip,
    blended: WindowValues,
    failures: Sequence[str],
    journal: Journal,
    spool: RasterSpool,
) -> None:
    """Write a strip and record it."""
    values, valid = blended
    mask = job.source.mask(strip.cells)
    finished = job.model.finish(values, valid if mask is None else valid & mask)
    spool.write(strip.cells.row, strip.cells.column, finished)
    journal.append(StripRecord(_checksum(spool, strip.cells), tuple(failures)))


def _check_strips(plan: WindowPlan, journal: Journal, spool: RasterSpool) -> None:
    """Keep the strips whose values are those that were written: a power cut loses what was not on the disk yet."""
    for number, (strip, record) in enumerate(zip(plan.strips(), journal.records, strict=False)):
        if _checksum(spool, strip.cells) != record.checksum:
            journal.truncate(number)
            return


def _checksum(spool: RasterSpool, cells: Window) -> int:
    return spool.checksum(cells.row, cells.column, cells.rows, cells.columns)
