"""What commands have in common: outputs as a kind of argument, and the arguments of commands that train."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skyweave.core.atomic_write import is_stream
from skyweave.core.errors import ConfigError
from skyweave.core.outputs import check_output_folder, check_outputs

RUN_FILES = ("config.json", "weights.safetensors", "weights.json")


class OutputFile:
    """Type of an argument that names a file to write; `check_paths` refuses what cannot or must not be written.

    Args:
        suffixes: that the file may have; none: any.
    """

    def __init__(self, *suffixes: str) -> None:
        self.suffixes = suffixes

    def __call__(self, text: str) -> Path:
        """Return the path.

        Args:
            text: as given.
        """
        return Path(text)

    def check_suffix(self, name: str, path: Path) -> None:
        """Refuse another suffix than those that the file may have; a device or a pipe has none.

        Args:
            name: of the option.
            path: as given.

        Raises:
            ConfigError: another suffix.
        """
        if self.suffixes and not is_stream(path) and path.suffix.lower() not in self.suffixes:
            raise ConfigError(f"{name} {path}: name it {' or '.join(self.suffixes)}, which is what will be in it")


class OutputFolder:
    """Type of an argument that names a folder to write into.

    Args:
        names: of files in it that are written over.
    """

    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, text: str) -> Path:
        """Return the path.

        Args:
            text: as given.
        """
        return Path(text)


def check_paths(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse outputs that are inputs, each other, or cannot be written, and inputs that can be read only once.

    Args:
        parser: of all commands.
        args: as parsed, with the function of the command as ``run``.

    Raises:
        ConfigError: the option and the remedy are in the message.
    """
    outputs: dict[str, Path] = {}
    inputs: list[str | Path] = []
    for action in _actions_of(parser, args.run):
        value = getattr(args, action.dest, None)
        name = _name_of(action)
        if isinstance(action.type, OutputFile) and value is not None:
            action.type.check_suffix(name, value)
            outputs[name] = value
        elif isinstance(action.type, OutputFolder) and value is not None:
            check_output_folder(name, value)
            outputs |= {f"{name} {value}: {written}": value / written for written in action.type.names}
        else:
            inputs += _files(name, value)
    check_outputs(outputs, inputs)


def add_run_arguments(parser: argparse.ArgumentParser, configs: str, data: str, change: str) -> None:
    """Declare them as ``config``, ``data``, ``output``, ``resume`` and ``changes``.

    Args:
        parser: of the command.
        configs: where its configurations lie.
        data: what ``--data`` is.
        change: an example of a ``--set``.
    """
    parser.add_argument("config", type=Path, help=f"configuration ({configs})")
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("-o", "--output", type=OutputFolder(*RUN_FILES), required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the output folder")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change the configuration, such as {change}; repeatable",
    )


def _actions_of(parser: argparse.ArgumentParser, run: Any) -> Iterator[argparse.Action]:
    """Yield the arguments of the command, or of its subcommand, that a function runs."""
    if parser.get_default("run") is run:
        yield from parser._actions
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions_of(command, run)


def _name_of(action: argparse.Action) -> str:
    """Return how users know an argument: by its option, or what it stands for in the usage."""
    return action.option_strings[0] if action.option_strings else str(action.metavar or action.dest)


def _files(name: str, value: Any) -> list[str | Path]:
    """Return the files that a value, or each of several, names.

    Raises:
        ConfigError: one is a pipe or a device.
    """
    if isinstance(value, list):
        return [path for item in value for path in _files(name, item)]
    if not isinstance(value, str | Path) or not _exists(value):
        return []
    if is_stream(Path(value)):
        raise ConfigError(
            f"{name} {value} is a pipe or a device, and is to be read more than once; save what it gives as a file, "
            "and give that"
        )
    return [value]


def _exists(path: str | Path) -> bool:
    """Return whether there is such a file or folder; what cannot be the name of one is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # longer than a name can be, or with a NUL
        return False
