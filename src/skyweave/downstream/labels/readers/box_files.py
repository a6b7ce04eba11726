"""Labels as boxes in files of their own, one an image."""

from abc import abstractmethod
from pathlib import Path

from typing_extensions import override

from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import NAME, ImageFiles, files_of_template
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.readers.stored_boxes import Box, ImageBoxes, StoredBoxes
from skyweave.downstream.labels.tiles import Window


class BoxFileReader(LabelReader):
    """Boxes of an image in the file that ``files`` with ``{name}`` names; one without boxes says that it has none."""

    needs_files = True
    keys = ("files",)

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        files = {path: images.other_file("labels.files", config.files or "", path) for path in images.paths}
        self._files = {path: file for path, file in files.items() if file.is_file() and self._is_selected(path)}
        self._boxes = ImageBoxes({path: self._read_file(file, path) for path, file in self._files.items()}, images)

    @override
    @classmethod
    def check_config(cls, config: LabelConfig) -> None:
        # that every image has a file of its own
        super().check_config(config)
        if NAME not in (config.files or ""):
            raise ConfigError(f"labels.files of kind {config.kind!r} are one an image; write {NAME} for its name")

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredBoxes:
        # the boxes whose centre lies in the window, cut to it
        boxes = self._boxes.of(path)
        return boxes if window is None else boxes.cut(window)

    @override
    def source(self, path: Path) -> str:
        # the file of the image
        return str(self._files.get(path) or self.images.companion(self.config.files or "", path))

    @override
    def left_out(self) -> dict[str, list[str]]:
        # files of no image, and what is wrong with boxes
        used = set(self._files.values())
        others = [path for path in files_of_template(self.images.root, self.config.files or "") if path not in used]
        unused = {"files of labels without an image": list(map(self.images.relative, others))}
        return {**super().left_out(), **unused, **self._boxes.left_out}

    def _is_stored(self, path: Path) -> bool:
        return path in self._boxes

    @abstractmethod
    def _read_file(self, file: Path, image: Path) -> list[Box]:
        """Return the boxes of an image."""
