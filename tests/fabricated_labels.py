"""Labelled samples that a small model learns in seconds: bright squares in noise."""

from pathlib import Path

import numpy as np

from skyweave.backbone import Backbone, build_backbone
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.dataset import LabelledData
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.downstream.labels.sample import LabelledSample

CLASSES: dict[str, tuple[str, ...]] = {
    "classification": ("red", "green"),
    "multilabel": ("red", "green", "noise"),
    "segmentation": ("ground", "red", "green"),
    "regression": (),
    "change": ("same", "changed"),
    "detection": ("red", "green"),
}


def small_backbone(seed: int = 0) -> Backbone:
    return build_backbone("tiny", seed=seed, width=24, depth=4, heads=3, patch_size=4).eval()


def fabricated_sample(kind: str, number: int, side: int = 24) -> LabelledSample:
    """A bright square of one colour; what the label says of it depends on the task."""
    random = np.random.default_rng([7, number])
    colour, (row, column), size = number % 2, random.integers(0, side // 2, 2), side // 2
    square = np.zeros((side, side), bool)
    square[row : row + size, column : column + size] = True
    pixels = random.uniform(0, 60, (3, side, side)).astype(np.float32)
    before = Observation.from_pixels(pixels.copy(), get_sensor("rgb"), source=f"before {number}")
    pixels[colour][square] += 180
    after = Observation.from_pixels(pixels, get_sensor("rgb"), source=f"square {number}")
    box = [[column, row, column + size, row + size, colour]]
    label = {
        "classification": colour,
        "multilabel": np.array([colour == 0, colour == 1, True]),
        "segmentation": np.where(square, 1 + colour, 0),
        "regression": np.where(square, 3.0 + colour, 1.0).astype(np.float32),
        "change": square.astype(np.int64),
        "detection": np.array(box, np.float32),
    }[kind]
    observations = (before, after) if kind == "change" else (after,)
    return LabelledSample(observations, label, f"square {number}")


def fabricated_data(kind: str, train: int = 12, side: int = 24) -> LabelledData:
    def part(start: int, stop: int) -> list[LabelledSample]:
        return [fabricated_sample(kind, number, side) for number in range(start, stop)]

    return LabelledData(
        make_task(kind, f"squares {kind}", CLASSES[kind]), part(0, train), part(100, 106), part(200, 206)
    )


def write_raster(path: Path, values: np.ndarray, nodata: float | None = None) -> Path:
    """(bands, rows, columns) as a GeoTIFF at 0.1 m."""
    import rasterio

    path.parent.mkdir(parents=True, exist_ok=True)
    bands, rows, columns = values.shape
    profile = {"driver": "GTiff", "count": bands, "height": rows, "width": columns, "dtype": values.dtype}
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32633", transform=rasterio.Affine(0.1, 0, 4e5, 0, -0.1, 5e6), nodata=nodata
    ) as target:
        target.write(values)
    return path
