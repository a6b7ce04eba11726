"""How well distances of embeddings rank the patches that changed, beside change vector analysis of the bands.

    skyweave embed DATA/s2_oscd/bercy_1_S2L1C_13bands.tif -o before.tif --sensor sentinel2-l1c --unit dn \
        --bands sensor --gsd 10 --dtype float32          # and the same of the other date, as after.tif
    python benchmarks/change.py before.tif after.tif DATA/s2_oscd bercy

A patch counts as changed where a quarter of its pixels are marked. The labels are of buildings and roads only: a change
of vegetation or water that is real counts as an error here.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from sklearn.metrics import average_precision_score, roc_auc_score

from skyweave.search.change.change_map import detect_change
from skyweave.search.change.pair import pair_dates
from skyweave.search.readers import open_patches

MIN_CHANGED_SHARE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("labels", type=Path, help="folder of OSCD, as stacked files")
    parser.add_argument("city")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    change = detect_change(pair_dates(open_patches(arguments.before), open_patches(arguments.after)))
    distance, _, marked = change.raster()
    size = int(open_patches(arguments.before).tags["PATCH_SIZE"])
    mask = read(next(arguments.labels.glob(f"{arguments.city}_change_mask*.tif")))[0] == 2
    truth = pool(mask.astype(float), size) >= MIN_CHANGED_SHARE
    dates = [pool(read(arguments.labels / f"{arguments.city}_{n}_S2L1C_13bands.tif"), size) for n in (1, 2)]
    vectors = [(date - date.mean((1, 2), keepdims=True)) / date.std((1, 2), keepdims=True) for date in dates]
    print(f"{truth.size} patches of {size} pixels, {truth.mean():.3f} changed\n")
    print("| score | average precision | area under the ROC |\n| --- | --- | --- |")
    for name, score in (
        ("distance of embeddings", distance),
        ("change vector of standardised bands", np.sqrt(np.square(vectors[1] - vectors[0]).sum(0))),
    ):
        precision = average_precision_score(truth.ravel(), score.ravel())
        print(f"| {name} | {precision:.3f} | {roc_auc_score(truth.ravel(), score.ravel()):.3f} |")
    called = marked == 1
    hits = (called & truth).sum()
    print(f"\ncalled change: {called.sum()}; marked among them {hits / max(called.sum(), 1):.3f}; ", end="")
    print(f"of the marked, called {hits / truth.sum():.3f}")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return np.asarray(source.read().astype(float))


def pool(values: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of each patch, also of those that the edge cuts: (..., rows, columns)."""
    rows, columns = (-(-side // size) for side in values.shape[-2:])
    padded = np.full((*values.shape[:-2], rows * size, columns * size), np.nan)
    padded[..., : values.shape[-2], : values.shape[-1]] = values
    means: np.ndarray = np.nanmean(padded.reshape(*values.shape[:-2], rows, size, columns, size), axis=(-3, -1))
    return means


if __name__ == "__main__":
    main()
