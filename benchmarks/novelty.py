"""How unlike its training a perception model finds images: the novelty of files in folders.

    python benchmarks/novelty.py crossing recordings/robust/samples recordings/robust_night/samples PHOTOGRAPHS

Of every folder, subfolders included, evenly chosen files are reduced to 320 x 192 pixels, as the model's are,
and read as colour images. Above 1 is what one in a hundred images of the training exceeds.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skyweave.backbone.batch import stack_observations
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.perception import PerceptionModel, load_perception

SIZE = (320, 192)  # columns, rows
SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=40, help="of each folder at most")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_perception(args.model)
    print("| images | number | novelty, median | 10 % | above 1 (%) |\n| --- | --- | --- | --- | --- |")
    for folder in args.folders:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
        values = novelty(model, files[:: -(-len(files) // args.images)])
        low, middle = np.quantile(values, (0.1, 0.5))
        print(f"| {folder} | {len(values)} | {middle:.2f} | {low:.2f} | {100 * (values > 1).mean():.0f} |", flush=True)


@torch.inference_mode()
def novelty(model: PerceptionModel, files: list[Path]) -> np.ndarray:
    """(files,) the novelty of each."""
    if model.domain is None:
        raise SystemExit("these weights do not say what they were trained on")
    values = []
    for file in files:
        with torch.autocast("cpu", torch.bfloat16):
            values.append(float(model.domain.novelty(model.features(stack_observations([read(file)])).pooled)[0]))
    return np.array(values)


def read(file: Path) -> Observation:
    """An image, reduced and cut to the size of the model's own."""
    image = Image.open(file).convert("RGB")
    scale = max(SIZE[0] / image.width, SIZE[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    pixels = np.asarray(image.crop((0, 0, *SIZE)), np.float32).transpose(2, 0, 1)
    return Observation.from_pixels(np.ascontiguousarray(pixels), get_sensor("rgb"), 0.1)


if __name__ == "__main__":
    main()
