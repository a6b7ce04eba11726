"""Small files of embeddings whose vectors tests know."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

ORIGIN = (370_000.0, 5_800_000.0)
PATCH_M = 80.0


def write_embeddings(
    path: Path, features: np.ndarray, crs: str | None = "EPSG:32633", origin: Any = ORIGIN, **tags: str
) -> Path:
    """Write (channels, rows, columns) features, NaN where a patch has none, as `skyweave embed` does."""
    channels, rows, columns = features.shape
    transform = Affine(PATCH_M, 0, origin[0], 0, -PATCH_M, origin[1])
    profile = {"driver": "GTiff", "count": channels, "height": rows, "width": columns, "dtype": "float32"}
    tags = {"FINGERPRINT": "abcd", "SENSOR": "sentinel2-l2a", "GSD": "10", "PATCH_SIZE": "8", **tags}
    with rasterio.open(path, "w", **profile, nodata=np.nan, crs=crs, transform=transform) as target:
        target.write(features.astype(np.float32))
        target.update_tags(**tags)
    return path


def clustered_features(rows: int, columns: int, channels: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (channels, rows, columns) features about three directions in vertical stripes, and the stripes."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(3, channels))
    classes = np.broadcast_to(np.arange(columns) * 3 // columns, (rows, columns))
    features = directions[classes].transpose(2, 0, 1) + 0.2 * random.normal(size=(channels, rows, columns)) + 5
    return features, classes
