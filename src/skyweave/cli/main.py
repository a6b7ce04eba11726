"""``skyweave``: find the command, run it, and answer a user's mistake in one line."""

import argparse
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Collection, Sequence
from typing import Any

import skyweave
from skyweave.core.errors import MissingExtraError, SkyweaveError

COMMANDS = {  # command: its module, a line of help
    "sensors": ("skyweave.core.sensors.command_sensors", "list the sensors, or show one"),
    "inspect": ("skyweave.viewing.command_inspect", "what a raster or a recording holds"),
    "shards": ("skyweave.data.command_shards", "pack a dataset into tar shards"),
    "pretrain": ("skyweave.pretraining.command_pretrain", "masked image modelling over many sensors"),
    "train": ("skyweave.collaboration.command_train", "detection, segmentation and trajectories on recordings"),
    "evaluate": ("skyweave.collaboration.command_evaluate", "score a perception model on a recording"),
    "probe": ("skyweave.downstream.probing.command_probe", "score frozen features against baselines"),
    "suite": ("skyweave.downstream.suite.command_suite", "encoders and baselines on a suite of labelled tasks"),
    "finetune": ("skyweave.downstream.finetuning.command_finetune", "adapt a backbone to labelled data"),
    "benchmark": (
        "skyweave.downstream.finetuning.benchmark.command_benchmark",
        "GEO-Bench: tasks, methods, seeds, label fractions",
    ),
    "embed": ("skyweave.embedding.command_embed", "a scene to a georeferenced map of features"),
    "download": ("skyweave.downstream.geobench.command_download", "fetch a published benchmark"),
    "export": ("skyweave.interop.command_export", "a model for one sensor as ONNX or torch.export"),
    "orthomosaic": ("skyweave.orthomosaic.command_orthomosaic", "photographs from the air to a mosaic"),
    "simulate": ("skyweave.simulator.command_simulate", "record a simulated world"),
    "view": ("skyweave.viewing.command_view", "look at a recording or a raster"),
    "node": ("skyweave.fleet.command_node", "one platform of a fleet, on a network"),
    "fleet": ("skyweave.fleet.command_fleet", "run, watch, record and replay a fleet"),
    "demo": ("skyweave.demo.command_demo", "a report on imagery of every sensor"),
}
EXTRAS = {
    "rasterio": "geo",
    "pyarrow": "geo",
    "pystac": "geo",
    "lightning": "train",
    "torchmetrics": "train",
    "tensorboard": "train",
    "sklearn": "probe",
    "h5py": "geobench",
    "PIL": "geo",
    "rerun": "view",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "zenoh": "link",
    "cryptography": "link",
    "prometheus_client": "link",
    "aiohttp": "link",
    "rosbags": "ros",
    "av": "video",
    "mcap": "record",
    "mcap_protobuf": "record",
    "foxglove_schemas_protobuf": "record",
}
COMPLETION_SHELLS = ("bash", "zsh", "tcsh")
EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
REPORT = f"""
This is a fault of skyweave {skyweave.__version__}, not a mistake of yours.
Please report it with the command and the lines above: https://skyweave.example/issues"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    ``SKYWEAVE_DEBUG=1`` shows the traceback of every error.

    Args:
        arguments: of the command line; default: ``sys.argv``.

    Returns:
        0: done; 1: a check failed (the command says which), or a fault of skyweave (with a traceback); 2: the user can
        mend it (one ``error:`` line on standard error); 130: interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser(arguments[:1])
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0
    from skyweave.core.malloc import keep_freed_memory

    keep_freed_memory()
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `skyweave sensors | head` is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return report_error(as_user_error(error))


def report_error(error: Exception) -> int:
    """Print an error: one line for what the user can mend, else a traceback and where to report it.

    Args:
        error: what a command raised.

    Returns:
        The exit code.
    """
    user_error = isinstance(error, SkyweaveError | OSError)
    if user_error and os.environ.get("SKYWEAVE_DEBUG") != "1":
        print(f"error: {describe_error(error)}", file=sys.stderr)
        return EXIT_USER_ERROR
    traceback.print_exception(error)
    if not user_error:
        print(REPORT, file=sys.stderr)
    return EXIT_FAULT


def build_parser(commands: Collection[str]) -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Args:
        commands: whose options are declared; only their modules are imported, so that help stays fast.
    """
    parser = argparse.ArgumentParser(
        prog="skyweave",
        description="One backbone for every sensor that looks at the Earth.",
        epilog="`skyweave COMMAND --help` explains a command. Set SKYWEAVE_DEBUG=1 to see tracebacks.",
    )
    parser.add_argument("--version", action="version", version=f"skyweave {skyweave.__version__}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=COMPLETION_SHELLS,
        help="print the script that makes a shell complete commands, options and files",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        if name in commands:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary, add_help=False)
    return parser


class _PrintCompletion(argparse.Action):
    """Print the completion of all commands for a shell, and exit."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from skyweave.cli.completion import completion_script

        print(completion_script(build_parser(COMMANDS), str(values)))
        parser.exit(0)


def as_user_error(error: Exception) -> Exception:
    """Return a `MissingExtraError` for the import of an optional library that is not installed, else the error itself.

    Args:
        error: what a command raised.
    """
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        library = str(error.name).split(".")[0]
        return MissingExtraError(
            f"this needs {library}, which is not installed; run: pip install 'skyweave[{EXTRAS[library]}]'"
        )
    return error


def describe_error(error: Exception) -> str:
    """Return one line that names the thing and the remedy.

    Args:
        error: what a command raised.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"no space left on the disk{where}; nothing was left half-written; free some space or choose another -o"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
