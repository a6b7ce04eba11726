"""``skyweave download``: published data, fetched and checked."""

import argparse
import json
import sys

from skyweave.core.errors import DataError
from skyweave.core.run_arguments import OutputFolder


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "download",
        help="fetch a published benchmark",
        description="Fetch tasks of GEO-Bench v1.0 (CC BY-SA 4.0; 57 GB in all) from where its authors publish it. "
        "What broke off is gone on with; what is there already is checked and left alone.",
    )
    parser.add_argument("benchmark", choices=["geobench"], help="what to fetch")
    parser.add_argument(
        "--task", action="append", metavar="NAME", help="a task; may be repeated (`--task list` lists them)"
    )
    parser.add_argument("--all", action="store_true", help="all twelve")
    parser.add_argument(
        "-o", "--output", type=OutputFolder(), metavar="FOLDER", help="the archive's folder; tasks get their own"
    )
    parser.add_argument("--url", help="another server's archive of the task, or an archive on this machine")
    parser.add_argument("--sha256", help="of the archive, where the server does not name it")
    parser.add_argument("--keep", action="store_true", help="keep the archive beside the unpacked task")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch one task after the other."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from skyweave.downstream.geobench.download import download

    if args.task == ["list"]:
        return _list(args.json)
    chosen = _choose_tasks(args)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    done = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        for name in chosen:
            bar = bars.add_task(name, total=None)
            place = download(
                name,
                args.output,
                url=args.url,
                sha256=args.sha256,
                keep=args.keep,
                progress=lambda what, have, total, bar=bar, name=name: bars.update(  # type: ignore[misc]
                    bar, description=f"{name}: {what}", completed=have, total=total
                ),
            )
            bars.remove_task(bar)
            done[name] = str(place)
            if not args.json:
                print(f"{name}: {place}")
    if args.json:
        json.dump({"tasks": done}, sys.stdout, indent=1)
        print()
    return 0


def _choose_tasks(args: argparse.Namespace) -> list[str]:
    """Return the tasks to fetch; refuse options that do not go together."""
    from skyweave.downstream.geobench.tasks import get_task, list_tasks

    _check_arguments(args)
    chosen = list(list_tasks()) if args.all else [get_task(name).name for name in args.task]
    if len(chosen) > 1 and (args.url or args.sha256):
        raise DataError("--url and --sha256 are of one archive: give one --task with them")
    return chosen


def _check_arguments(args: argparse.Namespace) -> None:
    """Check that tasks and a folder are given."""
    if bool(args.task) == args.all:
        raise DataError("say which to fetch: --task NAME (may be repeated), or --all; `--task list` lists them")
    if args.output is None:
        raise DataError("say where to: -o FOLDER")


def _list(as_json: bool) -> int:
    from rich.table import Table

    from skyweave.core.console import table_console
    from skyweave.downstream.geobench.tasks import list_tasks

    if as_json:
        rows = {
            name: {"title": task.title, "kind": task.kind, "classes": len(task.classes)}
            for name, task in list_tasks().items()
        }
        json.dump({"tasks": rows}, sys.stdout, indent=1)
        print()
        return 0
    table = Table("task", "what", "classes", "samples", "sensors")
    for name, task in list_tasks().items():
        sensors = ", ".join(stored.sensor_name for stored in task.sensors)
        table.add_row(name, task.title, str(len(task.classes)), " + ".join(map(str, task.samples)), sensors)
    table_console().print(table)
    return 0
