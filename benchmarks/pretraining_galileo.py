"""Pretraining speed against Galileo's own step (arXiv 2502.09356): images a second and memory, same machine, one run.

    git clone https://github.com/nasaharvest/galileo REFERENCE
    pip install einops rioxarray torchvision xarray
    python benchmarks/pretraining_galileo.py --reference REFERENCE

Both train an encoder of Galileo-nano's shape (128 wide, 4 blocks, 8 heads) on the same number of random Sentinel-2
images of 96 pixels in patches of 8, one date: forward, backward and an AdamW step. Galileo's is its training loop's
step on random masks with the ratios of its configuration (a tenth of the tokens encoded, half decoded, targets of a
second encoder that follows the first); of other sensors only elevation, weather and place are left in it. Its tokens
are five groups of bands a patch, ours are one of all bands. Ours is taken twice: with its own form of Galileo's
objective (patch discrimination, half of the patches hidden), and as `tiny` was trained, less its teacher. Every
contender is a process of its own; rounds alternate, and the median counts.
"""

import argparse
import copy
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from contest import measure, serve, table

from pretraining import autocast, finish

PATCHES, PATCH_SIZE = 12, 8
WIDTH, DEPTH, HEADS = 128, 4, 8
OF_EACH_KIND = ("SRTM", "ERA5", "location")
"""Galileo's masks need one group of each kind (in space, in time, constant)."""
RECIPES: dict[str, tuple[dict[str, dict[str, Any]], tuple[float, ...]]] = {
    "skyweave, patch discrimination": ({"patch_discrimination": {}}, (0.5,)),
    "skyweave, contrast and pixels": ({"contrast": {"weight": 0.2}, "pixels": {"weight": 0.2}}, (0.5, 0.75)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="checkout of nasaharvest/galileo")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=2, metavar=("CODE", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        code, precision = arguments.worker
        torch.set_num_threads(arguments.threads)
        torch.manual_seed(0)
        serve(galileo_step(arguments, precision) if code == "galileo" else skyweave_step(arguments, precision, code))
        return
    contenders = [(code, precision) for precision in arguments.precision for code in ("galileo", *RECIPES)]
    rows = measure(contenders, arguments.rounds, arguments.batch)
    print(json.dumps(rows) if arguments.json else table(rows, "galileo"))


def galileo_step(arguments: argparse.Namespace, precision: str) -> Callable[[], None]:
    """A step of Galileo as its `train.py` takes it, with the numbers of its `config/models/nano.json`."""
    import_reference(arguments.reference)
    sys.stdout, answers = sys.stderr, sys.stdout  # its modules print
    galileo, losses, collate, masking, data = (
        importlib.import_module(f"src.{name}") for name in ("galileo", "loss", "collate_fns", "masking", "data.dataset")
    )
    config = importlib.import_module("src.utils").load_check_config("nano.json")
    training = config["training"]
    encoder = galileo.Encoder(**config["model"]["encoder"])
    predictor = galileo.Decoder(**config["model"]["decoder"])
    target_encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
    parameters = [*encoder.parameters(), *predictor.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.999), weight_decay=training["weight_decay"])
    side = PATCHES * PATCH_SIZE
    widths = [len(getattr(data, f"{kind}_BANDS")) for kind in ("SPACE_TIME", "SPACE", "TIME", "STATIC")]
    images = [
        torch.randn(arguments.batch, *shape, width)
        for shape, width in zip([(side, side, 1), (side, side), (1,), ()], widths, strict=True)
    ]
    sys.stdout = answers
    months = torch.zeros(arguments.batch, 1, dtype=torch.long)
    groups = (getattr(data, name) for name in dir(data) if name.endswith("_GROUPS_IDX"))
    others = [name for group in groups for name in group if not name.startswith(("S2_", *OF_EACH_KIND))]

    def step() -> None:
        batch = collate.collated_batch_to_output(
            *images,
            months,
            [PATCH_SIZE],
            [{"size": PATCHES, "timesteps": 1}],
            training["random_encode_ratio"],
            training["random_decode_ratio"],
            masking.MaskingFunctions.RANDOM,
            fixed_patch_size=PATCH_SIZE,
            augmentation_strategies=training["augmentation"],
            masking_probabilities=training["masking_probabilities"],
            max_unmasking_channels=training["max_unmasking_channels"],
            unmasking_channels_combo=training["unmasking_channels_combo"],
            ignore_band_groups=others,
        )
        pixels, masks, size = [values.float() for values in batch[:4]], batch[4:8], int(batch.patch_size)
        with autocast(precision):
            predictions = predictor(*encoder(*pixels, *masks, batch.months.long(), patch_size=size), patch_size=size)
            with torch.no_grad():
                targets = target_encoder(
                    *pixels,
                    *losses.construct_target_encoder_masks(*masks, training["target_masking"]),
                    batch.months.long(),
                    patch_size=size,
                    exit_after=training["target_exit_after"],
                    token_exit_cfg=None,
                )[:4]
            patch_masks = [mask[:, ::size, ::size] for mask in masks[:2]] + list(masks[2:])
            loss = losses.do_loss(
                training.get("loss_dict_random", training.get("loss_dict")), (*targets, *predictions, *patch_masks)
            )
        finish(loss, optimizer)
        with torch.no_grad():
            for mine, followed in zip(target_encoder.parameters(), encoder.parameters(), strict=True):
                mine.mul_(0.996).add_(0.004 * followed)

    return step


def import_reference(reference: Path) -> None:
    """Make Galileo's modules importable; Earth Engine, which only its downloads need, is stood in for."""
    if not (reference / "src" / "galileo.py").is_file():
        raise SystemExit(f"no src/galileo.py in {reference}; give --reference a checkout of nasaharvest/galileo")
    earth_engine = ModuleType("ee")
    earth_engine.__getattr__ = lambda name: MagicMock()  # type: ignore[method-assign]
    sys.modules["ee"] = earth_engine
    sys.path.insert(0, str(reference))


def skyweave_step(arguments: argparse.Namespace, precision: str, code: str) -> Callable[[], None]:
    """A step of Skyweave with one of the recipes."""
    from skyweave.backbone.batch import SensorBatch
    from skyweave.backbone.builder import build_backbone
    from skyweave.backbone.config import BackboneConfig
    from skyweave.core.sensors import catalogue
    from skyweave.pretraining import MaskingConfig, ObjectiveConfig, Pretrainer

    contents, ratios = RECIPES[code]
    sensor = catalogue()["sentinel2-l2a"]
    objectives = {kind: ObjectiveConfig.from_content({"kind": kind, **content}) for kind, content in contents.items()}
    backbone = build_backbone(BackboneConfig(width=WIDTH, depth=DEPTH, heads=HEADS, patch_size=PATCH_SIZE), [sensor], 0)
    model = Pretrainer(backbone, objectives, MaskingConfig(ratios=ratios)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
    pixels = torch.randn(arguments.batch, len(sensor.bands), PATCHES * PATCH_SIZE, PATCHES * PATCH_SIZE)
    valid = torch.ones_like(pixels, dtype=torch.bool)
    batch = SensorBatch(pixels, valid, sensor, torch.from_numpy(np.full(arguments.batch, 10.0, np.float32)))
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        with autocast(precision):
            losses = model([batch], generator, [PATCH_SIZE])
        finish(losses.batches.sum(), optimizer)

    return step


if __name__ == "__main__":
    main()
