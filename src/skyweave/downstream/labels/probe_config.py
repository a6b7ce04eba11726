"""What a probe is: which images, which labels, how they are split; read from one YAML file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skyweave.core.config import config_from_dict, load_config_file
from skyweave.core.errors import ConfigError

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1", "r2"]
Readout = Literal["stem", "quarter", "half", "three_quarters", "last", "normed", "levels"]


@dataclass(frozen=True)
class FileOverride:
    """Files (a glob on the file name) that are stored otherwise than the rest of the source."""

    files: str
    unit: str | None = None
    offset: float | None = None


@dataclass(frozen=True)
class UnitRule:
    """A declared rule for files whose storage differs and cannot be listed beforehand.

    A file in which every band's ``percentile`` lies at or above ``at_least`` (stored values) is read with ``unit``.
    It is a heuristic that the configuration asks for by name; the result lists the files it caught.
    """

    unit: str
    at_least: float
    percentile: float = 1.0


@dataclass(frozen=True)
class ImageSourceConfig:
    """Images: a glob below the data directory, and how the files store the sensor's values.

    ``bands`` names the file's bands in file order, or ``sensor`` for the sensor's own order; None matches by the
    file's descriptions. ``select`` keeps only these bands. ``nodata``: ``file``, None (ignore the declared value) or a
    number. ``exclude``: globs on file names to leave out.
    """

    sensor: str
    files: str
    unit: str
    bands: list[str] | Literal["sensor"] | None = None
    select: list[str] | None = None
    offset: float = 0.0
    nodata: float | Literal["file"] | None = "file"
    ground_sample_distance: float | None = None
    exclude: list[str] = field(default_factory=list)
    overrides: list[FileOverride] = field(default_factory=list)
    unit_rule: UnitRule | None = None


@dataclass(frozen=True)
class ProbeLabelConfig:
    """What is to be predicted.

    ``folder``: the class is the name of the image's folder. ``pattern``: the class is the group ``label`` of a regular
    expression on the file name. ``csv``: a table with a ``file_column`` and a ``label_column``. ``dense``: label
    rasters, one class per cell by majority, if at least ``minimum_share`` of the cell's pixels carry it.
    ``fraction``: regression on the share of a cell's pixels that are positive in a mask.

    ``files`` is the path of the table, or of one label raster per image with ``{name}`` for the image's file name
    without suffix. ``classes`` maps stored values to names (dense), or lists the names. ``ignore``: stored values
    without a label. ``where``: only images whose table row has these values.
    """

    kind: Literal["folder", "pattern", "csv", "dense", "fraction"]
    files: str | None = None
    pattern: str | None = None
    file_column: str = "file"
    label_column: str = "label"
    classes: dict[int, str] | list[str] | None = None
    ignore: list[int] = field(default_factory=list)
    minimum_share: float = 0.5
    where: dict[str, list[str]] | None = None
    where_files: str | None = None

    def __post_init__(self) -> None:
        if self.kind in ("csv", "dense", "fraction") and not self.files:
            raise ConfigError(f"labels of kind {self.kind!r} need `files`, the table or the label rasters")
        if self.kind == "pattern" and "(?P<label>" not in (self.pattern or ""):
            raise ConfigError("labels of kind 'pattern' need a `pattern` with a group named label: (?P<label>...)")
        if self.kind == "dense" and not isinstance(self.classes, dict):
            raise ConfigError("labels of kind 'dense' need `classes`, a mapping from stored value to name")

    @property
    def is_dense(self) -> bool:
        """True if one image gives many samples."""
        return self.kind in ("dense", "fraction")


@dataclass(frozen=True)
class ChipConfig:
    """Cut images into squares of ``size`` pixels, every ``stride`` pixels; what does not fit is left out."""

    size: int
    stride: int


@dataclass(frozen=True)
class FoldConfig:
    """How training and test parts are kept apart.

    ``groups``: whole groups are left out, stratified over ``folds``; a group is what ``pattern`` (a regular expression
    on the file name) captures, by default the file. ``blocks``: squares of ``block`` pixels are held out inside every
    image; training cells nearer than ``gap`` pixels to a held-out cell are dropped.
    """

    kind: Literal["groups", "blocks"] = "groups"
    folds: int = 5
    pattern: str | None = None
    block: int = 32
    gap: int = 8

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"split: folds is {self.folds}; at least 2 are needed to hold something out")


@dataclass(frozen=True)
class ProbeConfig:
    """One probe.

    ``cell``: side in pixels of one dense sample. ``patch_size``: what the backbone is asked for (None: its own);
    features are resampled to the cells. ``samples_per_image``: at most so many cells of one image, drawn with a fixed
    seed. ``minimum_class_samples``: classes with fewer samples are left out, and noted. ``baselines``: names of the
    rows to compare with (all that apply, by default).
    """

    name: str
    source: ImageSourceConfig
    labels: ProbeLabelConfig
    split: FoldConfig = FoldConfig()
    metric: Metric = "balanced_accuracy"
    readout: list[Readout] = field(default_factory=lambda: ["normed"])
    chip: ChipConfig | None = None
    cell: int | None = None
    patch_size: int | None = None
    samples_per_image: int | None = None
    minimum_class_samples: int = 0
    seeds: int = 3
    baselines: list[str] | None = None
    random_filters: int = 256
    random_filter_size: int = 3

    def __post_init__(self) -> None:
        if self.labels.is_dense and not self.cell:
            raise ConfigError(
                f"probe {self.name!r}: {self.labels.kind} labels need `cell`, the side of a sample in pixels"
            )
        if not self.labels.is_dense and self.cell:
            raise ConfigError(f"probe {self.name!r}: labels are per image; remove `cell`")
        if (self.metric == "r2") != (self.labels.kind == "fraction"):
            raise ConfigError(
                f"probe {self.name!r}: metric {self.metric!r} does not fit labels of kind {self.labels.kind!r}; "
                "use r2 with fraction labels, and accuracy, balanced_accuracy or macro_f1 with classes"
            )
        if self.split.kind == "blocks":
            if not self.cell:
                raise ConfigError(f"probe {self.name!r}: blocks are held out of dense labels only; use groups")
            if self.split.block % self.cell:
                raise ConfigError(f"probe {self.name!r}: block {self.split.block} is no multiple of cell {self.cell}")
        if self.chip and self.cell and (self.chip.size % self.cell or self.chip.stride % self.cell):
            raise ConfigError(f"probe {self.name!r}: chip size and stride must be multiples of cell {self.cell}")
        if not self.readout:
            raise ConfigError(f"probe {self.name!r}: readout is empty; name at least one")

    @property
    def is_regression(self) -> bool:
        """True if the target is a number."""
        return self.labels.kind == "fraction"


def load_probe_config(path: str | Path) -> ProbeConfig:
    """Read a probe from YAML. Raises ``ValueError`` naming the file, the key and what is valid."""
    return load_config_file(path, ProbeConfig)


def probe_config_from_dict(raw: Any) -> ProbeConfig:
    """Plain JSON types to a probe. Raises ``ValueError`` naming the key."""
    return config_from_dict(raw, ProbeConfig)
