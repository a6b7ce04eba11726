"""An archive of patches in one file, a safetensors file, that is mapped into memory when it is searched again."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.search.archive import ArchivePart, PatchArchive
from skyweave.search.places import PLACES
from skyweave.search.reader import FeatureSpace

SUFFIX = ".safetensors"
FORMAT = "skyweave patches 1"
LENGTH_BYTES = 8  # of the header's length, little-endian
MAX_HEADER_BYTES = 100_000_000  # as safetensors has it
ARRAYS = ("levels", "lengths", "mean", "scales")
DTYPES = {"I8": np.int8, "F32": np.float32, "F64": np.float64, "I64": np.int64}


def save_archive(archive: PatchArchive, path: str | Path) -> None:
    """Write an archive; it appears when it is whole.

    Args:
        archive: to write.
        path: of the file, which ends in ``.safetensors``.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {name: getattr(archive, name) for name in ARRAYS}
    parts = []
    for index, part in enumerate(archive.parts):
        arrays[f"positions.{index}"], fields = part.places.to_arrays()
        described = {"path": part.path, "start": part.start, "tags": dict(part.tags)}
        parts.append({**described, "kind": part.places.kind, "fields": fields})
    content = json.dumps({"space": asdict(archive.space), "parts": parts})
    with write_aside(path) as aside:
        try:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()},
                aside,
                {"format": FORMAT, "content": content},
            )
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written ({error}); free some space on its disk") from error


def is_archive(path: str | Path) -> bool:
    """Return whether a file is an archive of patches by its name.

    Args:
        path: of the file.
    """
    return Path(path).suffix.lower() == SUFFIX


def load_archive(path: str | Path) -> PatchArchive:
    """Map an archive into memory; its vectors are read as they are searched.

    Args:
        path: of a file that `save_archive` wrote.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is another kind of file, or damaged.
    """
    path = Path(path)
    try:
        metadata, arrays = _map_arrays(path)
        if metadata.get("format") != FORMAT:
            raise ValueError("another kind of safetensors file")
        content = json.loads(metadata["content"])
        parts = tuple(_read_part(index, part, arrays) for index, part in enumerate(content["parts"]))
        vectors = {name: arrays[name] for name in ARRAYS}
        archive = PatchArchive(space=FeatureSpace(**content["space"]), parts=parts, **vectors)
        _check_shapes(archive)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no archive of patches, or it is damaged ({error}); make it again with "
            "`skyweave search EMBEDDINGS --save-index FILE`"
        ) from None
    return archive


def _read_part(index: int, part: dict[str, Any], arrays: dict[str, np.ndarray]) -> ArchivePart:
    places = PLACES[part["kind"]].from_arrays(arrays[f"positions.{index}"], part["fields"])
    return ArchivePart(part["path"], places, part["start"], part["tags"])


def _check_shapes(archive: PatchArchive) -> None:
    count, channels = archive.levels.shape
    if archive.lengths.shape != (count,) or archive.mean.shape != (channels,) or archive.scales.shape != (channels,):
        raise ValueError("its arrays do not fit each other")
    if channels != archive.space.channels or not archive.parts:
        raise ValueError("its arrays do not fit its description")


def _map_arrays(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return the metadata and the arrays of a safetensors file, which stay on the disk until they are read.

    The library copies an array when it is asked for; of ten million vectors that takes seconds.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
        if not 0 < length <= min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
            raise ValueError("no header")
        header = json.loads(stream.read(length))
    metadata = header.pop("__metadata__", {})
    arrays: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        first, stop = (LENGTH_BYTES + length + offset for offset in entry["data_offsets"])
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
        if stop > size or stop - first != dtype.itemsize * int(np.prod(shape)):
            raise ValueError(f"{name} is not whole")
        arrays[name] = np.memmap(path, dtype, "r", first, shape)
    return metadata, arrays
