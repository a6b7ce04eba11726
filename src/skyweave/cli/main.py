"""``skyweave``: find the command, run it, and answer a user's mistake in one line."""

import argparse
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Collection, Sequence
from typing import Any

import skyweave
from skyweave.core.errors import ConfigError, DataError, MissingExtraError, SkyweaveError
from skyweave.core.run_arguments import check_paths
from skyweave.core.signals import interrupts

COMMANDS = {  # command: its module, a line of help
    "sensors": ("skyweave.core.sensors.command_sensors", "list the sensors, or show one"),
    "inspect": ("skyweave.viewing.command_inspect", "what a raster or a recording holds"),
    "measure": ("skyweave.data.command_measure", "mean and standard deviation of a sensor's bands"),
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
    "predict": ("skyweave.downstream.finetuning.scenes.command_predict", "what a fine-tuned model says of a scene"),
    "serve": ("skyweave.inference.serving.command_serve", "maps as tiles, and a page"),
    "search": ("skyweave.search.command_search", "places that are like examples"),
    "change": ("skyweave.search.change.command_change", "what changed between embeddings of two dates"),
    "validate": ("skyweave.inference.command_validate", "whether files of embeddings follow the standards"),
    "label": ("skyweave.search.labelling.command_label", "a map from a few clicks"),
    "download": ("skyweave.downstream.geobench.command_download", "fetch a published benchmark"),
    "export": ("skyweave.interop.command_export", "a model for one sensor as ONNX or torch.export"),
    "apply": ("skyweave.exported.command_apply", "an exported model over a scene, without PyTorch and GDAL"),
    "orthomosaic": ("skyweave.orthomosaic.command_orthomosaic", "photographs from the air to a mosaic"),
    "align": ("skyweave.rigs.command_align", "bands of a drone's rig to one stack"),
    "locate": ("skyweave.locating.command_locate", "what a drone sees, as tracks on the map"),
    "import": ("skyweave.telemetry.command_import", "a flight's video and log to a recording"),
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
    "zarr": "cloud",
    "rio_cogeo": "cloud",
    "jsonschema": "cloud",
    "pystac_client": "stac",
    "odc": "stac",
    "lightning": "train",
    "torchmetrics": "train",
    "tensorboard": "train",
    "sklearn": "probe",
    "geopandas": "vector",
    "h5py": "geobench",
    "PIL": "geo",
    "rerun": "view",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "export",
    "tifffile": "geo",
    "zenoh": "link",
    "cryptography": "link",
    "prometheus_client": "link",
    "aiohttp": "link",
    "scipy": "locate",
    "rosbags": "ros",
    "av": "video",
    "usearch": "search",
    "ray": "ray",
    "rio_tiler": "serve",
    "pymavlink": "telemetry",
    "pyulog": "telemetry",
    "mcap": "record",
    "mcap_protobuf": "record",
    "foxglove_schemas_protobuf": "record",
}
WHOLE = {"skyweave", "torch", "rich"}
"""What the distribution skyweave-edge has a part of, or nothing."""
REMEDIES = {  # of the operating system's errors: what happened, what helps
    errno.ENOSPC: ("no space left on the disk", "nothing was left half-written; free some space or choose another -o"),
    errno.EDQUOT: ("your quota of the disk is full", "nothing was left half-written; free some space"),
    errno.EFBIG: (
        "larger than files may be here",
        "nothing was left half-written; see ulimit -f, or choose another -o",
    ),
    errno.EROFS: ("the disk can only be read", "choose another place"),
    errno.EACCES: ("permission denied", "change its permissions, or choose another place"),
    errno.EPERM: ("permission denied", "change its permissions, or choose another place"),
    errno.ENOENT: ("there is no such file or folder", "check the name"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "check the path"),
    errno.EISDIR: ("is a folder", "give a file"),
    errno.ENAMETOOLONG: ("the name is longer than names can be", "choose a shorter one"),
    errno.ELOOP: ("a link that leads to itself", "give the file that it should lead to"),
    errno.ENXIO: ("a pipe that no process reads, or no such device", "start the reader first"),
    errno.EPIPE: ("the process that read this pipe has ended", "run both again"),
    errno.EMFILE: ("too many open files", "raise ulimit -n"),
}
COMPLETION_SHELLS = ("bash", "zsh", "tcsh")
EXIT_FAULT = 1
EXIT_USER_ERROR = 2
EXIT_SIGNAL = 128  # and the number of the signal, as shells say it
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
        mend it (one ``error:`` line on standard error); 128 and the signal's number: interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    with interrupts() as signals:
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return EXIT_SIGNAL + (signals[-1] if signals else signal.SIGINT)
        except SystemExit as leaving:
            if isinstance(leaving.__context__, BrokenPipeError):  # as rich answers it
                return 0
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and error.filename is None:  # `skyweave sensors | head` is no error
                return 0
            return report_error(as_user_error(error))
        finally:
            _flush_or_discard()


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run the command; return the exit code."""
    parser = build_parser(arguments[:1])
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0
    for argument in arguments:
        _check_encoding(argument)
    check_paths(parser, args)
    from skyweave.core.malloc import keep_freed_memory

    keep_freed_memory()
    code: int = args.run(args)
    _flush_output()
    return code


def _flush_output() -> None:
    """Print what is left; an error names standard output, but for a reader that has ended."""
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = error.filename or (None if error.errno == errno.EPIPE else "standard output")
        raise


def _prepare_streams() -> None:
    """Make printing safe: no file that is opened later takes the place of a closed stream, and no character fails."""
    _open_closed_streams()
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_closed_streams() -> None:
    """Open the null device in the place of each standard stream that is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one


