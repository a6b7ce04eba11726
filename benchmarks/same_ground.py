"""Do features of the same ground agree: at another resolution, from another sensor, in part hidden, at a tile's edge?

    python benchmarks/same_ground.py tiny untrained --data DATA [--places MORE] --json OUT

Cosines are between features as they come (no centring); medians over images. Rows:

- the mean feature of an image at 10 m and of its 2, 3 and 6 times coarsened copy (means of pixels), and of the same
  pixels declared with twice the ground sample distance;
- level 1C and 2A of one place, windows of 64 pixels;
- the patches of an image and the same patches of which half of the pixels are missing, on one side;
- neighbouring patches across a tile's border (each from its own tile) over neighbours inside a tile: 0 is a border that
  cannot be seen, above it is one that can;
- Sentinel-1 to Sentinel-2: the share of windows (64 pixels, every 16) whose own place is among the first ten of all
  windows by cosine, and the number of windows;
- random pairs: two images of other places.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skyweave.backbone import Backbone, build_backbone, load_backbone
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.core.observation import Observation
from skyweave.data.dataset import ImageDataset, load_dataset
from skyweave.pretraining.masking import coarsen
from skyweave.pretraining.whitening import fit_whitening

DATA = Path(__file__).resolve().parents[1] / "configs" / "data" / "shared_samples.yaml"
SINGLE = ("eurosat-ms", "s2-l2a-patches")
WINDOW, STRIDE, PATCH, TILE = 64, 16, 8, 96
RADAR, OPTICAL, TOP = "terramesh-s1", "terramesh-s2-l2a", "terramesh-s2-l1c"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", help="shipped names, files, or 'untrained'")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dataset", type=Path, default=DATA, help="dataset YAML (%(default)s)")
    parser.add_argument("--images", type=int, default=60, help="of each source of single images")
    parser.add_argument("--whiten-on-others", action="store_true", help="fit the whitening to the other sources first")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(args.dataset, args.data)
    results = {}
    for name in args.weights:
        backbone = build_backbone("tiny", seed=0) if name == "untrained" else load_backbone(name)
        if args.whiten_on_others:
            fit_whitening(backbone, others(args.dataset, args.data))
        results[name] = measure(backbone.eval(), dataset, args.images)
        for row, value in results[name].items():
            print(f"{name:24} {row:48} {value:.3f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def others(path: Path, data: Path) -> ImageDataset:
    """The dataset without the sources that are measured."""
    dataset = load_dataset(path, data)
    measured = (*SINGLE, RADAR, OPTICAL, TOP)
    dataset.sources = [source for source in dataset.sources if source.name not in measured]
    return dataset


@torch.inference_mode()
def measure(backbone: Backbone, dataset: ImageDataset, images: int) -> dict[str, float]:
    """Every row of one backbone."""
    single = [batch_of(dataset, name, images) for name in SINGLE]
    rows: dict[str, float] = {}
    for factor in (2, 3, 6):
        pairs = []
        for batch in single:
            side = (
                batch.pixels.shape[-1] // (factor * PATCH) * factor * PATCH or batch.pixels.shape[-1] // factor * factor
            )
            cut = replace(batch, pixels=batch.pixels[..., :side, :side], valid=batch.valid[..., :side, :side])
            pairs.append(cosine(pooled(backbone, cut), pooled(backbone, coarsen(cut, factor))))
        rows[f"10 m to {10 * factor} m"] = median(pairs)
    declared = [replace(b, ground_sample_distance=2 * b.ground_sample_distance) for b in single]
    rows["the same pixels, declared 20 m"] = median(
        [cosine(pooled(backbone, one), pooled(backbone, other)) for one, other in zip(single, declared, strict=True)]
    )
    windows = {name: windows_of(dataset, name) for name in (RADAR, OPTICAL, TOP)}
    vectors = {name: torch.cat([pooled(backbone, part) for part in parts]) for name, parts in windows.items()}
    rows["L1C to L2A"] = median([cosine(vectors[TOP], vectors[OPTICAL])])
    rows["S1 to S2"] = median([cosine(vectors[RADAR], vectors[OPTICAL])])
    rows["S1 to S2: own place in the first ten (share)"] = retrieval(vectors[RADAR], vectors[OPTICAL])
    rows["S1 to S2: windows"] = float(len(vectors[RADAR]))
    rows["patches, half missing"] = median([half_missing(backbone, batch) for batch in single])
    rows["tile border over inside (1 - cosine, difference)"] = border(backbone, dataset)
    units = [functional.normalize(pooled(backbone, batch), dim=-1) for batch in single]
    rows["random pairs"] = median([(one @ one.T)[~torch.eye(len(one), dtype=torch.bool)] for one in units])
    return rows


def pooled(backbone: Backbone, batch: SensorBatch) -> Tensor:
    """(batch, width) mean features."""
    size = min(PATCH, batch.pixels.shape[-1])
    features: Tensor = backbone(batch, size).pooled
    return features


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return functional.cosine_similarity(one, other, dim=-1)


def median(parts: Sequence[Tensor]) -> float:
    return float(torch.cat([part.flatten() for part in parts]).median())


def batch_of(dataset: ImageDataset, name: str, images: int) -> SensorBatch:
    """Evenly chosen images of a source."""
    (source,) = [source for source in dataset.sources if source.name == name]
    chosen = source.indices[:: max(1, len(source) // images)][:images]
    return stack_observations([dataset.observation(int(index)) for index in chosen])


def windows_of(dataset: ImageDataset, name: str) -> list[SensorBatch]:
    """Overlapping windows of every image of a source, in the same order for all sources of a place."""
    (source,) = [source for source in dataset.sources if source.name == name]
    return [windows(dataset.observation(int(index))) for index in source.indices]


def windows(image: Observation) -> SensorBatch:
    rows, columns = (range(0, extent - WINDOW + 1, STRIDE) for extent in image.shape)
    return stack_observations([image.window(r, c, WINDOW, WINDOW) for r, c in itertools.product(rows, columns)])


def retrieval(queries: Tensor, candidates: Tensor, first: int = 10) -> float:
    """Share of queries whose own candidate is among the first ones by cosine."""
    scores = functional.normalize(queries, dim=-1) @ functional.normalize(candidates, dim=-1).T
    rank = (scores > scores.diagonal().unsqueeze(1)).sum(1)
    return float((rank < first).float().mean())


def half_missing(backbone: Backbone, batch: SensorBatch) -> Tensor:
    """Cosines between patches and the same ones without their right half; only every other column of patches is cut."""
    valid = batch.valid.clone()
    column = torch.arange(valid.shape[-1])
    cut = (column // PATCH % 2 == 1) & (column % PATCH >= PATCH // 2)
    valid[..., cut] = False
    whole, part = backbone(batch, PATCH), backbone(replace(batch, valid=valid), PATCH)
    halves = torch.arange(whole.tokens.shape[1]) % whole.grid[1] % 2 == 1
    return cosine(whole.tokens[:, halves], part.tokens[:, halves])


def border(backbone: Backbone, dataset: ImageDataset) -> float:
    """Median distance of neighbours across the border of two tiles, less that of the same neighbours inside one."""
    differences = []
    for name in (OPTICAL, TOP, "naip"):
        (source,) = [source for source in dataset.sources if source.name == name]
        for index in source.indices:
            image = dataset.observation(int(index))
            left, right, middle = (image.window(0, column, TILE, TILE) for column in (0, TILE, TILE // 2))
            maps = [backbone(stack_observations([part]), PATCH).dense()[0] for part in (left, right, middle)]
            across = 1 - functional.cosine_similarity(maps[0][:, :, -1], maps[1][:, :, 0], dim=0)
            half = TILE // 2 // PATCH
            inside = 1 - functional.cosine_similarity(maps[2][:, :, half - 1], maps[2][:, :, half], dim=0)
            differences.append((across - inside).numpy())
    return float(np.median(np.concatenate(differences)))


if __name__ == "__main__":
    main()
