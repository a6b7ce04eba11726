"""Labels in words, one an image: names of folders, parts of file names, cells of a table."""

import re
from pathlib import Path

from typing_extensions import override

from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.tables import read_table
from skyweave.downstream.labels.tiles import Window

DEFAULT_LABEL_COLUMN = "label"


class FolderReader(LabelReader):
    """The label is the name of the image's folder."""

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> str:
        # the name of the folder
        return path.parent.name

    def _is_stored(self, path: Path) -> bool:
        return True


class PatternReader(LabelReader):
    """The label is the group ``label`` of a regular expression in the file name."""

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
        return re.search(self.config.pattern or "", path.name)


class TableReader(LabelReader):
    """The label is a cell of a table whose rows name the images."""

    needs_files = True

    def __init__(self, config: LabelConfig, root: Path, name_pattern: str | None = None) -> None:
        super().__init__(config, root, name_pattern)
        self._column = config.label_column or DEFAULT_LABEL_COLUMN
        self._rows = read_table(root / (config.files or ""), config.file_column, [self._column])

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> str:
        # the cell of the image's first row
        return self._rows[path.stem][0][self._column] or ""

    @override
    def column_value(self, path: Path, column: str) -> str | None:
        # another cell of the image's first row
        rows = self._rows.get(path.stem)
        return rows[0].get(column) if rows else None

    def _is_stored(self, path: Path) -> bool:
        return path.stem in self._rows
