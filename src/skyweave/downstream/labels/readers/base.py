"""What readers of stored labels have in common, and the readers by name."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from skyweave.core.errors import ConfigError
from skyweave.core.registry import Registry
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import NAME, ImageFiles
from skyweave.downstream.labels.tables import row_filter
from skyweave.downstream.labels.tiles import Window

COMMON_KEYS = ("kind", "classes", "ignore", "nodata", "file_column", "where", "where_files")
"""Of `LabelConfig`: what labels mean, and which images have one; the rest is of some readers alone."""


class LabelReader(ABC):
    """Labels of one data folder as they are stored, whatever they mean: `skyweave.downstream.labels.kinds` says that.

    Attributes:
        needs_files: ``labels.files`` has to be there.
        keys: of `LabelConfig` that it heeds, beside `COMMON_KEYS`; None: it says nothing of that.

    Args:
        config: where the labels are.
        images: that may be labelled.
        is_exclusive: an image has one class, so that two of them contradict each other.

    Raises:
        ConfigError: a key that this reader needs is missing.
        FileNotFoundError: no such table.
        DataError: a table without the columns that are asked for, or names that may mean several images.
    """

    needs_files: ClassVar[bool] = False
    keys: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        self.check_config(config)
        self.config, self.images, self.is_exclusive = config, images, is_exclusive
        self._is_selected: Callable[[Path], bool] = lambda path: True
        if config.where:
            table = images.root / (config.where_files or config.files or "")
            self._is_selected = row_filter(table, config.file_column, config.where, images)

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
        for key in cls._unused_keys(config):
            raise ConfigError(
                f"labels of kind {config.kind!r} have no use for {key!r}, so it would change nothing; remove it, or "
                f"choose another kind: {', '.join(LABEL_READERS)}"
            )
        check_template(config.files or "", "labels.files")

    @classmethod
    def _unused_keys(cls, config: LabelConfig) -> list[str]:
        """Return the keys that are declared and would change nothing."""
        if cls.keys is None:
            return []
        declared = [key for key, value in vars(config).items() if value != getattr(LabelConfig(config.kind), key)]
        return [key for key in declared if key not in (*COMMON_KEYS, *cls.keys)]

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

    def left_out(self) -> dict[str, list[str]]:
        """Return what is not used, or was guessed, by the reason; an image that `where` leaves out is none of that."""
        without = [path for path in self.images.paths if self._is_selected(path) and not self._is_stored(path)]
        return {
            **self.images.left_out,
            "images that share a mask or a second date with another by `name`": list(self.images.sharing),
            "images without a label": list(map(self.images.relative, without)),
        }

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


def check_template(template: str, key: str) -> None:
    """Check that the path of a companion has no other placeholder than the image's name.

    Args:
        template: the path.
        key: of it in the configuration, for messages.

    Raises:
        ConfigError: it has.
    """
    for placeholder in re.findall(r"\{[^{}]*\}", template):
        if placeholder != NAME:
            raise ConfigError(f"{key} {template!r} holds {placeholder}; write {NAME} for the image's name")


LABEL_READERS: Registry[type[LabelReader]] = Registry(
    "label_readers",
    "kind of label files",
    {
        "folder": "skyweave.downstream.labels.readers.text:FolderReader",
        "pattern": "skyweave.downstream.labels.readers.text:PatternReader",
        "csv": "skyweave.downstream.labels.readers.text:TableReader",
        "mask": "skyweave.downstream.labels.readers.mask:MaskReader",
        "boxes": "skyweave.downstream.labels.readers.boxes:BoxReader",
        "polygons": "skyweave.downstream.labels.readers.polygons:PolygonReader",
        "coco": "skyweave.downstream.labels.readers.coco:CocoReader",
        "yolo": "skyweave.downstream.labels.readers.yolo:YoloReader",
        "voc": "skyweave.downstream.labels.readers.voc:VocReader",
    },
)
"""Readers by what a configuration calls ``labels.kind``."""
