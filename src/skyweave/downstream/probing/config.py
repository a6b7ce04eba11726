"""What a probe is: its data, what a sample is, and how it is scored; read from one YAML file."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from skyweave.core.config import config_from_dict, load_config_file
from skyweave.core.errors import ConfigError
from skyweave.downstream.labels.config import LabelledDataConfig
from skyweave.downstream.labels.kinds.base import LabelKind
from skyweave.downstream.labels.kinds.boxes import BoxLabel
from skyweave.downstream.labels.kinds.image_labels import ClassLabel
from skyweave.downstream.labels.kinds.masks import ClassMask, ValueMask
from skyweave.downstream.labels.labelled_images import check_labels

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "mean_iou", "positive_f1", "r2"]
Readout = Literal[
    "stem",
    "overlapping_stem",
    "quarter",
    "half",
    "three_quarters",
    "last",
    "normed",
    "levels",
    "with_bands",
    "stem_with_bands",
]
Pooling = Literal["mean", "mean_std"]
Target = Literal["class", "positive_share", "box_class"]
NO_BOX = "none"
"""Class of the cells in which no box has its centre."""


@dataclass(frozen=True)
class ProbeConfig:
    """One probe.

    Attributes:
        name: of the probe.
        data: images and labels, as for fine-tuning. Tiles are encoded one by one; a sample is a tile, or a cell of one.
        target: ``class``: of the image; of a cell, the class that most of its pixels carry. ``positive_share``: of a
            cell's pixels, those that are positive in the mask (regression). ``box_class``: of a cell, the class of the
            smallest box whose centre lies in it, or `NO_BOX`; boxes of other classes make their cell unknown.
        cell: side in pixels of one sample of a mask.
        minimum_share: a cell has a class if that many of its pixels carry it.
        metric: the main one.
        readout: depths of the backbone to choose from inside each training part.
        pooling: of samples that are whole images, to choose from as well: the mean over patches, or mean and standard
            deviation.
        patch_size: pixels per patch side that the backbone is asked for (None: its own); features are resampled to the
            cells.
        max_images: of the data folder, drawn with a fixed seed; None: all. Of a folder of test data all are read.
        samples_per_image: cells of one image at most, drawn with a fixed seed.
        samples_per_class: cells of one class and image at most; for targets of which few cells have any.
        minimum_class_samples: classes with fewer samples are left out, and noted.
        seeds: repetitions with other folds.
        baselines: names of the rows to compare with (None: all that apply).
        random_filters: of the random convolutions.
        random_filter_size: pixels per side.
    """

    name: str
    data: LabelledDataConfig
    target: Target = "class"
    cell: int | None = None
    minimum_share: float = 0.5
    metric: Metric = "balanced_accuracy"
    readout: list[Readout] = field(default_factory=lambda: ["normed"])
    pooling: list[Pooling] = field(default_factory=lambda: ["mean_std"])
    patch_size: int | None = None
    max_images: int | None = None
    samples_per_image: int | None = None
    samples_per_class: int | None = None
    minimum_class_samples: int = 0
    seeds: int = 3
    baselines: list[str] | None = None
    random_filters: int = 256
    random_filter_size: int = 3

    def __post_init__(self) -> None:
        try:
            self._check_labels()
            self._check_split()
        except ConfigError as error:
            raise ConfigError(f"probe {self.name!r}: {error}") from None
        if empty := [key for key in ("readout", "pooling") if not getattr(self, key)]:
            raise ConfigError(f"probe {self.name!r}: {empty[0]} is empty; name at least one")

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.target == "positive_share"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in order; empty for regression."""
        if self.is_regression:
            return ()
        names = self.data.labels.class_names
        return (NO_BOX, *names) if self.target == "box_class" else names

    def _check_labels(self) -> None:
        has_cells = self.data.labels.kind in (*ClassMask.readers, *BoxLabel.readers)
        if has_cells and not self.cell:
            raise ConfigError(f"labels of kind {self.data.labels.kind!r} need `cell`, the side of a sample in pixels")
        if not has_cells and self.cell:
            raise ConfigError("labels are per image; remove `cell`")
        self._check_label_kind(has_cells)
        if self.data.further:
            raise ConfigError("a probe reads one source; remove `further`, or fine-tune (skyweave finetune)")
        self._check_metric()

    def _check_label_kind(self, has_cells: bool) -> None:
        """Refuse labels that the target cannot be read from."""
        kinds: dict[Target, LabelKind] = {"positive_share": ValueMask(), "box_class": BoxLabel()}
        kind = kinds.get(self.target, ClassMask() if has_cells else ClassLabel())
        check_labels(self.data.labels, kind, f"target {self.target!r}")
        if not self.is_regression and not self.data.labels.class_names:
            raise ConfigError("labels need `classes`, the list of names in a fixed order")

    def _check_metric(self) -> None:
        """Refuse a metric that the target cannot be scored by."""
        if (self.metric == "r2") != self.is_regression:
            raise ConfigError(
                f"metric {self.metric!r} does not fit target {self.target!r}; use r2 with positive_share, and "
                "accuracy, balanced_accuracy, macro_f1 or mean_iou with classes"
            )
        if self.metric == "positive_f1" and len(self.class_names) != 2:
            raise ConfigError("metric 'positive_f1' is of the second of two classes; use macro_f1 with more")

    def _check_split(self) -> None:
        split = self.data.split
        if split.kind == "given":
            raise ConfigError("a probe is tested in folds; use split.kind groups or blocks")
        if split.kind == "blocks":
            self._check_blocks()
        self._check_tiles()

    def _check_blocks(self) -> None:
        """Refuse blocks that do not hold whole cells."""
        block = self.data.split.block
        if not self.cell:
            raise ConfigError("blocks are held out of masks only; use groups")
        if block % self.cell:
            raise ConfigError(f"block {block} is no multiple of cell {self.cell}")

    def _check_tiles(self) -> None:
        """Refuse tiles that do not hold whole cells."""
        tiles = self.data.tiles
        if tiles and self.cell and (tiles.size % self.cell or tiles.step % self.cell):
            raise ConfigError(f"size and stride of tiles must be multiples of cell {self.cell}")


def load_probe_config(path: str | Path) -> ProbeConfig:
    """Read a probe from YAML.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: names the file, the key and what is valid.
    """
    config = load_config_file(path, ProbeConfig)
    sensor = Path(path).parent / config.data.source.sensor
    if sensor.suffix == ".yaml" and sensor.is_file():  # of the user, beside the configuration
        source = replace(config.data.source, sensor=str(sensor))
        config = replace(config, data=replace(config.data, source=source))
    return config


def probe_config_from_dict(content: Any) -> ProbeConfig:
    """Return the probe that plain JSON types describe.

    Args:
        content: mappings, lists, numbers and text.

    Raises:
        ConfigError: names the key.
    """
    return config_from_dict(content, ProbeConfig)
