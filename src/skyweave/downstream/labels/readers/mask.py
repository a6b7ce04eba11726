"""Labels in rasters, one an image, on its grid."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from typing_extensions import override

from skyweave.core.errors import ConfigError, DataError
from skyweave.data.header import RasterHeader, describe_orientation
from skyweave.data.stored_values import read_stored
from skyweave.downstream.labels.alignment import align
from skyweave.downstream.labels.config import LabelConfig
from skyweave.downstream.labels.image_files import ImageFiles, files_of_template
from skyweave.downstream.labels.images import FileVersion, file_version, image_header
from skyweave.downstream.labels.readers.base import LabelReader
from skyweave.downstream.labels.tiles import Window


@dataclass(frozen=True)
class StoredMask:
    """One band of a raster, on the grid of its image.

    Attributes:
        values: (rows, columns) as stored.
        valid: (rows, columns) bool, neither NaN nor what the file declares as nodata, masks or makes transparent.
        scale: a number is the stored value times this ...
        offset: ... plus this, as tags of the file say.
    """

    values: np.ndarray
    valid: np.ndarray
    scale: float = 1.0
    offset: float = 0.0


class MaskReader(LabelReader):
    """One raster an image; ``files`` holds ``{name}`` for the image's name."""

    needs_files = True
    keys = ("files", "band")

    def __init__(self, config: LabelConfig, images: ImageFiles, is_exclusive: bool = False) -> None:
        super().__init__(config, images, is_exclusive)
        self._paths = {path: images.other_file("labels.files", config.files or "", path) for path in images.paths}

    @override
    def left_out(self) -> dict[str, list[str]]:
        # masks of no image, too
        used = {*self._paths.values(), *self.images.paths}
        others = [path for path in files_of_template(self.images.root, self.config.files or "") if path not in used]
        return {
            **super().left_out(),
            "masks without an image": list(map(self.images.relative, others)),
            "masks whose nodata is a class, and counts as that": [
                self.images.relative(self._paths[path]) for path in self.images.paths if self._declares_a_class(path)
            ],
        }

    @override
    @classmethod
    def check_config(cls, config: LabelConfig) -> None:
        # that bands are counted from 1
        super().check_config(config)
        if config.band is not None and config.band < 1:
            raise ConfigError(f"labels.band is {config.band}; bands are counted from 1")

    @override
    def read(self, path: Path, window: Window | None, shape: tuple[int, int]) -> StoredMask:
        # the mask of an image or of a window of it
        file = self.mask_path(path)
        versions = file_version(file), file_version(path)
        classes = frozenset(self.config.stored_values)
        mask = _read_mask(file, path, self.config.band, classes, self._resampling(path), self._fill, versions)
        if window is None:
            return mask
        top, left, rows, columns = window
        part = (slice(top, top + rows), slice(left, left + columns))
        return replace(mask, values=mask.values[part], valid=mask.valid[part])

    @override
    def source(self, path: Path) -> str:
        # the mask's path
        return str(self.mask_path(path))

    def mask_path(self, path: Path) -> Path:
        """Return the path of an image's mask.

        Args:
            path: of the image.
        """
        return self._paths[path]

    @property
    def _fill(self) -> str:
        """Return a value that no class has, for a remedy."""
        taken = set(self.config.stored_values)
        return next(str(value) for value in range(255, -1, -1) if value not in taken) if taken else "nan"

    def _resampling(self, path: Path) -> str:
        """Return what a mask would have to be resampled by, for a remedy."""
        is_finer = image_header(self.mask_path(path)).pixel_area < image_header(path).pixel_area
        if self.config.class_names:
            return "mode" if is_finer else "nearest"
        return "average" if is_finer else "bilinear"

    def _declares_a_class(self, path: Path) -> bool:
        """Return whether the nodata value of an image's mask is a class."""
        nodata = image_header(self._paths[path]).nodata if self.has_label(path) else ()
        return bool(set(nodata) & set(self.config.stored_values))

    def _is_stored(self, path: Path) -> bool:
        return self.mask_path(path).is_file()


@lru_cache(maxsize=8)
def _read_mask(
    path: Path,
    image: Path,
    band: int | None,
    classes: frozenset[int],
    resampling: str,
    fill: str,
    versions: tuple[FileVersion, FileVersion],
) -> StoredMask:
    """Return a mask on the grid of its image; a nodata value that is a class is one."""
    header, number = image_header(path), (band or 1) - 1
    _check_bands(header, band)
    _check_turn(header, image_header(image))
    alignment = align(header, image_header(image), resampling, fill)
    stored, mask = read_stored(header, [number])
    values, valid = stored[0], mask[0]
    if header.nodata[number] in classes:
        valid = valid | (values == header.nodata[number])
    if alignment is not None:
        values, valid = alignment.apply(values), alignment.apply(valid)
    return StoredMask(values, valid, header.bands[number].scale, header.bands[number].offset)


def _check_turn(mask: RasterHeader, image: RasterHeader) -> None:
    """Refuse a mask that viewers turn otherwise than its image: it was drawn on something else."""
    if mask.orientation != image.orientation:
        turned = mask if mask.orientation != 1 else image
        raise DataError(
            f"{mask.path} has the orientation {mask.orientation} and {image.path} {image.orientation}: "
            f"{describe_orientation(turned.orientation)}"
        )


def _check_bands(header: RasterHeader, band: int | None) -> None:
    """Refuse a mask of several bands, of which none is named: a colour is no class."""
    if band is None and header.count > 1:
        raise DataError(
            f"{header.path} has {header.count} bands, and a mask has one, of class numbers or values; if one of them "
            "is that, name it, as labels.band: 1; colours have to be turned into class numbers first"
        )
    if band is not None and band > header.count:
        raise DataError(f"{header.path} has {header.count} bands, so labels.band: {band} is none of them")
