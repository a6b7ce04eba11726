"""Pretraining speed against the reference MAE code: images a second and memory, same machine, one run.

    git clone https://github.com/facebookresearch/mae REFERENCE
    python benchmarks/pretraining.py --reference REFERENCE

Both train the same Vision Transformer encoder (width, 12 blocks, patch 16) on the same random three-band images of
224 pixels with 75 % masking: forward, backward and an AdamW step. The decoders are each project's own: decoding cheaply
is part of the method. Every contender is a process of its own (for its peak memory); rounds alternate between them, and
the median round counts. Needs timm for the reference.

The reference was written for timm 0.3.2 and NumPy 1; ``reference_model`` lets it import beside today's without touching
its files. Today's timm brings fused attention, which makes the reference faster than as published; pass
``--reference-attention explicit`` for attention as timm 0.3.2 had it.
"""

import argparse
import contextlib
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import measure, serve, table
from torch import Tensor, nn

WIDTHS = {"tiny": 192, "small": 384, "base": 768, "large": 1024}
DEPTHS = {"tiny": 12, "small": 12, "base": 12, "large": 24}


def main() -> None:
    arguments = parse()
    if arguments.worker:
        worker(arguments)
        return
    contenders = [(name, precision) for precision in arguments.precision for name in ("reference", "skyweave")]
    if not arguments.reference:
        contenders = [contender for contender in contenders if contender[0] == "skyweave"]
    rows = measure(contenders, arguments.rounds, arguments.batch * arguments.steps)
    profile = profiled(arguments) if arguments.profile else None
    report = {
        "size": arguments.size,
        "batch": arguments.batch,
        "threads": arguments.threads,
        "rounds": arguments.rounds,
    }
    report |= {"torch": torch.__version__, "reference_attention": arguments.reference_attention}
    if arguments.json:
        print(json.dumps({**report, "results": rows, "profile": profile}))
        return
    print(", ".join(f"{key} {value}" for key, value in report.items()), end="\n\n")
    print(table(rows, "reference"))
    for precision, stages in (profile or {}).items():
        total = sum(stages.values())
        print(f"\nWhere a step goes, {precision}:\n\n| stage | ms | share |\n| --- | --- | --- |")
        for stage, seconds in stages.items():
            print(f"| {stage} | {1000 * seconds:.1f} | {seconds / total:.1%} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference", type=Path, help="checkout of facebookresearch/mae; without it, Skyweave is measured alone"
    )
    parser.add_argument("--reference-attention", choices=["fused", "explicit"], default="fused")
    parser.add_argument("--size", choices=WIDTHS, default="tiny", help="width of the encoder")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2, help="training steps in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="also show where the time of our step goes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=2, metavar=("CODE", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args()


def worker(arguments: argparse.Namespace) -> None:
    """A contender: a round is a few training steps."""
    code, precision = arguments.worker
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    step = (reference_step if code == "reference" else skyweave_step)(arguments, precision)

    def play() -> None:
        for _ in range(arguments.steps):
            step()

    serve(play)


def autocast(precision: str) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def reference_step(arguments: argparse.Namespace, precision: str) -> Callable[[], None]:
    """A step of the reference, as its engine takes it (loss read every step, AdamW with betas 0.9, 0.95)."""
    model = reference_model(arguments)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    images = torch.randn(arguments.batch, 3, 224, 224)

    def step() -> None:
        with autocast(precision):
            loss, _, _ = model(images, mask_ratio=0.75)
        finish(loss, optimizer)

    return step


def reference_model(arguments: argparse.Namespace, image_size: int = 224, patch_size: int = 16) -> Any:
    """The reference's model with our width, its decoder as published (512 wide, 8 blocks).

    Two things it needs are gone: ``numpy.float``, and the ``qk_scale`` argument of timm's block (it passes None).
    """
    if not (arguments.reference / "models_mae.py").is_file():
        raise SystemExit(
            f"no models_mae.py in {arguments.reference}; give --reference a checkout of facebookresearch/mae"
        )
    try:
        transformer = importlib.import_module("timm.models.vision_transformer")
        layers = importlib.import_module("timm.layers")
    except ImportError as error:
        raise SystemExit(f"the reference needs timm ({error}); pip install timm") from error

    class Block(transformer.Block):  # type: ignore[name-defined]
        def __init__(self, *positional: Any, qk_scale: None = None, **named: Any) -> None:
            super().__init__(*positional, **named)

    np.float = float  # type: ignore[attr-defined]
    vars(transformer)["Block"] = Block
    layers.set_fused_attn(arguments.reference_attention == "fused")
    sys.path.insert(0, str(arguments.reference))
    reference = importlib.import_module("models_mae")
    width = WIDTHS[arguments.size]
    model = reference.MaskedAutoencoderViT(
        img_size=image_size,
        patch_size=patch_size,
        embed_dim=width,
        depth=DEPTHS[arguments.size],
        num_heads=width // 64,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    return model.train()


def skyweave_step(arguments: argparse.Namespace, precision: str) -> Callable[[], None]:
    """Return a training step of Skyweave."""
    model, batch, optimizer = skyweave_parts(arguments)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        with autocast(precision):
            losses = model([batch], generator)
        finish(losses.batches.sum(), optimizer)

    return step


def skyweave_parts(arguments: argparse.Namespace) -> tuple[Any, Any, torch.optim.Optimizer]:
    from skyweave.backbone.batch import SensorBatch
    from skyweave.backbone.builder import build_backbone
    from skyweave.backbone.config import BackboneConfig
    from skyweave.core.sensors import Band, Sensor
    from skyweave.pretraining import MaskingConfig, ObjectiveConfig, Pretrainer

    width = WIDTHS[arguments.size]
    bands = tuple(Band(name, wavelength=value) for name, value in (("red", 665), ("green", 560), ("blue", 490)))
    sensor = Sensor("rgb", "three bands", bands, ground_sample_distance=10)
    config = BackboneConfig(width=width, depth=DEPTHS[arguments.size], heads=width // 64, patch_size=16)
    masking = MaskingConfig(ratios=(0.75,), band_dropout=0.0)
    objectives = {"pixels": ObjectiveConfig.from_content({"kind": "pixels", "texture": 0.0})}
    model = Pretrainer(build_backbone(config, [sensor], seed=0), objectives, masking)
    pixels = torch.randn(arguments.batch, 3, 224, 224)
    valid = torch.ones_like(pixels, dtype=torch.bool)
    batch = SensorBatch(pixels, valid, sensor, torch.full((arguments.batch,), 10.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    return model.train(), batch, optimizer


def finish(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    if not np.isfinite(loss.item()):
        raise SystemExit(f"loss is {loss.item()}")
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def profiled(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds of each stage of our step, by precision. Attention and feed-forward parts are forward passes."""
    torch.set_num_threads(arguments.threads)
    model, batch, optimizer = skyweave_parts(arguments)
    from skyweave.backbone.batch import stack_observations
    from skyweave.core.observation import Observation
    from skyweave.pretraining.decoder import decode_queries
    from skyweave.pretraining.masking import EncodedView, draw_views, sample_hidden
    from skyweave.pretraining.pretrainer import encode_views

    observations = [Observation.from_pixels(image.numpy(), batch.sensor) for image in batch.pixels]
    generator = torch.Generator().manual_seed(0)
    result = {}
    for precision in arguments.precision:
        steps: list[dict[str, float]] = []
        for _ in range(arguments.rounds + 1):
            seconds: dict[str, float] = {}
            with timed(seconds, "loading: stack images"):
                images = stack_observations(observations)
            with autocast(precision):
                with timed(seconds, "patchify and mask"):
                    (view,) = draw_views(model.backbone, images, 16, model.masking, generator)
                with timed(seconds, "encoder, the rest"), inner_times(model.backbone.encoder, seconds):
                    encoded = encode_views(model.backbone, [view])
                seconds["encoder, the rest"] -= seconds["encoder attention"] + seconds["encoder feed-forward"]
                memory = [tokens.detach().requires_grad_() for tokens in encoded]
                pixels, query = model.objectives["pixels"], sample_hidden(view, 0.5)
                with timed(seconds, "decoder"):
                    (decoded,) = decode_queries(
                        pixels.decoder, model.backbone.positions, [EncodedView(view, memory[0])], [query]
                    )
                with timed(seconds, "prediction and loss"):
                    loss = pixels.reconstruction_loss(view.patches, query, decoded)
            with timed(seconds, "backward: loss and decoder"):
                loss.backward()
            with timed(seconds, "backward: encoder"):
                torch.autograd.backward(encoded, [tokens.grad for tokens in memory])
            with timed(seconds, "optimizer"):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            steps.append(seconds)
        result[precision] = {stage: statistics.median(step[stage] for step in steps[1:]) for stage in steps[0]}
    return result


@contextlib.contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


@contextlib.contextmanager
def inner_times(encoder: nn.Module, seconds: dict[str, float]) -> Iterator[None]:
    """Add up the time of attention and feed-forward parts inside, each with the norm left out."""
    handles, starts = [], {}
    for block in encoder.get_submodule("blocks").children():
        for name, part in block.named_children():
            stage = {"attn": "encoder attention", "mlp": "encoder feed-forward"}.get(name)
            if stage:
                seconds.setdefault(stage, 0.0)

                def begin(module: nn.Module, _inputs: Any) -> None:
                    starts[module] = time.perf_counter()

                def end(module: nn.Module, _inputs: Any, _output: Any, stage: str = stage) -> None:
                    seconds[stage] += time.perf_counter() - starts[module]

                handles += [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


if __name__ == "__main__":
    main()
