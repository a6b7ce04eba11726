"""``skyweave simulate``: a recording of several platforms over a world of our own."""

import argparse
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from multiprocessing.queues import Queue
    from pathlib import Path

    from skyweave.simulator.config import WorldConfig
    from skyweave.simulator.ground import Orthophoto

REPORT_INTERVAL_FRAMES = 4  # frames between two messages of a worker


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "simulate",
        help="record a simulated world",
        description="Simulate a world and record it from several platforms, with exact truth, in the nuScenes table "
        "layout. The same configuration and seed give the same files. An interrupted run goes on where it stopped.",
        epilog="`skyweave inspect DIR` summarises the recording, `skyweave view DIR` shows it.",
    )
    parser.add_argument("config", help="YAML, such as configs/world/crossing.yaml")
    parser.add_argument(
        "-o", "--output", type=OutputFolder(), required=True, metavar="DIR", help="folder of the recording"
    )
    parser.add_argument("--scenes", type=int, metavar="N", help="instead of the configured number")
    parser.add_argument("--frames", type=int, metavar="N", help="of each scene, instead of the configured number")
    parser.add_argument("--seed", type=int, metavar="S", help="instead of the configured one")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes, a scene each (default: 1)")
    parser.add_argument("--jpeg", action="store_true", help="colour pictures as JPEG, a fifth of the size, not exact")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration: traffic.cars=10"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Simulate what is missing, write the tables and return 0.

    Args:
        args: parsed options.
    """
    import time
    from pathlib import Path

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from skyweave.core.atomic_write import claim_folder
    from skyweave.core.config import load_config_file
    from skyweave.recordings.nuscenes import finish_recording, scene_is_written
    from skyweave.simulator.config import WorldConfig
    from skyweave.simulator.orthophotos import choose_orthophoto, read_orthophotos
    from skyweave.simulator.surface_classes import SURFACES
    from skyweave.simulator.world import World

    config = load_config_file(args.config, WorldConfig, [*args.set, *_changes(args)])
    _check_workers(args)
    folder = Path(args.output)
    photographs = read_orthophotos(config.scenery, Path(args.config).parent)
    image_format = "jpg" if args.jpeg else "png"
    stamp = _fingerprint(config, photographs, image_format)
    names = [f"{config.name}-{index:04d}" for index in range(config.scenes)]
    missing = [index for index, name in enumerate(names) if not scene_is_written(folder, name, stamp)]
    World.check(config)  # before any process starts
    started = time.monotonic()
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn())
    console = Console(stderr=True)
    shows_bar = sys.stderr.isatty()
    with claim_folder(folder), Progress(*columns, console=console, transient=True, disable=not shows_bar) as bar:
        task = bar.add_task("", total=len(missing) * config.frames)
        jobs = [
            (config, index, folder, choose_orthophoto(photographs, config.seed, index), image_format, stamp)
            for index in missing
        ]
        for frames in _work(jobs, min(args.workers, max(len(missing), 1))):
            bar.advance(task, frames)
    tables = finish_recording(folder, config.name, _splits(config, names), surfaces=SURFACES, world=_plain(config))
    seconds = time.monotonic() - started
    summary = {
        "path": str(folder),
        "tables": str(tables),
        "scenes": config.scenes,
        "written": len(missing),
        "frames": config.scenes * config.frames,
        "seed": config.seed,
        "seconds": round(seconds, 3),
    }
    print(json.dumps(summary) if args.json else _summary_line(config, folder, len(missing), seconds))
    return 0


def _check_workers(args: argparse.Namespace) -> None:
    """Check the number of processes."""
    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers} must be at least 1 process")


def _changes(args: argparse.Namespace) -> "list[str]":
    """Return the changes of the configuration that have options of their own, as KEY=VALUE."""
    counts = {name: getattr(args, name) for name in ("scenes", "frames", "seed")}
    return [f"{name}={value}" for name, value in counts.items() if value is not None]


def _splits(config: "WorldConfig", names: "list[str]") -> "dict[str, list[str]]":
    """Return the names of scenes by split, the last ones for validation; a split without scenes is left out."""
    validation = round(config.scenes * config.validation)
    splits = {"train": names[: config.scenes - validation], "val": names[config.scenes - validation :]}
    return {split: members for split, members in splits.items() if members}


def _summary_line(config: "WorldConfig", folder: "Path", written: int, seconds: float) -> str:
    """Return what was done, for people."""
    kept = config.scenes - written
    before = f", {kept} of them from before" if kept else ""
    return f"{folder}: {config.scenes} scenes of {config.frames} frames{before}, in {seconds:.0f} s"


def _work(jobs: "Sequence[tuple[Any, ...]]", workers: int) -> "Iterator[int]":
    """Do all jobs, in this process or in several; yields the frames that were done since the last time."""
    if workers == 1:
        for job in jobs:
            done: list[int] = []
            _record(done.append, *job)
            yield sum(done)
    else:
        yield from _work_in_processes(jobs, workers)


def _work_in_processes(jobs: "Sequence[tuple[Any, ...]]", workers: int) -> "Iterator[int]":
    """Do all jobs in several processes; yields the frames that were done since the last time."""
    import multiprocessing
    import queue
    from concurrent.futures import ProcessPoolExecutor

    before = multiprocessing.active_children()
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with (
        _one_thread_each(),
        ProcessPoolExecutor(workers, context, initializer=_listen, initargs=(reports,)) as pool,
    ):
        futures = [pool.submit(_record, None, *job) for job in jobs]
        try:
            while not all(future.done() for future in futures):
                _raise_errors(futures)
                try:
                    yield reports.get(timeout=0.2)
                except queue.Empty:
                    continue
            _raise_errors(futures)
        except BaseException:  # nobody waits for scenes of minutes
            for process in set(multiprocessing.active_children()) - set(before):
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        while not reports.empty():
            yield reports.get()


def _raise_errors(futures: "Sequence[Future[None]]") -> None:
    """Raise the error of a job that has failed: it ends the run now."""
    for future in futures:
        if future.done():
            future.result()


@contextmanager
def _one_thread_each() -> "Iterator[None]":
    """The processes share the cores among them; what this process starts later is none of theirs."""
    import os

    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    added = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


_REPORTS: "list[Queue[int]]" = []


def _listen(reports: "Queue[int]") -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the process that started this one ends it
    _REPORTS[:] = [reports]


def _record(
    report: "Callable[[int], None] | None",
    config: "WorldConfig",
    index: int,
    folder: "Path",
    photograph: "Orthophoto | None",
    image_format: "Any",
    stamp: str,
) -> None:
    """Simulate and write one scene."""
    from skyweave.recordings.nuscenes import write_scene
    from skyweave.simulator.surface_classes import CATEGORIES
    from skyweave.simulator.world import simulate_scene

    send = report or _REPORTS[0].put
    scene = simulate_scene(config, index, photograph=photograph)

    def progress(done: int, total: int) -> None:
        if done % REPORT_INTERVAL_FRAMES == 0 or done == total:
            send(done % REPORT_INTERVAL_FRAMES or REPORT_INTERVAL_FRAMES)

    write_scene(folder, scene, CATEGORIES, image_format=image_format, fingerprint=stamp, progress=progress)


def _fingerprint(config: "WorldConfig", photographs: "Sequence[Orthophoto]", image_format: str) -> str:
    """Of everything that decides a scene's files; how many scenes there are does not."""
    import hashlib

    content = _plain(config)
    for key in ("scenes", "validation"):
        del content[key]
    digest = hashlib.sha256(json.dumps([content, image_format], sort_keys=True).encode())
    for photograph in photographs:
        digest.update(photograph.reflectance.tobytes())
    return digest.hexdigest()[:16]


def _plain(config: "WorldConfig") -> "dict[str, Any]":
    from dataclasses import asdict

    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain
