"""``skyweave view``: a recording as a Rerun file or a contact sheet; a raster as an image."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError, DataError
from skyweave.core.run_arguments import OutputFile

if TYPE_CHECKING:
    from skyweave.recordings.recording import RecordedScene

CONTACT_SHEET_FRAMES = 3  # without --frames


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options.

    Args:
        subparsers: of the ``skyweave`` command.
    """
    parser = subparsers.add_parser(
        "view",
        help="look at a recording or a raster",
        description="Write a scene of a recording as a Rerun file (cameras with images, boxes, the map, time), or "
        "with --png a contact sheet; or a raster as an image.",
        epilog="Open a Rerun file with `rerun OUT.rrd` (pip install 'skyweave[view]').",
    )
    parser.add_argument("path", metavar="DIR_OR_FILE", help="folder of a recording, or any raster that GDAL opens")
    parser.add_argument(
        "-o",
        "--output",
        type=OutputFile(".rrd"),
        metavar="OUT.rrd",
        help="Rerun file (default without --png: SCENE.rrd)",
    )
    parser.add_argument(
        "--png", type=OutputFile(".png"), metavar="SHEET.png", help="contact sheet, or the raster's image"
    )
    parser.add_argument("--scene", metavar="NAME", help="which scene (default: the first)")
    parser.add_argument("--frames", metavar="A:B", help="from A to before B (default: all; three on a sheet)")
    parser.add_argument("--version", metavar="V", help="tables of a recording, where it has several (v1.0-mini)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the Rerun file, contact sheet or image, and print what was written.

    Args:
        args: as parsed.

    Returns:
        0.

    Raises:
        DataError: the recording has no such scene, or cannot be read.
        ConfigError: the frames are no range.
    """
    from skyweave.data.products.product import find_product

    if Path(args.path).is_dir() and find_product(args.path) is None:
        return _view_recording(args)
    return _view_raster(args)


def _view_recording(args: argparse.Namespace) -> int:
    from skyweave.recordings.nuscenes import load_recording

    scene = _scene(list(load_recording(args.path, args.version).scenes), args.scene)
    numbers = _numbers(args.frames, len(scene.frames))
    problems: list[str] = []
    written = []
    if args.png:
        from skyweave.viewing.contact_sheet import write_contact_sheet

        shown = numbers if args.frames is not None else _spread_evenly(len(numbers))
        problems += write_contact_sheet(args.png, scene, shown)
        written.append(f"{args.png}: contact sheet of scene {scene.name}, frames {', '.join(map(str, shown))}")
    if args.output or not args.png:
        output = args.output or f"{scene.name}.rrd"
        problems += _write_rerun(output, scene, numbers)
        written.append(f"{output}: scene {scene.name}, {len(numbers)} frames; open it with: rerun {output}")
    _print_written(problems, written)
    return 0


def _print_written(problems: list[str], written: list[str]) -> None:
    """Print warnings, and the files that were written."""
    for problem in dict.fromkeys(problems):
        print(f"warning: {problem}", file=sys.stderr)
    print("\n".join(written))


def _write_rerun(output: "str | Path", scene: "RecordedScene", numbers: list[int]) -> list[str]:
    """Write the frames under a progress bar; return what could not be loaded."""
    from rich.console import Console
    from rich.progress import Progress

    from skyweave.viewing.rerun_file import write_rerun

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("writing frames", total=len(numbers))
        return write_rerun(output, scene, numbers, lambda done, _: bar.update(task, completed=done))


def _view_raster(args: argparse.Namespace) -> int:
    from skyweave.viewing.raster import render_raster

    notes: list[str] = []
    image = render_raster(args.path, notes)
    for note in dict.fromkeys(notes):
        print(f"warning: {note}", file=sys.stderr)
    size = f"{image.shape[1]} x {image.shape[0]} pixels (width x height)"
    if args.png:
        from PIL import Image

        from skyweave.core.atomic_write import write_aside

        with write_aside(args.png) as aside:
            Image.fromarray(image).save(aside, format="PNG")
        print(f"{args.png}: {size}")
    if args.output or not args.png:
        from skyweave.viewing.rerun_file import write_rerun_image

        output = args.output or f"{Path(args.path).stem}.rrd"
        write_rerun_image(output, image, Path(args.path).name)
        print(f"{output}: {size}; open it with: rerun {output}")
    return 0


def _scene(scenes: "list[RecordedScene]", name: str | None) -> "RecordedScene":
    if not scenes:
        raise DataError("the recording has no scene with an image; `skyweave inspect` says why")
    if name is None:
        return scenes[0]
    for scene in scenes:
        if scene.name == name:
            return scene
    raise DataError(f"there is no scene {name!r}; there is {_list_names(scenes)}")


def _list_names(scenes: "list[RecordedScene]") -> str:
    """Return the names of the first scenes."""
    return ", ".join(scene.name for scene in scenes[:10]) + (", ..." if len(scenes) > 10 else "")


def _spread_evenly(count: int) -> list[int]:
    """Return the first, the middle and the last of ``count`` frames."""
    last = CONTACT_SHEET_FRAMES - 1
    return sorted({round(i * (count - 1) / last) for i in range(CONTACT_SHEET_FRAMES)})


def _parse_range(text: str) -> slice:
    """Return ``A:B``, or ``A`` for one frame, as a slice."""
    try:
        start, separator, stop = text.partition(":")
        first = int(start) if start else None
        last = (int(stop) if stop else None) if separator else int(start) + 1
    except ValueError:
        raise ConfigError(f"--frames {text!r} is no range; write A:B, from A to before B") from None
    return slice(first, last)


def _numbers(text: str | None, count: int) -> list[int]:
    """Return the frame numbers of ``A:B``, which counts as a Python slice."""
    if text is None:
        return list(range(count))
    numbers = list(range(count))[_parse_range(text)]
    if not numbers:
        raise ConfigError(f"--frames {text} holds none of the {count} frames")
    return numbers
