"""An exported model in ONNX Runtime against the same weights in torch: images a second on the same threads.

    python benchmarks/onnx_runtime.py --sizes 64 128 256

The model is `tiny` (or --weights) for one sensor, in float32; every contender is a process of its own and rounds
alternate. `torch eager` is `Backbone` as a user calls it, `ONNX Runtime` is what `skyweave export` wrote. The largest
difference between the two is printed too.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contest import measure, serve, table

from skyweave.backbone import Backbone, load_backbone
from skyweave.backbone.batch import SensorBatch
from skyweave.core.sensors import get_sensor
from skyweave.core.sensors.sensor import Sensor


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        worker(arguments)
        return
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        arguments.file = arguments.file or str(Path(folder) / "model.onnx")
        if not Path(arguments.file).exists():
            written(arguments)
        for size in arguments.sizes:
            sys.argv += ["--size", str(size), "--file", arguments.file]
            rows = measure([("torch eager", "fp32"), ("ONNX Runtime", "fp32")], arguments.rounds, arguments.batch)
            reports.append({"size": size, "difference": difference(arguments, size), "results": rows})
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "batch": arguments.batch, "sizes": reports}))
        return
    print(f"threads {arguments.threads}, batch {arguments.batch}, {arguments.sensor}, torch {torch.__version__}")
    for report in reports:
        print(f"\n{report['size']} x {report['size']} pixels, largest difference {report['difference']:.1e}\n")
        print(table(report["results"], "torch eager"))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--sensor", default="sentinel2-l2a")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--opset", type=int, default=23)
    parser.add_argument("--file", help="an exported model; default: export one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, metavar=("CODE", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args()


def written(arguments: argparse.Namespace) -> None:
    from skyweave.interop.export import export_model

    export_model(load_backbone(arguments.weights), arguments.file, get_sensor(arguments.sensor), opset=arguments.opset)


def worker(arguments: argparse.Namespace) -> None:
    """A contender: a round is one batch."""
    runner = {"torch eager": eager, "ONNX Runtime": onnx_runtime}[arguments.worker[0]](arguments)
    images = pixels(arguments, arguments.size)

    def play() -> None:
        runner(images)

    serve(play)


def pixels(arguments: argparse.Namespace, size: int) -> np.ndarray:
    sensor = get_sensor(arguments.sensor)
    noise = np.random.default_rng(0).standard_normal((arguments.batch, len(sensor), size, size)).astype(np.float32)
    return np.asarray(noise * sensor.stds[:, None, None] + sensor.means[:, None, None])


def eager(arguments: argparse.Namespace) -> Callable[[np.ndarray], Any]:
    backbone: Backbone = load_backbone(arguments.weights)
    sensor: Sensor = get_sensor(arguments.sensor)

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(images)
        gsd = torch.full((len(images),), sensor.ground_sample_distance)
        return np.asarray(
            backbone(SensorBatch(values, torch.ones_like(values, dtype=torch.bool), sensor, gsd)).dense().numpy()
        )

    return run


def onnx_runtime(arguments: argparse.Namespace) -> Callable[[np.ndarray], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.file, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["features"], {"pixels": images})[0]


def difference(arguments: argparse.Namespace, size: int) -> float:
    images = pixels(arguments, size)
    return float(np.abs(eager(arguments)(images) - onnx_runtime(arguments)(images)).max())


if __name__ == "__main__":
    main()
