"""``skyweave probe``: frozen features against baselines, one table per configuration."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from skyweave.backbone import Encoder
    from skyweave.downstream.probing.config import ProbeConfig
    from skyweave.downstream.probing.result import BaselineComparison, ProbeResult

MAX_SEEDS, MAX_PATCH_PIXELS = 1000, 4096


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of ``skyweave``.
    """
    parser = subparsers.add_parser(
        "probe",
        help="score frozen features against baselines",
        description="Score frozen features with nearest neighbours and a linear model, beside baselines on the same "
        "samples and splits. Intervals are 95 %, by resampling whole groups.",
    )
    parser.add_argument("config", nargs="+", type=Path, help="probe configuration (configs/probe/*.yaml)")
    parser.add_argument("--data", type=Path, required=True, help="directory that the configurations' paths start from")
    parser.add_argument("--test-data", type=Path, help="same layout: test here, and only train on --data")
    parser.add_argument("--weights", required=True, help="shipped name, .safetensors file, or `random`")
    parser.add_argument("--seeds", type=int, help="repetitions with other folds (default: the configuration's)")
    parser.add_argument("--patch-size", type=int, help="pixels per patch side (default: the configuration's)")
    parser.add_argument("--no-baselines", action="store_true", help="score the weights alone")
    parser.add_argument("--device", default="cpu", help="where the backbone runs (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every configuration; exit code 0 whatever the scores.

    Args:
        args: of the command line.
    """
    from skyweave.core.progress import show_status
    from skyweave.downstream.json_output import finite_json
    from skyweave.downstream.probing.config import load_probe_config
    from skyweave.downstream.probing.probe import run_probe

    _check_range("--seeds", args.seeds, MAX_SEEDS)
    _check_range("--patch-size", args.patch_size, MAX_PATCH_PIXELS)
    configs = [load_probe_config(path) for path in args.config]
    results: list[dict[str, Any]] = []
    for config in configs:
        backbone = _backbone(args.weights, config, args.device)
        with show_status(f"{config.name}: reading") as show:
            result = run_probe(
                config,
                args.data,
                backbone,
                test_data=args.test_data,
                seeds=args.seeds,
                patch_size=args.patch_size,
                with_baselines=not args.no_baselines,
                weights=str(args.weights),
                progress=lambda row, name=config.name: show(f"{name}: {row}"),  # type: ignore[misc]
            )
        if args.json:
            results.append(result.to_dict())
        else:
            _print_result(result)
    if args.json:
        json.dump(finite_json({"results": results}), sys.stdout, indent=1)
        print()
    return 0


def _check_range(option: str, value: int | None, largest: int) -> None:
    """Refuse a number that is asked for and out of range."""
    if value is not None and not 1 <= value <= largest:
        raise ConfigError(f"{option} is {value}, must be at least 1, and at most {largest}")


def _print_result(result: "ProbeResult") -> None:
    """Print the table of a probe, and what to know of it."""
    from skyweave.core.console import table_console

    console = table_console()
    console.print(make_table(result))
    for line in _remarks(result):
        console.print(line, style="dim", highlight=False)


def make_table(result: "ProbeResult") -> "Table":
    """Return the rows with their intervals, best first; the last column is the model's lead over a baseline.

    Args:
        result: of a probe.
    """
    from rich.table import Table

    metric = result.config.metric
    others = [name for name in result.rows[0].scores if name != metric]
    table = Table(title=f"{result.config.name}: {result.samples} samples in {result.groups} groups")
    table.add_column("features, classifier")
    for name in (metric, *others):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("lead of the weights", justify="right")
    leads = {comparison.baseline: comparison for comparison in result.comparisons}
    for row in sorted(result.rows, key=lambda row: -row.scores[metric].mean):
        score, lead = row.scores[metric], leads.get(row.name)
        cells = [f"{score.mean:.3f}  ({score.low:.3f} to {score.high:.3f})"]
        cells += [f"{row.scores[name].mean:.3f}" for name in others]
        cells.append(_describe_lead(lead) if lead is not None and row.baseline else "")
        table.add_row(row.name, *cells, style=None if row.baseline else "bold")
    return table


def _describe_lead(lead: "BaselineComparison") -> str:
    difference = lead.difference
    return f"{difference.mean:+.3f}  ({difference.low:+.3f} to {difference.high:+.3f})"


def _remarks(result: "ProbeResult") -> list[str]:
    lines = [f"weights {result.weights}, fingerprint {result.fingerprint}"]
    if result.comparisons:
        lines += _lead_remarks(result)
    return lines + [f"note: {note}" for note in result.notes]


def _lead_remarks(result: "ProbeResult") -> list[str]:
    """Return how the readout was chosen that leads, and which baselines it is not above."""
    model = result.comparisons[0].model
    lines = []
    readouts = [row for row in result.rows if not row.baseline and row.validation is not None]
    if len(readouts) > 1:
        inside = ", ".join(f"{row.classifier} {row.validation:.3f}" for row in readouts)
        lines.append(f"the lead is that of {model}, chosen inside the training part ({inside})")
    behind = [comparison.baseline for comparison in result.comparisons if not comparison.above]
    verdict = "above every baseline" if not behind else f"not clearly above: {'; '.join(behind)}"
    return [*lines, f"{model}: {verdict}"]


def _backbone(weights: str, config: "ProbeConfig", device: str) -> "Encoder":
    from skyweave.backbone import build_backbone, load_encoder
    from skyweave.backbone.device import resolve_device
    from skyweave.core.sensors import get_sensor

    if weights == "random":
        return build_backbone("tiny", [get_sensor(config.data.source.sensor)], seed=0).eval().to(resolve_device(device))
    return load_encoder(weights, device)
