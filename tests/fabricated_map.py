"""Finished rasters whose values are known."""

import math
from typing import Any

import numpy as np
from pyproj import CRS

from skyweave.inference import FinishedRaster, Provenance, RasterDescription, Runtime

UTM = (80.0, 0.0, 370_000.0, 0.0, -80.0, 5_800_000.0)
TAKEN = 1_714_552_365 * 10**9  # 2024-05-01T08:32:45Z


def feature_map(
    channels: int = 6,
    rows: int = 50,
    columns: int = 70,
    crs: str | None = "EPSG:32633",
    transform: tuple[float, ...] = UTM,
    time: int | None = TAKEN,
    patch_size: int = 8,
    scale: float = 1.0,
) -> tuple[np.ndarray, FinishedRaster]:
    """Smooth features with a corner that has no data, and the raster that holds them."""
    row, column = np.mgrid[:rows, :columns]
    phase = np.arange(channels)[:, None, None]
    values = np.sin(row / 9 + phase) + np.cos(column / 7 - phase) * (1 + phase)
    values = (values * scale).astype(np.float32)
    values[:, : rows // 8, : columns // 5] = np.nan
    return values, finished_raster(values, crs=crs, transform=transform, time=time, patch_size=patch_size)


def finished_raster(
    values: np.ndarray,
    kind: Any = "features",
    crs: str | None = "EPSG:32633",
    transform: tuple[float, ...] = UTM,
    time: int | None = TAKEN,
    patch_size: int = 8,
    nodata: float = math.nan,
    classes: tuple[str, ...] = (),
) -> FinishedRaster:
    """A raster of values in memory."""
    provenance = Provenance(
        model="tiny",
        fingerprint="0123456789abcdef",
        readout="dense",
        sensor="sentinel2-l2a",
        sensor_bands=("red", "green"),
        unit="dn",
        ground_sample_distance=10.0,
        patch_size=patch_size,
        tile=256,
        overlap=64,
        precision="float32",
        sources=("https://example.org/scene.tif",),
        time=time,
    )
    description = RasterDescription(
        rows=values.shape[1],
        columns=values.shape[2],
        bands=tuple(f"feature {number:03d}" for number in range(len(values))),
        dtype=str(values.dtype),
        nodata=nodata,
        crs=None if crs is None else CRS.from_user_input(crs).to_wkt(),
        transform=transform,  # type: ignore[arg-type]
        ground_sample_distance=80.0,
        kind=kind,
        provenance=provenance,
        classes=classes,
    )

    def read(row: int, column: int, rows: int, columns: int) -> np.ndarray:
        return values[:, row : row + rows, column : column + columns].copy()

    return FinishedRaster(description, read, Runtime(TAKEN, 12.5, "cpu"))
