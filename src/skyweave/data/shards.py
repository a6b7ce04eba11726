"""Tar shards for large sets: ``key.npy`` and ``key.json`` members as in WebDataset, read at random by their offsets.

A shard is a plain tar file; its pixels are mapped where they lie, so reading one image of a shard touches only its
pages. Offsets come from a small index beside the shard, or from the tar's own headers where that is absent.
"""

import glob
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.array_header import read_array_header
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import DataError
from skyweave.core.json_text import parse_json
from skyweave.core.observation import Observation
from skyweave.core.sensors import Sensor
from skyweave.data.memory_mapped import StoredImage, fields_from_metadata, image_metadata, narrow_dtype

MEMBERS = ("npy", "valid.npy", "json")


def write_shards(
    observations: Iterable[tuple[str, Observation]], folder: str | Path, name: str, max_bytes: int = 512 * 2**20
) -> list[Path]:
    """Write observations of one sensor to ``folder/name-000000.tar`` and on; the same input gives the same bytes.

    Args:
        observations: (key, observation); keys are unique and hold no dot.
        folder: for the shards.
        name: of the shards.
        max_bytes: a new shard is begun once one has reached this size.

    Returns:
        The shards, each complete when it appears under its name, each with ``.index.npy`` beside it.

    Raises:
        DataError: a key with a dot, or bands that differ from those before.
    """
    paths: list[Path] = []
    writer = _ShardWriter(observations, max_bytes)
    while writer.following is not None:
        path = Path(folder) / f"{name}-{len(paths):06d}.tar"
        with write_aside(path) as aside:
            writer.fill(path, aside)
            index = _scan(aside)
        with write_aside(_index_path(path)) as aside_index:
            np.save(aside_index, index)
        paths.append(path)
    for stale in set(Path(folder).glob(shard_pattern(name))) - set(paths):  # of a run that was broken off
        stale.unlink()
        _index_path(stale).unlink(missing_ok=True)
    return paths


def shard_pattern(name: str) -> str:
    """Return the glob of the shards of one name, and of no name that only begins so.

    Args:
        name: as given to `write_shards`.
    """
    return f"{glob.escape(name)}-{'[0-9]' * 6}.tar"


