"""What a user declares of data: images, labels, how they are split; read from one YAML."""

from dataclasses import dataclass, field
from typing import Literal

from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.labelled_data import TaskKind
from skyweave.downstream.labels.probe_config import ImageSourceConfig
from skyweave.downstream.labels.splits import HoldoutConfig

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels are.

    Attributes:
        kind: ``folder``: the class is the name of the image's folder. ``pattern``: the group ``label`` of ``pattern``
            in the file name. ``csv``: ``label_column`` of the table ``files``; several classes of a multilabel task
            are separated by ``;``. ``mask``: one raster an image. ``boxes``: rows of the table ``files``, in pixels.
        files: the table, or the mask with ``{name}`` for the image's name.
        classes: names; of masks, a mapping from stored value to name. Empty for regression.
        ignore: stored values of masks without a label.
        nodata: stored value of regression masks without a value, beside NaN and what the file declares.
        box_columns: left, top, right, bottom.
        where: only images whose row of ``where_files`` has these values.
    """

    kind: Literal["folder", "pattern", "csv", "mask", "boxes"]
    files: str | None = None
    pattern: str | None = None
    file_column: str = "file"
    label_column: str | None = None
    classes: dict[int, str] | list[str] = field(default_factory=list)
    ignore: list[int] = field(default_factory=list)
    nodata: float | None = None
    box_columns: list[str] = field(default_factory=lambda: list(BOX_COLUMNS))
    where: dict[str, list[str]] | None = None
    where_files: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in order."""
        return tuple(self.classes.values() if isinstance(self.classes, dict) else self.classes)


@dataclass(frozen=True)
class LabelledDataConfig:
    """Images and labels below a data folder.

    Attributes:
        task: what is predicted, see `skyweave.downstream.labels.labelled_data.Task`.
        source: the images, as a probe declares them: files, sensor, unit, bands.
        second: of change, the second date's file with ``{name}``, below the data folder.
        name: regular expression whose group is an image's name in its file name; default: all but the suffix.
        tile: pixels per side that larger images are cut into; None leaves them whole.
    """

    task: TaskKind
    source: ImageSourceConfig
    labels: LabelConfig
    split: HoldoutConfig = field(default_factory=HoldoutConfig)
    second: str | None = None
    name: str | None = None
    tile: int | None = None

    def __post_init__(self) -> None:
        dense = {"segmentation": "mask", "change": "mask", "regression": "mask", "detection": "boxes"}
        valid = (dense[self.task],) if self.task in dense else ("folder", "pattern", "csv")
        if self.labels.kind not in valid:
            raise ConfigError(f"{self.task} cannot have labels of kind {self.labels.kind!r}; use {', '.join(valid)}")
        if self.labels.kind in ("csv", "mask", "boxes") and not self.labels.files:
            raise ConfigError(f"labels of kind {self.labels.kind!r} need `files`, the table or the masks")
        if (self.task == "change") != (self.second is not None):
            raise ConfigError("`second`, the second date's file with {name}, is needed for change and for nothing else")
        if self.task in ("segmentation", "change") and not isinstance(self.labels.classes, dict):
            raise ConfigError("masks need `classes` as a mapping from stored value to name, such as {0: no, 1: yes}")
        if self.split.kind == "blocks":
            if self.tile is None or self.split.block % self.tile:
                raise ConfigError(
                    f"split into blocks of {self.split.block} pixels needs a `tile` that divides them, is {self.tile}"
                )
            if self.task not in ("segmentation", "change", "regression"):
                raise ConfigError("blocks are held out of masks only; split images and boxes by groups")
