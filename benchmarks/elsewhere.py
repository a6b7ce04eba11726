"""Other places than those of the real imagery, laid out so that configs/finetune/ or a YAML beside them reads them.

    git clone https://github.com/microsoft/torchgeo && git -C torchgeo checkout ef8e92edb1d6cb35a6a219d298b52f05e99fdadc
    DATA="torchgeo/tests/data/oscd/Onera Satellite Change Detection dataset -"
    python benchmarks/elsewhere.py change "$DATA Images/test" "$DATA Test Labels/test/cm/dubai-cm.tif" -o elsewhere
    git clone https://github.com/weecology/DeepForest && YELL=DeepForest/src/deepforest/data/2019_YELL_2_541000_4977000
    python benchmarks/elsewhere.py crowns ${YELL}_image_crop.png ${YELL}_image_crop.xml -o elsewhere
    git clone https://github.com/sentinel-hub/eo-learn && EXAMPLES=eo-learn/example_data
    python benchmarks/elsewhere.py landcover $EXAMPLES/REFERENCE_SCENES.npy \
        $EXAMPLES/TestEOPatch/mask_timeless/LULC.npy -o elsewhere
    python benchmarks/finetuning.py --data elsewhere -o runs/elsewhere --tasks oscd_change neon_crown slovenia

``change``: a city of OSCD (Daudt et al. 2018, arXiv 1810.08468): the thirteen bands of each date, on one grid, in one
file. ``crowns``: a picture of NEON at 0.1 m with boxes of trees (DeepForest, Weinstein et al. 2020), cut into plots of
20 m; a crown is an ellipse of 0.6 times its box, as in m-NeonTree. ``landcover``: a square kilometre of Slovenia
(eo-learn), Sentinel-2 L1C of several dates; cloudy ones are left out, and blocks of 200 m are files, so that all dates
of a block fall into one part.
"""

import argparse
import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw

BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
PLOT, BLOCK = 200, 20  # pixels a side: of crowns at 0.1 m, of land cover at 10 m
CROWN = 0.6  # an ellipse's share of its box's sides
CLOUDY = 0.12  # median reflectance in blue, where forest is below 0.08
SLOVENIA = """\
name: slovenia
data:
  task: segmentation
  source: {sensor: sentinel2-l1c, files: slovenia/images/*.tif, bands: sensor, unit: reflectance}
  labels:
    kind: mask
    files: slovenia/masks/{name}.tif
    classes: {2: forest, 3: grassland, 4: shrubland, 8: artificial}
    ignore: [0, 1]
  tile: 20
  split: {kind: groups, pattern: "^(block[0-9]+)_"}
method: {kind: lora}
head: {kind: linear}
training: {batch: 8, steps: 60, head_steps: 200, precision: bf16-mixed}
patch_size: 4
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    for name, make, image, label in (
        ("change", change, "folder with imgs_1_rect and imgs_2_rect, one file a band", "1: none, 2: change"),
        ("crowns", crowns, "picture of 0.1 m", "boxes, PASCAL VOC XML"),
        ("landcover", landcover, "scenes x rows x columns x 13 bands, reflectance, npy", "rows x columns, npy"),
    ):
        kind = kinds.add_parser(name)
        kind.add_argument("images", type=Path, help=image)
        kind.add_argument("labels", type=Path, help=label)
        kind.add_argument("-o", "--output", type=Path, required=True)
        kind.set_defaults(make=make)
    args = parser.parse_args()
    args.make(args.images, args.labels, args.output)


def change(images: Path, labels: Path, output: Path) -> None:
    """Two dates and what changed between them."""
    city, folder = labels.name.partition("-")[0], output / "s2_oscd"
    mask = read(labels)
    write(folder / f"{city}_change_mask_1nochange_2change.tif", mask[None].astype(np.uint8))
    for date in (1, 2):
        bands = np.stack([read(images / f"imgs_{date}_rect" / f"{band}.tif") for band in BANDS])
        if bands.shape[1:] != mask.shape:
            raise SystemExit(f"date {date} has {bands.shape[1:]} pixels, the mask {mask.shape}: are they of one city?")
        write(folder / f"{city}_{date}_S2L1C_13bands.tif", bands)
    print(f"{city}: {mask.shape[0]} x {mask.shape[1]} pixels, {100 * np.mean(mask == 2):.1f} % changed")


def crowns(images: Path, labels: Path, output: Path) -> None:
    """Plots of 20 m and the crowns in them."""
    picture = Image.open(images).convert("RGB")
    mask = Image.new("L", picture.size)
    boxes = ElementTree.parse(labels).getroot().findall(".//bndbox")
    for box in boxes:
        left, top, right, bottom = (int(box.findtext(side, "")) for side in ("xmin", "ymin", "xmax", "ymax"))
        x, y = (left + right) / 2, (top + bottom) / 2
        wide, high = CROWN * (right - left) / 2, CROWN * (bottom - top) / 2
        ImageDraw.Draw(mask).ellipse((x - wide, y - high, x + wide, y + high), fill=1)
    folder, pixels, crown = output / "neon_trees", np.asarray(picture), np.asarray(mask)
    (folder / "masks_from_boxes").mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for row in range(0, pixels.shape[0] - PLOT + 1, PLOT):
        for column in range(0, pixels.shape[1] - PLOT + 1, PLOT):
            part = slice(row, row + PLOT), slice(column, column + PLOT)
            names.append(f"YELL_{len(names):03d}")
            write(folder / "images" / f"{names[-1]}.tif", np.moveaxis(pixels[part], 2, 0))
            Image.fromarray(crown[part]).save(folder / "masks_from_boxes" / f"{names[-1]}.png")
    with (folder / "plots.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "maybe_incomplete"), *((name, 0) for name in names)])
    print(f"{len(names)} plots of {PLOT} pixels a side, {len(boxes)} boxes, {100 * crown.mean():.1f} % crown")


def landcover(images: Path, labels: Path, output: Path) -> None:
    """Blocks of 200 m, every clear date of each."""
    scenes, mask = np.load(images), np.load(labels).squeeze().astype(np.uint8)
    clear = [date for date, scene in enumerate(scenes) if np.median(scene[..., BANDS.index("B02")]) < CLOUDY]
    blocks = [(row, column) for row in range(mask.shape[0] // BLOCK) for column in range(mask.shape[1] // BLOCK)]
    for number, (row, column) in enumerate(blocks):
        part = slice(row * BLOCK, (row + 1) * BLOCK), slice(column * BLOCK, (column + 1) * BLOCK)
        for date in clear:
            name = f"block{number:02d}_{date}.tif"
            write(output / "slovenia/images" / name, np.moveaxis(scenes[date][part], 2, 0))
            write(output / "slovenia/masks" / name, mask[part][None])
    (output / "slovenia.yaml").write_text(SLOVENIA)
    print(f"{len(blocks)} blocks of {BLOCK} pixels a side, dates {clear} of {len(scenes)}")


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        found: np.ndarray = file.read(1)
    return found


def write(path: Path, bands: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, rows, columns = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": rows, "width": columns, "dtype": bands.dtype}
    with rasterio.open(path, "w", compress="deflate", **profile) as file:
        file.write(bands)


if __name__ == "__main__":
    main()