class _ShardWriter:
    """Fills one shard after the other; ``following`` is the observation that begins the next one."""

    def __init__(self, observations: Iterable[tuple[str, Observation]], max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bands: list[str] | None = None
        self._remaining = iter(observations)
        self.following = next(self._remaining, None)

    def fill(self, path: Path, aside: Path) -> None:
        """Write observations to ``aside``, which becomes ``path``, until it has the size of a shard."""
        with tarfile.open(aside, "w", format=tarfile.USTAR_FORMAT) as tar:
            while self.following is not None and tar.offset < self.max_bytes:
                key, observation = self.following
                self._check(path, key, [band.name for band in observation.sensor.bands])
                _add(tar, key, observation)
                self.following = next(self._remaining, None)

    def _check(self, path: Path, key: str, bands: list[str]) -> None:
        """Refuse a key with a dot, and bands that differ from those before."""
        if "." in key or self.bands not in (None, bands):
            raise DataError(f"shard {path}: {key!r} holds a dot or has other bands than those before")
        self.bands = bands


class ShardIndex:
    """Positions of all images in a set of shards; a few numpy arrays, whatever the number of images.

    Args:
        paths: of the shards.
        sensor: whose bands, or some of them, are the channels of the images.

    Attributes:
        paths: of the shards.
        sensor: its bands are the channels of every image.

    Raises:
        DataError: a shard is damaged or holds no image.
    """

    def __init__(self, paths: list[Path], sensor: Sensor) -> None:
        self.paths = paths
        tables = [_load_index(path) for path in paths]
        self._shard = np.repeat(np.arange(len(paths)), [len(table) for table in tables])
        self._offsets = np.concatenate(tables)
        if not len(self._offsets):
            raise DataError(f"shards {paths[0]} ... hold no image")
        bands = self._read_metadata(0)["bands"]
        self.sensor = sensor if bands == [band.name for band in sensor.bands] else sensor.select(bands)

    @classmethod
    def open(cls, root: Path, patterns: str | Sequence[str], sensor: Sensor, label: str) -> "ShardIndex":
        """Open the shards that match.

        Args:
            root: folder that the globs start in.
            patterns: glob or globs.
            sensor: whose bands, or some of them, are the channels of the images.
            label: of the source, for messages.

        Raises:
            FileNotFoundError: there are none.
            DataError: a shard is damaged or holds no image.
        """
        globs = [patterns] if isinstance(patterns, str) else list(patterns)
        paths = [path for pattern in globs for path in sorted(root.glob(pattern))]
        if not paths:
            raise FileNotFoundError(f"{label}: no shard matches {', '.join(map(repr, globs))} in {root}")
        return cls(paths, sensor)

    def __len__(self) -> int:
        return len(self._offsets)

    def image(self, position: int) -> StoredImage:
        """Map an image.

        Args:
            position: its number in the shards.

        Raises:
            DataError: its bands are not those of the first image, or the shard is damaged.
        """
        metadata = self._read_metadata(position)
        path = self.paths[self._shard[position]]
        pixels, valid, _, _ = self._offsets[position]
        if metadata["bands"] != [band.name for band in self.sensor.bands]:
            raise DataError(f"{path}: image {position} has other bands than the first; keep them in separate sources")
        return StoredImage(
            pixels=_mapped(path, int(pixels)),
            valid=_mapped(path, int(valid)) if valid else None,
            sensor=self.sensor,
            **fields_from_metadata(metadata),
        )

    def _read_metadata(self, position: int) -> dict[str, Any]:
        _, _, offset, size = (int(value) for value in self._offsets[position])
        with self.paths[self._shard[position]].open("rb") as stream:
            stream.seek(offset)
            text = stream.read(size)
        try:
            metadata: dict[str, Any] = parse_json(text)
        except ValueError as error:
            raise DataError(f"{stream.name}: damaged ({error}); write or copy the shard again") from error
        return metadata


def _add(tar: tarfile.TarFile, key: str, observation: Observation) -> None:
    metadata = image_metadata(observation)
    members = [(f"{key}.npy", _bytes(narrow_dtype(observation.pixels)))]
    if not metadata["all_valid"]:
        members.append((f"{key}.valid.npy", _bytes(observation.valid.astype(np.uint8))))
    members.append((f"{key}.json", json.dumps(metadata, sort_keys=True).encode()))
    for name, content in members:
        info = tarfile.TarInfo(name)  # time, owner and mode stay at their fixed defaults
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def _bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    return buffer.getvalue()


def _index_path(shard: Path) -> Path:
    return shard.with_suffix(".index.npy")


def _load_index(path: Path) -> np.ndarray:
    """Return (images, 4) int64: offsets of pixels, mask (0: all valid) and metadata, and the size of the metadata."""
    beside = _index_path(path)
    if beside.exists():
        with suppress(ValueError, EOFError):  # damaged: the shard itself says it
            table = np.load(beside, mmap_mode="r", allow_pickle=False)  # it may say any number of rows
            if _is_index_of(table, path):
                return np.array(table[1:], np.int64)
    return _scan(path)[1:]


def _is_index_of(table: np.ndarray, path: Path) -> bool:
    """Say whether a table is the index of the shard as it is now."""
    return table.ndim == 2 and table.shape[1] == 4 and bool(len(table)) and table[0, 0] == path.stat().st_size


def _scan(path: Path) -> np.ndarray:
    """Return the index from the tar's headers; its first row holds the shard's size, to notice a changed file."""
    size = path.stat().st_size
    try:
        samples = _members(path, size)
    except tarfile.TarError as error:
        raise DataError(f"{path}: no tar shard, or truncated ({error}); write or copy it again") from error
    rows = [(size, 0, 0, 0), *(_index_row(path, key, parts) for key, parts in samples.items())]
    return np.array(rows, np.int64)


def _index_row(path: Path, key: str, parts: dict[str, tuple[int, int]]) -> tuple[int, int, int, int]:
    """Return a sample's row of the index from (offset, size) of its members."""
    if "npy" not in parts or "json" not in parts:
        raise DataError(f"{path}: sample {key!r} lacks its .npy or .json member; the shard is damaged, write it again")
    return (parts["npy"][0], parts.get("valid.npy", (0, 0))[0], *parts["json"])


def _check_whole(member: tarfile.TarInfo, size: int) -> None:
    """Refuse a member that reaches beyond the end of the file."""
    if member.offset_data + member.size > size:
        raise tarfile.ReadError("it ends inside a member")


def _members(path: Path, size: int) -> dict[str, dict[str, tuple[int, int]]]:
    """Return (offset, size) of each member by sample and kind."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            kind = member.name.rpartition("/")[2].partition(".")[2]
            if member.isfile() and kind in MEMBERS:
                _check_whole(member, size)
                samples.setdefault(member.name.partition(".")[0], {})[kind] = (member.offset_data, member.size)
    return samples


def _mapped(path: Path, offset: int) -> np.ndarray:
    """Map the array whose .npy member begins at ``offset`` of the tar."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            shape, fortran, dtype = read_array_header(stream)
            start = stream.tell()
        if fortran or dtype.hasobject:
            raise DataError(f"{path}: an array that is not plain C order; write the shard again")
        return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape)
    except DataError:
        raise
    except (ValueError, OverflowError) as error:  # one that says to be larger than the file, too
        raise DataError(f"{path}: damaged ({error}); write or copy the shard again") from error
