"""``skyweave finetune``: a backbone fine-tuned on labelled data."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from skyweave.core.run_arguments import add_run_arguments


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of ``skyweave``.
    """
    parser = subparsers.add_parser(
        "finetune",
        help="fine-tune a backbone on labelled data",
        description="Fine-tune a backbone on your labels: image classes, masks, values, change between two dates, "
        "boxes. Frozen, fully, its last blocks, or by low-rank additions. Writes weights that `skyweave.load` reads, "
        "scores of the test part and, with --report, a page that shows them. A stopped run goes on with --resume.",
    )
    add_run_arguments(
        parser, "configs/finetune/*.yaml", "folder that the configuration's paths start from", "method.kind=lora"
    )
    parser.add_argument("--test-data", type=Path, help="same layout: test on all of it, and not on a part of --data")
    parser.add_argument("--report", action="store_true", help="write report.html: tables, maps, band importance")
    parser.add_argument("--device", default="cpu", help="where it runs (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fine-tune, and print the scores.

    Args:
        args: of the command line.
    """
    from skyweave.core.progress import show_status
    from skyweave.downstream.finetuning.finetune import finetune
    from skyweave.downstream.json_output import finite_json

    with show_status("reading") as show:
        output = finetune(
            args.config,
            args.data,
            args.output,
            args.changes,
            args.resume,
            args.report,
            args.device,
            log=show,
            test_data=args.test_data,
        )
    if args.json:
        json.dump(finite_json(output.scores), sys.stdout, indent=1)
        print()
        return 0
    _print_scores(output.scores)
    for path in (output.weights, output.report):
        if path is not None:
            print(path)
    return 0


def _print_scores(scores: dict[str, Any]) -> None:
    from rich.table import Table

    from skyweave.core.console import table_console

    table = Table(title=f"{scores['name']}: {scores['method']}, test part")
    for column in ("score", "mean", "spread over seeds"):
        table.add_column(column, justify="left" if column == "score" else "right")
    for name, mean in scores["mean"].items():
        deviation = scores["std"][name]
        table.add_row(name, f"{mean:.3f}", "" if deviation is None else f"{deviation:.3f}")
    for baseline, values in scores["baselines"].items():
        table.add_row(f"{scores['main']}, {baseline}", f"{values[scores['main']]:.3f}", "")
    for sensor, values in scores["without"].items():
        table.add_row(f"{scores['main']}, without {sensor}", f"{values[scores['main']]:.3f}", "")
    console = table_console()
    console.print(table)
    first = scores["runs"][str(scores["kept"])]
    share = 100 * first["learned"] / first["parameters"]
    learned = f"{first['learned']:,} of {first['parameters']:,} weights learned ({share:.2g} %)"
    console.print(f"kept: {first['kept']}; {learned}", highlight=False)
    for note in dict.fromkeys(note for run in scores["runs"].values() for note in run["notes"]):
        console.print(f"note: {note}", style="dim", highlight=False)
