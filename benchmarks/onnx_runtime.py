"""An exported model in ONNX Runtime and OpenVINO against the same weights in torch, in one run, on the same threads.

    python benchmarks/onnx_runtime.py --sizes 64 128 256
    python benchmarks/onnx_runtime.py --sizes 128 --batch 16 --threads 1 --int8 --labels eurosat_ms

The model is `tiny` (or --weights) for one sensor; every contender is a process of its own and rounds alternate. `torch
eager` is `Backbone` as a user calls it, the others run what `skyweave export` wrote. OpenVINO takes part where it is
installed. --labels holds folders of images, one a class (EuroSAT's 13 bands): a linear probe of the embeddings in
float32 and in int8, on the same folds.
"""

import argparse
import importlib.util
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

CONTENDERS = [("torch eager", "fp32"), ("torch eager", "bf16"), ("ONNX Runtime", "fp32"), ("ONNX Runtime", "int8")]
OPENVINO = [("OpenVINO", "fp32"), ("OpenVINO", "bf16")]
FOLDS = 5


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.worker:
        worker(arguments)
        return
    reports: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        arguments.file = arguments.file or str(Path(folder) / "model.onnx")
        write_models(arguments)
        contenders = [one for one in CONTENDERS if arguments.int8 or one[1] != "int8"]
        contenders += OPENVINO * (importlib.util.find_spec("openvino") is not None)
        for size in arguments.sizes:
            sys.argv += ["--size", str(size), "--file", arguments.file]
            rows = measure(contenders, arguments.rounds, arguments.batch)
            for row, (code, precision) in zip(rows, contenders, strict=True):
                row["difference"] = difference(arguments, size, RUNNERS[code], precision)
            reports.append({"size": size, "results": rows})
        probe = probe_loss(arguments) if arguments.labels else None
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "batch": arguments.batch, "sizes": reports, "probe": probe}))
        return
    print(f"threads {arguments.threads}, batch {arguments.batch}, {arguments.sensor}, torch {torch.__version__}")
    for report in reports:
        print(f"\n{report['size']} x {report['size']} pixels\n")
        print(table(report["results"], "torch eager"))
        for row in report["results"]:
            print(f"{row['code']} {row['precision']}: difference {row['difference']:.1e} of the features' spread")
    print(json.dumps(probe) if probe else "")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="tiny")
    parser.add_argument("--sensor", default="sentinel2-l2a")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--opset", type=int, default=23)
    parser.add_argument("--file", help="an exported model, with int8 of it beside it; default: export them")
    parser.add_argument("--int8", action="store_true", help="also the model in int8")
    parser.add_argument("--labels", type=Path, help="folder of a folder of images for each class")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, metavar=("CODE", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args()


def model_file(arguments: argparse.Namespace, precision: str) -> Path:
    path = Path(arguments.file)
    return path.with_suffix(".int8.onnx") if precision == "int8" else path


def write_models(arguments: argparse.Namespace) -> None:
    from skyweave.interop.export import export_model

    for precision in ("float32", "int8") if arguments.int8 or arguments.labels else ("float32",):
        path = model_file(arguments, precision)
        if not path.exists():
            backbone, sensor = load_backbone(arguments.weights), get_sensor(arguments.sensor)
            export_model(backbone, path, sensor, opset=arguments.opset, precision=precision)


def worker(arguments: argparse.Namespace) -> None:
    """A contender: a round is one batch."""
    code, precision = arguments.worker
    runner = RUNNERS[code](arguments, precision)
    images = pixels(arguments, arguments.size)

    def play() -> None:
        runner(images)

    serve(play)


def pixels(arguments: argparse.Namespace, size: int) -> np.ndarray:
    sensor = get_sensor(arguments.sensor)
    noise = np.random.default_rng(0).standard_normal((arguments.batch, len(sensor), size, size)).astype(np.float32)
    return np.asarray(noise * sensor.stds[:, None, None] + sensor.means[:, None, None])


Runner = Callable[[np.ndarray], np.ndarray]


def eager(arguments: argparse.Namespace, precision: str) -> Runner:
    backbone: Backbone = load_backbone(arguments.weights)
    sensor: Sensor = get_sensor(arguments.sensor)

    @torch.inference_mode()
    def run(images: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(images)
        gsd = torch.full((len(images),), sensor.ground_sample_distance)
        batch = SensorBatch(values, torch.ones_like(values, dtype=torch.bool), sensor, gsd)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return np.asarray(backbone(batch).dense().float().numpy())

    return run


def onnx_runtime(arguments: argparse.Namespace, precision: str) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    path = str(model_file(arguments, precision))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(["features"], {"pixels": images})[0])


def open_vino(arguments: argparse.Namespace, precision: str) -> Runner:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": arguments.threads, "INFERENCE_PRECISION_HINT": precision.replace("fp", "f")}
    compiled = core.compile_model(str(model_file(arguments, precision)), "CPU", options)
    return lambda images: np.asarray(compiled({"pixels": images})[compiled.output("features")])


RUNNERS: dict[str, Callable[[argparse.Namespace, str], Runner]] = {
    "torch eager": eager,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": open_vino,
}


def difference(
    arguments: argparse.Namespace, size: int, make: Callable[[argparse.Namespace, str], Runner], precision: str
) -> float:
    """Root mean square of the difference to eager torch in float32, over the spread of the features."""
    images = pixels(arguments, size)
    expected, given = eager(arguments, "fp32")(images), make(arguments, precision)(images)
    return float(np.sqrt(np.square(given - expected).mean()) / expected.std())


def probe_loss(arguments: argparse.Namespace) -> dict[str, float]:
    """Accuracy of a linear probe of the embeddings of images, in float32 and in int8, on the same folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skyweave.data.raster import read_observation
    from skyweave.exported import load_exported

    files = sorted(arguments.labels.glob("*/*.tif"))
    labels = [path.parent.name for path in files]
    sensor = get_sensor(arguments.sensor)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "null", "B11", "B12", "B8A"]
    bands = [None if name == "null" else name for name in names]
    images = [read_observation(path, sensor, unit="dn", bands=bands).pixels for path in files]
    scores: dict[str, float] = {"images": len(files)}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for precision in ("float32", "int8"):
        model = load_exported(model_file(arguments, precision), arguments.threads)
        embeddings = np.concatenate([model.run(["embedding"], [image[None]])[0] for image in images])
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        scores[precision] = float(cross_val_score(classifier, embeddings, labels, cv=folds).mean())
    scores["loss"] = scores["float32"] - scores["int8"]
    return scores


if __name__ == "__main__":
    main()
