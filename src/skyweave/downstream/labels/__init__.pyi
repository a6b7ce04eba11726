from .config import (
    FileOverride,
    ImageSourceConfig,
    LabelConfig,
    LabelledDataConfig,
    SplitConfig,
    TileConfig,
    UnitRule,
)
from .image_files import ImageFiles
from .kinds.base import LabelKind
from .kinds.boxes import BoxLabel
from .kinds.image_labels import ClassLabel, MultiClassLabel
from .kinds.masks import ClassMask, ValueMask
from .labelled_images import LabelledImages, check_sample
from .readers.base import LABEL_READERS, LabelReader
from .sample import IGNORE_INDEX, Label, LabelledSample
from .splits import stratified_group_folds, stratified_group_split

__all__ = [
    "IGNORE_INDEX",
    "LABEL_READERS",
    "BoxLabel",
    "ClassLabel",
    "ClassMask",
    "FileOverride",
    "ImageFiles",
    "ImageSourceConfig",
    "Label",
    "LabelConfig",
    "LabelKind",
    "LabelReader",
    "LabelledDataConfig",
    "LabelledImages",
    "LabelledSample",
    "MultiClassLabel",
    "SplitConfig",
    "TileConfig",
    "UnitRule",
    "ValueMask",
    "check_sample",
    "stratified_group_folds",
    "stratified_group_split",
]
