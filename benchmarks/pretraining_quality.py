"""Does our faster pretraining cost quality? Against the reference MAE code at equal images, steps and masking.

Both train the same encoder (ViT, width 192, 12 blocks, patch 8) from scratch on the same 64-pixel views of aerial RGB,
each with its own decoder and loss, and are frozen and probed on the site of a chip (configs/probe/neon_site.yaml):
mean and standard deviation over patches of the last output, linear and nearest neighbours.

    git clone https://github.com/facebookresearch/mae REFERENCE
    python benchmarks/pretraining_quality.py --reference REFERENCE --data ../shared/data

Needs timm for the reference, and scikit-learn.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import pretraining
from skyweave.backbone.batch import SensorBatch, stack_observations
from skyweave.data.augment import RandomResizedCrop
from skyweave.downstream.probing import PreparedProbe, prepare_probe
from skyweave.downstream.probing.prepared import score_features

ROOT = Path(__file__).resolve().parents[1]
SIDE, PATCH = 64, 8
Features = Callable[[Tensor], Tensor]
"""(batch, 3, SIDE, SIDE) normalised pixels to (batch, patches, width)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--contrast", type=float, default=0.2, help="weight of the contrast of two views; 0 for pixels alone"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    prepared = prepare_probe(ROOT / "configs" / "probe" / "neon_site.yaml", args.data, seeds=1)
    table: dict[tuple[str, str], list[float]] = {}
    for seed in range(args.seeds):
        for name in ("untrained", "skyweave", "reference"):
            started = time.perf_counter()
            train = _reference if name == "reference" else _skyweave
            features = train(args, prepared, seed, 0 if name == "untrained" else args.steps)
            seconds = time.perf_counter() - started
            for classifier, value in _probe(prepared, features).items():
                table.setdefault((name, classifier), []).append(value)
                print(f"seed {seed}: {name}, {classifier}: {value:.3f}; {seconds:.0f} s of training", flush=True)
    print("\n| pretraining | linear | nearest neighbours |\n| --- | --- | --- |")
    for name in ("untrained", "reference", "skyweave"):
        cells = [f"{np.mean(values):.3f} ± {np.ptp(values) / 2:.3f}" for values in (table[name, k] for k in _KINDS)]
        print(f"| {name} | {' | '.join(cells)} |")


_KINDS = ("linear", "knn")


def _views(prepared: PreparedProbe, seed: int, step: int, batch: int) -> SensorBatch:
    """The images of a step: the same for both contenders."""
    generator = np.random.default_rng([seed, step])
    view = RandomResizedCrop(SIDE, scale=(0.75, 1.25))
    images = prepared.samples.images
    return stack_observations([view(images[int(generator.integers(len(images)))], generator) for _ in range(batch)])


def _skyweave(args: argparse.Namespace, prepared: PreparedProbe, seed: int, steps: int) -> Features:
    from skyweave.backbone.builder import build_backbone
    from skyweave.backbone.config import BackboneConfig
    from skyweave.pretraining import MaskingConfig, ObjectiveConfig, Pretrainer

    sensor = prepared.samples.images[0].sensor
    config = BackboneConfig(width=192, depth=12, heads=3, patch_size=PATCH)
    masking = MaskingConfig((0.75,) * (2 if args.contrast else 1), band_dropout=0.0, coarsening=(1,), missing=0.0)
    contents: list[dict[str, Any]] = [{"kind": "pixels"}]
    contents += [{"kind": "contrast", "weight": args.contrast}] if args.contrast else []
    objectives = {content["kind"]: ObjectiveConfig.from_content(content) for content in contents}
    model = Pretrainer(build_backbone(config, [sensor], seed=seed), objectives, masking)
    generator = torch.Generator().manual_seed(seed)
    _train(args, prepared, seed, steps, model, lambda batch: model([batch], generator).batches[0])
    spread = (torch.tensor(sensor.stds), torch.tensor(sensor.means))

    def features(pixels: Tensor) -> Tensor:
        raw = pixels * spread[0][:, None, None].to(pixels) + spread[1][:, None, None].to(pixels)
        metres = torch.full((len(raw),), 0.1 * 80 / SIDE)
        tokens: Tensor = model.backbone(SensorBatch(raw, torch.ones_like(raw, dtype=torch.bool), sensor, metres)).tokens
        return tokens

    return features


def _reference(args: argparse.Namespace, prepared: PreparedProbe, seed: int, steps: int) -> Features:
    torch.manual_seed(seed)
    arguments = argparse.Namespace(reference=args.reference, reference_attention="fused", size="tiny")
    model = pretraining.reference_model(arguments, image_size=SIDE, patch_size=PATCH)
    model.norm_pix_loss = True
    sensor = prepared.samples.images[0].sensor

    def loss(batch: SensorBatch) -> Tensor:
        value: Tensor = model(_normalised(batch.pixels, sensor), mask_ratio=0.75)[0]
        return value

    _train(args, prepared, seed, steps, model, loss)

    def features(pixels: Tensor) -> Tensor:
        tokens: Tensor = model.patch_embed(pixels) + model.pos_embed[:, 1:]
        tokens = torch.cat([(model.cls_token + model.pos_embed[:, :1]).expand(len(tokens), -1, -1), tokens], dim=1)
        for block in model.blocks:
            tokens = block(tokens)
        features: torch.Tensor = model.norm(tokens)[:, 1:]
        return features

    return features


def _train(
    args: argparse.Namespace,
    prepared: PreparedProbe,
    seed: int,
    steps: int,
    model: torch.nn.Module,
    loss: Callable[[SensorBatch], Tensor],
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)
    warmup = max(steps // 10, 1)
    for step in range(steps):
        rate = min(1, (step + 1) / warmup) * 0.5 * (1 + np.cos(np.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * rate
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(_views(prepared, seed, step, args.batch))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 49:
            print(f"step {step + 1}: loss {value.item():.3f}", flush=True)
    model.eval()


@torch.no_grad()
def _probe(prepared: PreparedProbe, features: Features) -> dict[str, float]:
    images = prepared.samples.images
    rows = []
    for start in range(0, len(images), 64):
        part = images[start : start + 64]
        pixels = _normalised(torch.from_numpy(np.stack([image.pixels for image in part])), part[0].sensor)
        tokens = features(functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=True)).float()
        rows.append(torch.cat([tokens.mean(1), tokens.std(1)], dim=1))
    every = torch.cat(rows).numpy()[prepared.samples.image]
    one = replace(prepared, folds=prepared.folds[:1])
    metric = prepared.config.metric
    return {kind: score_features(one, "features", [[every]], kind, False).scores[metric].mean for kind in _KINDS}


def _normalised(pixels: Tensor, sensor: object) -> Tensor:
    means, stds = (torch.tensor(getattr(sensor, name), dtype=torch.float32) for name in ("means", "stds"))
    return (pixels - means[:, None, None]) / stds[:, None, None]


if __name__ == "__main__":
    main()
