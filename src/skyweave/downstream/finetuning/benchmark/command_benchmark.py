"""``skyweave benchmark``: a published protocol, run after run, and one table."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from torch import nn

    from skyweave.downstream.finetuning.benchmark.config import BenchmarkConfig
    from skyweave.downstream.finetuning.benchmark.table import BenchmarkRow, PublishedRow


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of ``skyweave``.
    """
    parser = subparsers.add_parser(
        "benchmark",
        help="GEO-Bench: tasks, methods, seeds, label fractions",
        description="Fine-tune a backbone on the tasks of GEO-Bench v1.0 with several methods, seeds and label "
        "fractions, beside baselines. Every run is kept in a file of its own and not made twice; the table has all "
        "that are there.",
    )
    parser.add_argument("benchmark", choices=["geobench"], help="which")
    parser.add_argument("data", type=Path, help="folder of the archive (skyweave download geobench)")
    parser.add_argument(
        "-o", "--output", type=OutputFolder(), required=True, help="folder for runs, table.md and table.json"
    )
    parser.add_argument(
        "--task", action="append", default=[], help="a task; may be repeated (default: all that are there)"
    )
    parser.add_argument("--method", action="append", help="a method; may be repeated (default: all but `last`)")
    parser.add_argument(
        "--weights", default="tiny", help="shipped name, file (ours or published), or `none` (default: tiny)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument(
        "--fraction", type=float, action="append", help="of the training labels; may be repeated (default: 1)"
    )
    parser.add_argument("--patch-size", type=int, help="pixels per patch side (default: 15 to 32 patches a side)")
    parser.add_argument(
        "--sensors", choices=["first", "all"], default="first", help="of tasks with several (default: first)"
    )
    parser.add_argument(
        "--statistics", choices=["auto", "sensor", "task"], default="auto", help="to normalise with (default: auto)"
    )
    parser.add_argument("--unlabelled", choices=["class", "ignore"], default="class", help="pixels that nobody knows")
    parser.add_argument("--limit", type=int, default=0, help="samples of each split at most (default: 0, all)")
    parser.add_argument("--partial", action="store_true", help="read tasks whose download is not whole")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe: training.steps=500"
    )
    parser.add_argument("--device", default="cpu", help="where it runs (default: cpu)")
    parser.add_argument("--fabricate", action="store_true", help="first write miniatures with made-up images into DATA")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the runs and print their table; exit code 1 where a run could not be made, whatever the scores.

    Args:
        args: of the command line.
    """
    from skyweave.core.progress import show_status
    from skyweave.downstream.finetuning.benchmark.run_benchmark import run_benchmark
    from skyweave.downstream.finetuning.benchmark.runs import read_runs
    from skyweave.downstream.finetuning.benchmark.table import summarise_runs

    config = _config(args)
    if args.fabricate:
        _fabricate(args.data, args.task)
    backbone, weights = _backbone(args.weights, args.device)
    with show_status("reading") as show:
        runs, failures = run_benchmark(args.data, config, args.output, backbone, weights, args.device, log=show)
    rows = summarise_runs(runs)
    _write(args.output, summarise_runs(read_runs(args.output)))
    if args.json:
        json.dump(
            {"rows": [_plain(row) for row in rows], "failures": [vars(f) for f in failures]}, sys.stdout, indent=1
        )
        print()
    else:
        _print_tables(rows, args.output)
    for line in _failure_lines(failures):
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _failure_lines(failures: "Sequence[Any]") -> list[str]:
    """Return a line for each reason of a task, with the runs that it stopped: all of a task often fail alike."""
    runs: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        where = f"{failure.method} {failure.fraction:g} seed {failure.seed}"
        runs.setdefault((failure.task, failure.reason), []).append(where)
    return [
        f"failed: {task} {where[0]}{f' and {len(where) - 1} more runs' if len(where) > 1 else ''}: {reason}"
        for (task, reason), where in runs.items()
    ]


def _config(args: argparse.Namespace) -> "BenchmarkConfig":
    """Return the configuration that the options stand for."""
    from skyweave.core.config import apply_override, config_from_dict
    from skyweave.downstream.finetuning.benchmark.config import DEFAULT_METHODS, BenchmarkConfig
    from skyweave.downstream.finetuning.config import RecipeConfig

    content: dict[str, Any] = {}
    for change in args.set:
        apply_override(content, change)
    return BenchmarkConfig(
        tasks=args.task,
        methods=args.method or DEFAULT_METHODS,
        seeds=args.seeds,
        fractions=args.fraction or [1.0],
        recipe=config_from_dict(content, RecipeConfig),
        patch_size=args.patch_size,
        sensors=args.sensors,
        statistics=args.statistics,
        unlabelled=args.unlabelled,
        partial=args.partial,
        limit=args.limit,
    )


def _fabricate(folder: Path, tasks: list[str]) -> None:
    """Make small tasks in a folder that has none."""
    from skyweave.downstream.geobench import fabricate, find_tasks

    if find_tasks(folder):
        raise ConfigError(f"{folder} has tasks already; give a folder without, or leave --fabricate out")
    fabricate(folder, tasks or None)


def _print_tables(rows: "list[BenchmarkRow]", output: Path) -> None:
    """Print one table a task, and where all runs are."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    for task in dict.fromkeys(row.task for row in rows):
        console.print(make_table([row for row in rows if row.task == task]))
    console.print(f"{output / 'table.md'}", highlight=False)


