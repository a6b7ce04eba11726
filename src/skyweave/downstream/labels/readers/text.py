"""Labels in words, one an image: names of folders, parts of file names, cells of a table."""

import re
from pathlib import Path

from typing_extensions import override

from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles, search_name
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.tables import LabelTable
from skyweave.downstream.labels.tiles import Window

DEFAULT_LABEL_COLUMN = "label"
CLASS_SEPARATOR = ";"
MISSING_WORDS = {"nan", "na", "n/a", "null", "none"}
"""What programs write into cells without a value, in lower case; where no class is called so, it is no label."""


class FolderReader(LabelReader):
    """The label is the name of the image's folder."""

    keys = ()

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> str:
        # the name of the folder
        return path.parent.name

    def _is_stored(self, path: Path) -> bool:
        return True


class PatternReader(LabelReader):
    """The label is the group ``label`` of a regular expression in the file name; in the path, where it holds ``/``."""

    keys = ("pattern",)

    @override
    @classmethod
    def check_config(cls, config: LabelConfig) -> None:
        # that the pattern has its group
        if "(?P<label>" not in (config.pattern or ""):
            raise ConfigError("labels of kind 'pattern' need a `pattern` with a group named label: (?P<label>...)")

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> str:
        # what the group captures
        match = self._match(path)
        return match["label"] if match else ""

    def _is_stored(self, path: Path) -> bool:
        return self._match(path) is not None

    def _match(self, path: Path) -> re.Match[str] | None:
        return search_name(self.config.pattern or "", Path(self.images.relative(path)), "labels.pattern")


class TableReader(LabelReader):
    """The label is a cell of a table whose rows name the images; several rows of an image name several classes."""

    needs_files = True
    keys = ("files", "label_column")

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        self._column = config.label_column or DEFAULT_LABEL_COLUMN
        self._table = LabelTable(images.root / (config.files or ""), config.file_column, [self._column], images)
        missing = MISSING_WORDS - set(config.class_names) | ({""} if is_exclusive else set())
        self._labels: dict[Path, list[str]] = {}
        for image, rows in self._table.rows.items():
            texts = dict.fromkeys(row.cells[self._column] for row in rows)
            self._labels[image] = [text for text in texts if text.lower() not in missing]

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> str:
        # the classes that the image's rows name
        return CLASS_SEPARATOR.join(self._labels[path])

    @override
    def source(self, path: Path) -> str:
        # the image and its first row
        rows = self._table.rows.get(path)
        return f"{path} ({self._table.path}{f', line {rows[0].line}' if rows else ''})"

    @override
    def column_value(self, path: Path, column: str) -> str | None:
        # another cell of the image's rows
        return self._table.column_value(path, column)

    @override
    def left_out(self) -> dict[str, list[str]]:
        # rows that say the same twice, or contradict each other
        relative, left_out = self.images.relative, super().left_out()
        several = self._several_rows()
        contradicting = [image for image in several if len(self._labels[image]) > 1]
        names = set(map(relative, contradicting))
        return {
            **left_out,
            "images without a label": [name for name in left_out["images without a label"] if name not in names],
            **self._table.left_out(),
            "images left out, as their rows contradict each other": [
                f"{relative(image)}: {' and '.join(self._labels[image])}" for image in contradicting
            ],
            "images with several rows that say the same": [
                relative(image) for image in several if image not in contradicting
            ],
        }

    def _several_rows(self) -> list[Path]:
        """Return the images that several rows name, where an image has one class."""
        if not self.is_exclusive:
            return []
        return [image for image, rows in self._table.rows.items() if len(rows) > 1]

    def _is_stored(self, path: Path) -> bool:
        labels = self._labels.get(path, [])
        return len(labels) == 1 if self.is_exclusive else bool(labels)