def _flush_or_discard() -> None:
    """Print what is left; what cannot be printed is dropped, or Python would complain when it ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_encoding(text: str) -> None:
    """Refuse a name that is not UTF-8: libraries that read images cannot open it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(_describe_name(text)) from None


def _describe_name(name: str) -> str:
    shown = repr(os.fsencode(name)).removeprefix("b")
    return f"the name ${shown} is not UTF-8; rename the file or folder: mv -- ${shown} NEW_NAME"


def report_error(error: Exception) -> int:
    """Print an error: one line for what the user can mend, else a traceback and where to report it.

    Args:
        error: what a command raised.

    Returns:
        The exit code.
    """
    user_error = isinstance(error, SkyweaveError | OSError)
    if user_error and os.environ.get("SKYWEAVE_DEBUG") != "1":
        print(f"error: {' '.join(describe_error(error).splitlines())}", file=sys.stderr)
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
    """Return what other libraries raise, where the user can mend it, as an error of ours; else the error itself.

    Args:
        error: what a command raised.
    """
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":  # of a name in a folder
        return DataError(_describe_name(error.object))
    if isinstance(error, ModuleNotFoundError):
        return _describe_missing(error)
    return error


def _describe_missing(error: ModuleNotFoundError) -> Exception:
    """Return what to install instead of a module that is missing; the error itself where that is not known."""
    library = (error.name or "").split(".")[0]
    if library in EXTRAS:
        return MissingExtraError(
            f"this needs {library}, which is not installed; run: pip install 'skyweave[{EXTRAS[library]}]'"
        )
    if library in WHOLE:
        return MissingExtraError("this is not in skyweave-edge; in another environment run: pip install skyweave")
    return error


def describe_error(error: Exception) -> str:
    """Return one line that names the thing and the remedy.

    Args:
        error: what a command raised.
    """
    if isinstance(error, OSError) and error.errno in REMEDIES:
        return _describe_remedy(error, *REMEDIES[error.errno])
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _describe_remedy(error: OSError, reason: str, remedy: str) -> str:
    """Return what happened to which file, and what helps."""
    if error.strerror and error.strerror != os.strerror(error.errno or 0):  # of ours, which says all
        reason, remedy = error.strerror, ""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{reason}{'; ' * bool(remedy)}{remedy}"
