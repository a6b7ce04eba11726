"""Embeddings in a Zarr store with the conventions ``geoemb``, ``spatial`` and ``proj``: one grid, a vector a pixel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import DataError
from skyweave.search.places import GridPlaces
from skyweave.search.provenance import space_from_standard
from skyweave.search.reader import PatchBlock, PatchReader, find_fills

VECTORS = "embeddings"
DIMENSIONS = ("time", "embedding", "y", "x")


class ZarrPatches(PatchReader):
    """Reads an array ``embeddings`` of one time, times a scale for each pixel where the store has such an array.

    Args:
        path: of the store.

    Raises:
        DataError: no store of embeddings, one of several times, or one whose quantisation is not known.
    """

    suffixes = (".zarr",)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        group = self._open()
        array, attributes = group.get(VECTORS), dict(group.attrs)
        if array is None or array.ndim != len(DIMENSIONS) or "spatial:transform" not in attributes:
            raise DataError(f"{path} has no array {VECTORS} of (time, embedding, y, x) on a grid; is it another store?")
        if array.shape[0] != 1:
            raise DataError(f"{path} holds {array.shape[0]} times; give a store of one")
        self.shape: tuple[int, int] = array.shape[2:]
        self._affine = tuple(attributes["spatial:transform"])
        self._crs = _find_crs(group, attributes)
        self.space, self.tags = space_from_standard(attributes, "geoemb", array.shape[1])
        self._scales = _find_scales(attributes, array.dtype, path)

    def blocks(self) -> Iterator[PatchBlock]:
        """Yield all patches that have features, in the same order each time."""
        group = self._open()
        array, scales = group[VECTORS], group[self._scales] if self._scales else None
        side = (array.shards or array.chunks)[-1]
        for row in range(0, self.shape[0], side):
            for column in range(0, self.shape[1], side):
                window = slice(row, row + side), slice(column, column + side)
                stored = np.asarray(array[0, :, *window])
                features = stored.astype(np.float32)
                if scales is not None:
                    features = features * np.asarray(scales[0, *window])
                valid, fills = find_fills(stored, np.asarray(np.isfinite(features).all(0)))
                rows, columns = np.nonzero(valid)
                cells = (rows + row) * self.shape[1] + columns + column
                yield PatchBlock(np.ascontiguousarray(features[:, valid].T), cells, fills)

    def places(self, positions: np.ndarray) -> GridPlaces:
        """Return the places of patches.

        Args:
            positions: of the blocks, in their order.
        """
        a, b, c, d, e, f = self._affine
        return GridPlaces(positions, self.shape, (a, b, c, d, e, f), self._crs)

    def _open(self) -> Any:
        import zarr

        try:
            return zarr.open_group(str(self.path), mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{self.path} is no Zarr store ({error})") from None


def _find_crs(group: Any, attributes: dict[str, Any]) -> str | None:
    """Return the reference system as WKT: of the convention, or of the climate and forecast conventions."""
    reference = group.get("spatial_ref")
    wkt = attributes.get("proj:wkt2") or (reference is not None and reference.attrs.get("crs_wkt"))
    code = attributes.get("proj:code")
    return str(wkt) if wkt else (str(code) if code else None)


def _find_scales(attributes: dict[str, Any], dtype: Any, path: Path) -> str | None:
    """Return the name of the array of scales; None for floats."""
    scale = attributes.get("geoemb:quantization", {}).get("scale", {})
    if np.issubdtype(dtype, np.floating):
        return None
    if scale.get("type") != "array":
        raise DataError(
            f"{path} holds integers without an array of scales in geoemb:quantization; it cannot be decoded"
        )
    return str(scale["array_name"])
