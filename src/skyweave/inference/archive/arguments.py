"""Options of commands that take a model over many scenes."""

import argparse
from typing import TYPE_CHECKING, Any

from skyweave.core.errors import ConfigError
from skyweave.core.run_arguments import OutputFolder

if TYPE_CHECKING:
    from skyweave.inference.archive.pools import WorkerPool

MAX_CPUS_PER_ACTOR = 4


def add_archive_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the list, the folder of outputs, and who does the work.

    Args:
        parser: of the command.
    """
    group = parser.add_argument_group("many scenes, instead of SCENE and -o")
    group.add_argument(
        "--list",
        metavar="LIST",
        help="a pattern in quotes such as 'scenes/**/*.tif', or a text file with a scene a line (several files of one "
        "scene with tabs between them); -: from standard input",
    )
    group.add_argument("--into", type=OutputFolder(), metavar="FOLDER", help="of outputs, report and journal")
    group.add_argument("--keep-folders", action="store_true", help="outputs lie in folders as their scenes do")
    group.add_argument(
        "--processes", type=int, metavar="N", help="at once (default: 1; with --ray what it has room for)"
    )
    group.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster: its address, or `local`")
    group.add_argument("--part", metavar="I/N", help="every Nth scene, from the Ith, for arrays of jobs: 1/40 to 40/40")
    group.add_argument(
        "--retries", type=int, default=2, metavar="N", help="attempts at a scene besides the first (default: 2)"
    )


def refuse_scene_options(args: argparse.Namespace, what: str, names: dict[str, str]) -> None:
    """Refuse options of a single scene.

    Args:
        args: as parsed.
        what: option that asks for many, such as ``--list``.
        names: how users know the options, by their attribute.

    Raises:
        ConfigError: one is given, or no folder of outputs.
    """
    if args.into is None:
        raise ConfigError(f"{what} needs --into FOLDER, which holds the outputs")
    for attribute, name in names.items():
        if getattr(args, attribute):
            raise ConfigError(f"{name} is for one scene, not for {what}; remove it")
    for name, bound in (("processes", 1), ("retries", 0)):
        value = getattr(args, name)
        if value is not None and value < bound:
            raise ConfigError(f"--{name} {value}: use {bound} or more")


def refuse_archive_options(args: argparse.Namespace, remedy: str) -> None:
    """Refuse options of many scenes where there is one.

    Args:
        args: as parsed.
        remedy: what would ask for many, such as ``give --list``.

    Raises:
        ConfigError: one is given.
    """
    for name in ("into", "keep_folders", "processes", "ray", "part"):
        if getattr(args, name):
            raise ConfigError(f"--{name.replace('_', '-')} is for many scenes; {remedy}, or remove it")


def open_pool(args: argparse.Namespace, work: Any) -> "WorkerPool":
    """Return the workers that a command asks for.

    Args:
        args: as parsed.
        work: to do.
    """
    from skyweave.inference.archive.pools import POOLS

    gpus = int(args.device.startswith("cuda"))
    if args.ray:
        return POOLS["ray"](work, args.processes, args.ray, count_workers(args), gpus)
    return POOLS["processes"](work, args.processes, "", count_workers(args), gpus)


def count_workers(args: argparse.Namespace) -> int:
    """Return the batches that each process computes at once: as many as there are cores for it.

    Args:
        args: as parsed.
    """
    from skyweave.inference.config import count_cores

    if args.workers:
        return int(args.workers)
    if args.ray:
        return min(MAX_CPUS_PER_ACTOR, count_cores())
    return max(1, count_cores() // (args.processes or 1))