def make_table(rows: "list[BenchmarkRow]") -> "Table":
    """Return the table of one task: measured rows, and published ones below.

    Args:
        rows: of one task.
    """
    from rich import box
    from rich.table import Table

    from skyweave.downstream.finetuning.benchmark.table import published_rows

    task, fractions = rows[0].task, {row.fraction for row in rows}
    samples = f"{' + '.join(map(str, rows[0].samples))} samples"
    table = Table(title=f"{task}: {samples}", caption="* the best baseline", box=box.SIMPLE_HEAD)
    for name in ("labels", "row", rows[0].metric, "lead over *", "learned", "s"):
        table.add_column(name, justify="left" if name == "row" else "right")
    best = {(row.fraction, row.baseline) for row in rows}
    for row in rows:
        cells = _measured_cells(row, is_best=(row.fraction, row.method) in best)
        table.add_row(*cells, style="bold" if row.lead is not None else None)
    for other in published_rows():
        if task in other.scores and other.fraction in fractions and rows[0].published:
            table.add_row(*_published_cells(other, task), style="dim")
    return table


def _published_cells(row: "PublishedRow", task: str) -> tuple[str, str, str]:
    name = f"{row.row} ({row.how}{'' if row.read else ', recalled'})"
    return f"{row.fraction:.0%}", name, f"{row.scores[task]:.3f}"


def _measured_cells(row: "BenchmarkRow", is_best: bool) -> list[str]:
    """Return the cells of a measured row; the best baseline has a mark."""
    return [
        f"{row.fraction:.0%}",
        row.method + " *" * is_best,
        f"{row.mean:.3f} ({row.low:.3f} to {row.high:.3f})",
        "" if row.lead is None else "{:+.3f} ({:+.3f} to {:+.3f})".format(*row.lead),
        f"{row.trained / 1000:,.1f}k",
        f"{row.seconds:.0f}",
    ]


def _write(output: Path, rows: "list[BenchmarkRow]") -> None:
    from skyweave.core.atomic_write import write_aside
    from skyweave.downstream.finetuning.benchmark.table import as_markdown

    with write_aside(output / "table.md") as aside:
        aside.write_text(as_markdown(rows), encoding="utf-8")
    with write_aside(output / "table.json") as aside:
        aside.write_text(json.dumps({"rows": [_plain(row) for row in rows]}, indent=1) + "\n", encoding="utf-8")


def _plain(row: "BenchmarkRow") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)


def _backbone(weights: str, device: str) -> "tuple[nn.Module | None, str]":
    """Return the weights, and what distinguishes them from others."""
    from skyweave.backbone.device import resolve_device

    resolve_device(device)
    if weights == "none":
        return None, ""
    import hashlib

    from skyweave.backbone import load_encoder

    backbone = load_encoder(weights, device)
    digest = hashlib.sha256()
    for key, value in sorted(backbone.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return backbone, f"{Path(weights).name} ({digest.hexdigest()[:16]})"
