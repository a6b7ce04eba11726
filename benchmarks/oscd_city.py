"""One more city of OSCD (Daudt et al. 2018, arXiv 1810.08468), as configs/finetune/oscd_change.yaml reads it.

    git clone https://github.com/microsoft/torchgeo && git -C torchgeo checkout ef8e92edb1d6cb35a6a219d298b52f05e99fdadc
    DATA="torchgeo/tests/data/oscd/Onera Satellite Change Detection dataset -"
    python benchmarks/oscd_city.py "$DATA Images/test" "$DATA Test Labels/test/cm/dubai-cm.tif" -o elsewhere/s2_oscd
    python benchmarks/finetuning.py --data elsewhere -o runs/elsewhere --tasks oscd_change

The thirteen bands of each date, all on one grid, become one file; the mask is copied as it is.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder with imgs_1_rect and imgs_2_rect, one file a band")
    parser.add_argument("mask", type=Path, help="1: no change, 2: change; its name begins with the city's")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    city = args.mask.name.partition("-")[0]
    args.output.mkdir(parents=True, exist_ok=True)
    mask = read(args.mask)
    write(args.output / f"{city}_change_mask_1nochange_2change.tif", mask[None].astype(np.uint8))
    for date in (1, 2):
        bands = np.stack([read(args.images / f"imgs_{date}_rect" / f"{band}.tif") for band in BANDS])
        if bands.shape[1:] != mask.shape:
            raise SystemExit(f"date {date} has {bands.shape[1:]} pixels, the mask {mask.shape}: are they of one city?")
        write(args.output / f"{city}_{date}_S2L1C_13bands.tif", bands)
    print(f"{city}: {mask.shape[0]} x {mask.shape[1]} pixels, {100 * np.mean(mask == 2):.1f} % changed")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        found: np.ndarray = file.read(1)
    return found


def write(path: Path, bands: np.ndarray) -> None:
    count, rows, columns = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": rows, "width": columns, "dtype": bands.dtype}
    with rasterio.open(path, "w", compress="deflate", **profile) as file:
        file.write(bands)


if __name__ == "__main__":
    main()
