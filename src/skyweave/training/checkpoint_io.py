"""Checkpoints that no full disk, kill or power cut destroys: written aside and renamed, the one before kept."""

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from skyweave.core.atomic_write import write_aside

PREVIOUS_CHECKPOINT = "previous.ckpt"


class AsideCheckpointIO(TorchCheckpointIO):
    """Lightning's files of checkpoints; Lightning itself copies over the only one there is."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; the one of that name becomes ``previous.ckpt`` beside it.

        Args:
            checkpoint: content.
            path: of the file.
            storage_options: none, for files.

        Raises:
            OSError: the disk is full; both files from before are as they were.
        """
        target = Path(path)
        with write_aside(target) as aside:
            _save(checkpoint, aside)
            _keep(target)


class _Stream:
    """A file for `torch.save`, which makes an error of its own of one of the disk."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._stream.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._stream.flush()


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        stream = _Stream(file)
        try:
            torch.save(checkpoint, stream)  # type: ignore[arg-type]  # it needs no more than these two
        except RuntimeError:
            if stream.error is None:
                raise
            stream.error.filename = str(path)
            raise stream.error from None


def _keep(checkpoint: Path) -> None:
    """Give a checkpoint a second name, under which it stays when the first is taken by a newer one."""
    previous = checkpoint.with_name(PREVIOUS_CHECKPOINT)
    # There may be none yet, or the file system gives no second names.
    with suppress(OSError), write_aside(previous, durable=False) as link:
        os.link(checkpoint, link)
