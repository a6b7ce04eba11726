"""``skyweave validate``: whether a file or store of embeddings follows the published standards."""

import argparse
import json
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the command line.
    """
    parser = subparsers.add_parser(
        "validate",
        help="whether files of embeddings follow the standards",
        description="Hold files of embeddings, whoever wrote them, against the standards for them: cloud-optimised "
        "GeoTIFF, Zarr 3 with the geoemb convention, GeoParquet, and STAC with the emb extension. What departs is "
        "said with what mends it.",
        epilog="Exit code 1: a file has errors. Of a STAC collection, its items and their files are validated, too.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="FILE", help="file or store, or STAC item or collection")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what departs from the standards; return 1 where that is an error, else 0.

    Args:
        args: parsed arguments of the command.
    """
    from skyweave.inference.validation import validate_output

    reports = [validate_output(path) for path in args.paths]
    if args.json:
        print(json.dumps([report.to_dict() for report in reports], indent=1))
    else:
        for report in reports:
            errors = sum(finding.severity == "error" for finding in report.findings)
            verdict = f"{errors} errors, {len(report.findings) - errors} warnings" if report.findings else "follows it"
            print(f"{report.path}: {report.standard}: {verdict}")
            for finding in report.findings:
                print(f"  {finding.severity}: {finding.field} {finding.problem}\n    mend: {finding.remedy}")
    failed = [report for report in reports if not report.is_valid or (args.strict and report.findings)]
    return 1 if failed else 0
