"""What readers of stored labels have in common, and the readers by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.images import image_name
from skyweave.downstream.labels.tables import row_filter
from skyweave.downstream.labels.tiles import Window


class LabelReader(ABC):
    """Labels of one data folder as they are stored, whatever they mean: `skyweave.downstream.labels.kinds` says that.

    Args:
        config: where the labels are.
        root: data folder.
        name_pattern: regular expression whose group is an image's name; None: the file name without suffix.

    Raises:
        ConfigError: a key that this reader needs is missing.
        FileNotFoundError: no such table.
        DataError: a table without the columns that are asked for.
    """

    needs_files: ClassVar[bool] = False

    def __init__(self, config: LabelConfig, root: Path, name_pattern: str | None = None) -> None:
        self.check_config(config)
        self.config, self.root = config, root
        self.name_of: Callable[[Path], str] = partial(image_name, pattern=name_pattern)
        self._is_selected: Callable[[Path], bool] = lambda path: True
        if config.where:
            table = root / (config.where_files or config.files or "")
            self._is_selected = row_filter(table, config.file_column, config.where)

    @classmethod
    def check_config(cls, config: LabelConfig) -> None:
        """Check that the keys this reader needs are there.

        Args:
            config: as declared.

        Raises:
            ConfigError: one is missing; names it.
        """
        if cls.needs_files and not config.files:
            raise ConfigError(f"labels of kind {config.kind!r} need `files`, the table or the masks")

    def has_label(self, path: Path) -> bool:
        """Return whether an image is labelled and selected by ``where``.

        Args:
            path: of the image.
        """
        return self._is_selected(path) and self._is_stored(path)

    def source(self, path: Path) -> str:
        """Return where an image's label is stored, for messages.

        Args:
            path: of the image.
        """
        return str(path)

    def column_value(self, path: Path, column: str) -> str | None:
        """Return what a column of the table of labels says of an image; None where there is none.

        Args:
            path: of the image.
            column: of the table.
        """
        return None

    @abstractmethod
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> Any:
        """Read the stored label of an image or of a window of it.

        Args:
            path: of the image.
            window: part of the image in pixels; None: all of it.
            shape: (rows, columns) of the whole image.

        Returns:
            Text, `StoredMask` or `StoredBoxes`, by the reader.

        Raises:
            DataError: what is stored does not fit the image; names the file.
        """

    @abstractmethod
    def _is_stored(self, path: Path) -> bool:
        """Return whether there is a label of an image."""


LABEL_READERS: Registry[type[LabelReader]] = Registry(
    "label_readers",
    "kind of label files",
    {
        "folder": "skyweave.downstream.labels.readers.text:FolderReader",
        "pattern": "skyweave.downstream.labels.readers.text:PatternReader",
        "csv": "skyweave.downstream.labels.readers.text:TableReader",
        "mask": "skyweave.downstream.labels.readers.mask:MaskReader",
        "boxes": "skyweave.downstream.labels.readers.boxes:BoxReader",
    },
)
"""Readers by what a configuration calls ``labels.kind``."""
