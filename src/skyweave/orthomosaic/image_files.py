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
            name = file.relative_to(source).as_posix() if file != source else file.name
            images_by_name[name if name not in images_by_name else file.as_posix()] = file
    if not images_by_name:
        unread = "".join(f"; {note}" for note in describe_unread(sources))
        raise FileNotFoundError(
            f"no pictures ({', '.join(sorted(SUFFIXES))}) in {', '.join(str(source) for source in sources)}{unread}; "
            "give pictures, or a folder of them"
        )
    return images_by_name


def find_copies(images: Mapping[str, Path]) -> dict[str, str]:
    """Return the images that are copies of one with a shorter name, byte for byte, with that name.

    A copy agrees with its original whatever the pose, so it would make a map look better than it is.

    Args:
        images: by name, from `find_images`.
    """
    sizes: dict[int, list[str]] = {}
    for name in sorted(images, key=len):  # "1.jpg" before "1 (1).jpg"
        sizes.setdefault(images[name].stat().st_size, []).append(name)
    originals: dict[bytes, str] = {}
    copies: dict[str, str] = {}
    for name in (name for names in sizes.values() if len(names) > 1 for name in names):
        with images[name].open("rb") as file:
            original = originals.setdefault(hashlib.file_digest(file, "sha256").digest(), name)
        if original != name:
            copies[name] = original
    return copies


def describe_unread(sources: Sequence[str | Path]) -> list[str]:
    """Return a note on images of kinds that are not read, without those that lie beside a copy that is.

    Args:
        sources: files and folders.
    """
    files = [file for source, file in _files(sources) if file != source]
    read = {file.with_suffix("") for file in files if file.suffix.lower() in SUFFIXES}
    unread = [f for f in files if f.suffix.lower() in UNREAD_SUFFIXES and f.with_suffix("") not in read]
    if not unread:
        return []
    more = ", .." if len(unread) > 1 else ""
    return [f"{len(unread)} files of kinds that are not read ({unread[0].name}{more}); convert them to JPEG or TIFF"]


def _files(sources: Sequence[str | Path]) -> Iterator[tuple[Path, Path]]:
    """Sources with the files in them; a file is itself one."""
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"there is no picture or folder {source}")
        files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
        yield from ((source, file) for file in files if not file.name.startswith("."))
