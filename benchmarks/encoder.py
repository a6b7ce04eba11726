"""Encoder speed against torchgeo's DOFA: images a second and memory of the forward pass, same machine, one run.

    python benchmarks/encoder.py

Both are ViT-B/16 with a wavelength-conditioned patch embedding, on the same random 9-band images of 224 pixels, in
evaluation mode. Skyweave's implementation of DOFA is a third row. Without torchgeo, Skyweave is measured alone.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import torch
from contest import measure, serve, table

WAVELENGTHS = [0.665, 0.56, 0.49, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19]


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        worker(arguments)
        return
    codes = ["torchgeo DOFA"] * (importlib.util.find_spec("torchgeo") is not None) + ["skyweave base", "skyweave DOFA"]
    contenders = [(code, precision) for precision in arguments.precision for code in codes]
    rows = measure(contenders, arguments.rounds, arguments.batch * arguments.steps)
    report = {"batch": arguments.batch, "threads": arguments.threads, "rounds": arguments.rounds}
    report |= {"torch": torch.__version__}
    if arguments.json:
        print(json.dumps({**report, "results": rows}))
        return
    print(", ".join(f"{key} {value}" for key, value in report.items()), end="\n\n")
    print(table(rows, "torchgeo DOFA"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1, help="batches in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=2, metavar=("CODE", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args()


def worker(arguments: argparse.Namespace) -> None:
    """A contender: a round is a few batches."""
    code, precision = arguments.worker
    torch.manual_seed(0)
    images = torch.randn(arguments.batch, len(WAVELENGTHS), 224, 224)
    forward = {"torchgeo DOFA": torchgeo_dofa, "skyweave base": skyweave_base, "skyweave DOFA": skyweave_dofa}[code]
    encode = forward(images)

    def play() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            for _ in range(arguments.steps):
                encode()

    serve(play)


def torchgeo_dofa(images: torch.Tensor) -> Callable[[], Any]:
    from torchgeo.models import dofa_base_patch16_224

    model = dofa_base_patch16_224().eval()
    return lambda: model.forward_features(images, WAVELENGTHS)


def skyweave_dofa(images: torch.Tensor) -> Callable[[], Any]:
    from skyweave.backbone.pretrained.dofa import DOFA, VARIANTS

    model = DOFA(VARIANTS["dofa-v1-base"]).eval()
    return lambda: model.forward_features(images, WAVELENGTHS)


def skyweave_base(images: torch.Tensor) -> Callable[[], Any]:
    from skyweave.backbone.batch import SensorBatch
    from skyweave.backbone.builder import build_backbone
    from skyweave.core.sensors import Band, Sensor

    bands = tuple(Band(f"band{i}", wavelength=1000 * value) for i, value in enumerate(WAVELENGTHS))
    sensor = Sensor("nine", "nine bands", bands, ground_sample_distance=10)
    model = build_backbone("base", seed=0).eval()
    valid = torch.ones_like(images, dtype=torch.bool)
    batch = SensorBatch(images, valid, sensor, torch.full((len(images),), 10.0))
    return lambda: model(batch).pooled


if __name__ == "__main__":
    main()
