"""``skyweave finetune``: a backbone adapted to labelled data."""

import argparse
import json
import sys
from typing import Any

from skyweave.core.run_arguments import add_run_arguments


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "finetune",
        help="adapt a backbone to labelled data",
        description="Adapt a backbone to your labels: image classes, masks, values, change between two dates, boxes. "
        "Frozen, fully, its last blocks, or by low-rank additions. Writes weights that `load_adapted` reads, scores of "
        "the test part and, with --report, a page that shows them. A stopped run goes on with --resume.",
    )
    add_run_arguments(
        parser, "configs/finetune/*.yaml", "folder that the configuration's paths start from", "method.kind=lora"
    )
    parser.add_argument("--report", action="store_true", help="write report.html: tables, maps, band importance")
    parser.add_argument("--device", default="cpu", help="where it runs (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Adapt, and tell the scores."""
    from rich.console import Console

    from skyweave.downstream.finetuning.finetune import finetune

    with Console(stderr=True).status("reading") as status:
        done = finetune(
            args.config,
            args.data,
            args.output,
            args.changes,
            args.resume,
            args.report,
            args.device,
            report=lambda line: status.update(line),
        )
    if args.json:
        json.dump(_finite(done.scores), sys.stdout, indent=1)
        print()
        return 0
    _tell(done.scores)
    for path in (done.weights, done.report):
        if path is not None:
            print(path)
    return 0


def _tell(scores: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{scores['name']}: {scores['method']}, test part")
    for column in ("score", "mean", "spread over seeds"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, mean in scores["mean"].items():
        spread = scores["spread"][name]
        table.add_row(name, f"{mean:.3f}", "" if spread is None else f"{spread:.3f}")
    console = Console()
    console.print(table)
    first = next(iter(scores["runs"].values()))
    share = 100 * first["trained"] / first["parameters"]
    console.print(f"trained {first['trained']:,} of {first['parameters']:,} weights ({share:.2g} %)", highlight=False)
    for note in first["notes"]:
        console.print(f"note: {note}", style="dim", highlight=False)


def _finite(value: Any) -> Any:
    """NaN has no place in JSON."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value
