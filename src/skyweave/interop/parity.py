"""How near an exported model is to the one that it was made from, and how fast on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

IMAGES, PATCHES_PER_SIDE, ROUNDS = 4, 16, 3


@dataclass(frozen=True)
class ParityReport:
    """An exported model beside PyTorch in float32, on images of noise that the sensors could see.

    Attributes:
        output: that is compared.
        largest_difference: absolute.
        relative_difference: root mean square of the difference over the spread of the output.
        milliseconds: of an image of 16 x 16 patches, on one thread.
        torch_milliseconds: the same of PyTorch.
    """

    output: str
    largest_difference: float
    relative_difference: float
    milliseconds: float
    torch_milliseconds: float


def measure_parity(module: Any, path: Path, size: int | None) -> ParityReport:
    """Compare the main output of an exported ONNX file with its module's.

    Args:
        module: that was exported.
        path: of the file.
        size: rows and columns of images, if they are fixed.
    """
    import onnxruntime

    side, names = size or PATCHES_PER_SIDE * module.patch_size, module.outputs
    output = "features" if "features" in names else names[0]
    pixels = [_noise(sensor, side) for sensor in module.sensors]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {name: values.numpy() for name, values in zip(module.inputs, pixels, strict=True)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected, torch_seconds = _timed(lambda: _run_module(module, pixels)[names.index(output)].numpy())
        given, seconds = _timed(lambda: session.run([output], inputs)[0])
    finally:
        torch.set_num_threads(threads)
    difference = np.abs(given.astype(np.float64) - expected)
    deviation = float(expected.std()) or 1.0
    return ParityReport(
        output=output,
        largest_difference=float(difference.max()),
        relative_difference=float(np.sqrt(np.square(difference).mean())) / deviation,
        milliseconds=1e3 * seconds / IMAGES,
        torch_milliseconds=1e3 * torch_seconds / IMAGES,
    )


@torch.inference_mode()
def _run_module(module: Any, pixels: list[Tensor]) -> tuple[Tensor, ...]:
    outputs: tuple[Tensor, ...] = module(*pixels)
    return outputs


def _noise(sensor: Any, side: int) -> Tensor:
    noise = np.random.default_rng(0).standard_normal((IMAGES, len(sensor), side, side))
    return torch.from_numpy((noise * sensor.stds[:, None, None] + sensor.means[:, None, None]).astype(np.float32))


def _timed(run: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Return a result, and the processor seconds of the fastest of some calls."""
    result, seconds = run(), []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return result, min(seconds)
