"""What a command prints about an archive, and its exit code."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from skyweave.core.progress import show_progress
from skyweave.inference.archive.arguments import open_pool
from skyweave.inference.archive.job import SceneJob, SceneOutcome, SceneResult, SceneWork
from skyweave.inference.archive.journal import ListPart
from skyweave.inference.archive.run import check_report, run_archive
from skyweave.inference.scene_arguments import EXIT_PARTIAL


def run_archive_command(
    args: argparse.Namespace,
    jobs: Sequence[SceneJob],
    work: SceneWork,
    what: str,
    describe: Callable[[SceneResult], str],
) -> int:
    """Work on an archive; return 0, or 3 where a scene or a part of one has no output and the rest is delivered.

    Args:
        args: as parsed, of `add_archive_arguments`.
        jobs: of all scenes.
        work: to do.
        what: is done to them, such as ``embedded``.
        describe: an output in words.

    Raises:
        DataError: every scene failed; names the first failure.
    """

    def show(job: SceneJob, outcome: SceneOutcome) -> None:
        for note in outcome.result.notes if outcome.result else ():
            print(f"warning: {job.name}: {note}", file=sys.stderr)
        for failure in outcome.failures:
            print(f"error: {job.name}: {failure}", file=sys.stderr)
        if outcome.result and not args.json:
            print(f"{job.output}: {describe(outcome.result)}", flush=True)

    part = ListPart.parse(args.part)
    with show_progress(f"scenes to be {what}") as progress:
        report = run_archive(
            jobs,
            open_pool(args, work),
            args.into,
            part,
            args.retries,
            show,
            lambda note: print(f"warning: {note}", file=sys.stderr),
            progress,
        )
    path = args.into / f"report{part.suffix}.json"
    if args.json:
        print(json.dumps(report.to_dict()))
    else:
        print(
            f"{args.into}: {report.computed} scenes {what}, {report.done_before} done before, {report.lost} failed, "
            f"{len(report.failed) - report.lost} with parts missing; {path}"
        )
    check_report(report, what)
    return EXIT_PARTIAL if report.failed else 0
