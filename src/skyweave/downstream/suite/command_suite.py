"""``skyweave suite``: every labelled task, encoder, peer and baseline in one run, one page and one JSON file."""

import argparse
from pathlib import Path

from skyweave.core.run_arguments import OutputFolder


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of ``skyweave``.
    """
    parser = subparsers.add_parser(
        "suite",
        help="encoders and baselines on a suite of labelled tasks",
        description="Score frozen encoders, the same networks untrained and features that need no training on every "
        "task of a suite, on the same samples, splits and readouts. What is finished in the output folder is not run "
        "again. Writes suite.json, suite.md and suite.html.",
    )
    parser.add_argument(
        "weights", nargs="*", help="shipped names, .safetensors files, or encoders that others published"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that the paths of the tasks start from")
    parser.add_argument("--test-data", type=Path, help="same layout: test here, and only train on --data")
    parser.add_argument("-o", "--output", type=OutputFolder(), required=True, help="folder of the run")
    parser.add_argument("--configs", type=Path, help="folder of the tasks (default: configs/suite, else the package's)")
    parser.add_argument("--tasks", type=_names, help="names, separated by commas (default: all)")
    parser.add_argument(
        "--methods",
        type=_names,
        default=["knn", "linear"],
        help="knn, linear, finetune (slow); default: the first two",
    )
    parser.add_argument("--fractions", type=_numbers, default=[1.0], help="of the training labels, such as 0.01,0.1,1")
    parser.add_argument("--seeds", type=int, default=1, help="repetitions with other folds (default: 1)")
    parser.add_argument("--no-baselines", action="store_true", help="encoders only, and a U-Net to fine-tune")
    parser.add_argument("--device", default="cpu", help="where encoders run (default: cpu)")
    parser.add_argument("--bf16", action="store_true", help="encode in bfloat16, faster where the processor has it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run what is not finished, and write the page; exit code 0 whatever the scores.

    Args:
        args: of the command line.
    """
    import json
    import sys

    from skyweave.core.atomic_write import write_aside
    from skyweave.downstream.json_output import finite_json
    from skyweave.downstream.suite.config import SuiteConfig
    from skyweave.downstream.suite.page import render_html, render_markdown
    from skyweave.downstream.suite.run import run_suite

    config = SuiteConfig(
        configs=args.configs or _shipped_configs(),
        data=args.data,
        output=args.output,
        weights=args.weights,
        test_data=args.test_data,
        tasks=args.tasks,
        methods=args.methods,
        shares=args.fractions,
        seeds=args.seeds,
        baselines=not args.no_baselines,
        device=args.device,
        half_precision=args.bf16,
    )
    summary = run_suite(config, progress=lambda line: print(line, file=sys.stderr, flush=True))
    text = json.dumps(finite_json(summary.to_dict()), indent=1) + "\n"
    page = render_markdown(summary)
    for name, content in {"suite.json": text, "suite.md": page, "suite.html": render_html(summary)}.items():
        with write_aside(args.output / name) as aside:
            aside.write_text(content, encoding="utf-8")
    print(text if args.json else page, end="")
    return 0


def _shipped_configs() -> Path:
    """Return the folder of the suite's tasks: that of a checkout, else that of the installed package."""
    from importlib import resources

    checkout = Path("configs/suite")
    return checkout if checkout.is_dir() else Path(str(resources.files("skyweave"))) / checkout


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _names(text)]
