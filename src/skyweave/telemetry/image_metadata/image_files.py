"""The images in files and folders, and those of kinds that are not read."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".tif", ".tiff", ".png", ".webp"}
UNREAD_SUFFIXES = {".heic", ".heif", ".avif", ".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".iiq", ".rjpeg", ".jp2"}


def find_images(sources: Sequence[str | Path]) -> dict[str, Path]:
    """Find images by name: files as given, folders searched to any depth, in the order of their names.

    Args:
        sources: files and folders.

    Raises:
        FileNotFoundError: a source does not exist, or there is no image in any of them.
    """
    images_by_name: dict[str, Path] = {}
    for source, file in _files(sources):
        if file.suffix.lower() in SUFFIXES or file == source:
            name = _name_within(source, file)
            images_by_name[name if name not in images_by_name else file.as_posix()] = file
    if not images_by_name:
        raise FileNotFoundError(_describe_nothing(sources))
    return images_by_name


def _name_within(source: Path, file: Path) -> str:
    """Return how a file of a source is called; a source that is a file itself, by its name."""
    return file.relative_to(source).as_posix() if file != source else file.name


def _describe_nothing(sources: Sequence[str | Path]) -> str:
    """Return the message on sources without an image."""
    unread = "".join(f"; {note}" for note in describe_unread(sources))
    return (
        f"no pictures ({', '.join(sorted(SUFFIXES))}) in {', '.join(map(str, sources))}{unread}; "
        "give pictures, or a folder of them"
    )


def find_copies(images: Mapping[str, Path]) -> dict[str, str]:
    """Return the images that are copies of one with a shorter name, byte for byte, with that name.

    A copy agrees with its original whatever the pose, so it would make a map look better than it is.

    Args:
        images: by name, from `find_images`.
    """
    originals: dict[bytes, str] = {}
    copies: dict[str, str] = {}
    for name in _names_of_equal_size(images):
        with images[name].open("rb") as file:
            original = originals.setdefault(hashlib.file_digest(file, "sha256").digest(), name)
        if original != name:
            copies[name] = original
    return copies


def _names_of_equal_size(images: Mapping[str, Path]) -> list[str]:
    """Return the images that another one is as large as, shorter names first among equals."""
    sizes: dict[int, list[str]] = {}
    for name in sorted(images, key=len):  # "1.jpg" before "1 (1).jpg"
        sizes.setdefault(images[name].stat().st_size, []).append(name)
    return [name for names in sizes.values() if len(names) > 1 for name in names]


def describe_unread(sources: Sequence[str | Path]) -> list[str]:
    """Return a note on images of kinds that are not read, without those that lie beside a copy that is.

    Args:
        sources: files and folders.
    """
    unread = _unread_files([file for source, file in _files(sources) if file != source])
    if not unread:
        return []
    more = ", .." if len(unread) > 1 else ""
    return [f"{len(unread)} files of kinds that are not read ({unread[0].name}{more}); convert them to JPEG or TIFF"]


def _unread_files(files: Sequence[Path]) -> list[Path]:
    """Images of kinds that are not read, and beside which there is none of the same name that is."""
    read = {file.with_suffix("") for file in files if file.suffix.lower() in SUFFIXES}
    unread = (file for file in files if file.suffix.lower() in UNREAD_SUFFIXES)
    return [file for file in unread if file.with_suffix("") not in read]


def _files(sources: Sequence[str | Path]) -> Iterator[tuple[Path, Path]]:
    """Sources with the files in them; a file is itself one."""
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"there is no picture or folder {source}")
        files = _files_below(source) if source.is_dir() else [source]
        yield from ((source, file) for file in files if not file.name.startswith("."))


def _files_below(folder: Path) -> list[Path]:
    """Files of a folder at any depth, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
