"""A backbone for one sensor as a file that runs without this package: ONNX, or a ``torch.export`` program."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from skyweave.backbone import Backbone, fingerprint
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import sensor_to_dict
from skyweave.core.sensors.sensor import Sensor
from skyweave.interop.graph import SensorGraph
from skyweave.interop.stac_item import build_stac_item

Format = Literal["onnx", "pt2"]
SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".pt2": "pt2"}
OPSET = 23
"""The first with an Attention operator, which runtimes compute without keeping the scores of all tokens."""
MAX_BATCH, MAX_SIDE_PIXELS = 4096, 1024
"""Limits of what is dynamic: images a batch, patches a side. A single row or column of patches is a special case for
``torch.export`` and left out."""
PROTOBUF_LIMIT = 2**31 - 2**20
"""Bytes: an ONNX file is one protobuf message, and those end at 2 GiB."""


@dataclass(frozen=True)
class ExportedModel:
    """What was written.

    Attributes:
        path: of the model.
        card: of its STAC item with the Machine Learning Model extension.
        format: ``onnx`` or ``pt2``.
        outputs: name and shape of what the model returns, -1 where the size is free.
        size: bytes of the model.
    """

    path: Path
    card: Path
    format: Format
    outputs: dict[str, list[int]]
    size: int


def export_model(
    backbone: Backbone,
    path: str | Path,
    sensor: Sensor,
    name: str = "skyweave",
    size: int | None = None,
    format: Format | None = None,
    opset: int = OPSET,
    **graph: Any,
) -> ExportedModel:
    """Write the model for one sensor, and beside it (``.json``) what a user or a catalogue must know to feed it.

    Args:
        backbone: on the CPU, in evaluation mode.
        path: ``.onnx`` or ``.pt2``; both files are written aside, then renamed.
        sensor: its bands are the channels of the input, in order.
        name: what people call the model.
        size: rows and columns of the images; default: any multiple of the patch size.
        format: default: by the file's ending.
        opset: of ONNX; older runtimes need 20.
        graph: ``ground_sample_distance``, ``patch_size``, ``levels``, ``nodata``, see `SensorGraph`.

    Raises:
        ValueError: an unknown ending, a size that is no multiple of the patch size, or a model too large for ONNX.
        ModuleNotFoundError: the extra ``export`` is not installed.
    """
    if not isinstance(backbone, Backbone):
        raise ConfigError(
            f"{type(backbone).__name__} cannot be exported: only Skyweave's own backbone can; export it with its "
            "authors' code"
        )
    path = Path(path)
    chosen = format or _format_of(path)
    module = SensorGraph(backbone, sensor, **graph).eval()
    _check_size(size, module.patch_size)
    program = trace_model(module, size)
    identity = _identity(module)
    with write_aside(path) as aside:
        if chosen == "onnx":
            _write_onnx(program, aside, module, identity, opset)
        else:
            torch.export.save(program, aside, extra_files={"skyweave.json": json.dumps(identity)})
    outputs = dynamic_shapes(module, size)
    card = path.with_suffix(".json")
    item = build_stac_item(module, path, chosen, name, identity["fingerprint"], size, outputs)
    with write_aside(card) as aside:
        aside.write_text(json.dumps(item, indent=1) + "\n")
    return ExportedModel(path, card, chosen, outputs, path.stat().st_size)


def _format_of(path: Path) -> Format:
    """Return the format that the file's ending stands for."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: cannot tell the format from the ending; use .onnx or .pt2, or say --format")
    return SUFFIXES[path.suffix]


def _check_size(size: int | None, patch: int) -> None:
    """Refuse images that are not made of whole patches."""
    if size is not None and (size < patch or size % patch):
        raise ConfigError(f"size {size} is no multiple of the model's patch size; use {max(size // patch, 1) * patch}")


def _identity(module: SensorGraph) -> dict[str, str]:
    """Return what the file itself says of the model and its input."""
    sensor = module.sensor
    return {
        "fingerprint": fingerprint(module.backbone),
        "sensor": json.dumps(sensor_to_dict(sensor)),
        "ground_sample_distance": f"{module.ground_sample_distance:g}",
        "patch_size": str(module.patch_size),
        "units": json.dumps({band.name: band.unit for band in sensor.bands}),
    }


def trace_model(module: SensorGraph, size: int | None = None) -> torch.export.ExportedProgram:
    """Return the module as a graph; batch free, rows and columns free in whole patches unless a size is given.

    Args:
        module: what is traced.
        size: pixels per side; None: free.
    """
    patch = module.patch_size
    sides = size or 4 * patch, size or 6 * patch
    pixels = torch.zeros(2, len(module.sensor), *sides)
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    if size is None:
        free[2] = patch * torch.export.Dim("patch_rows", min=2, max=MAX_SIDE_PIXELS)
        free[3] = patch * torch.export.Dim("patch_columns", min=2, max=MAX_SIDE_PIXELS)
    with torch.no_grad(), _quiet():
        module(pixels)  # what the model computes once and keeps must be numbers before it is traced, not symbols
        return torch.export.export(module, (pixels,), dynamic_shapes={"pixels": free}, strict=False)


def dynamic_shapes(module: SensorGraph, size: int | None) -> dict[str, list[int]]:
    """Return name and shape of every output, -1 where it is free.

    Args:
        module: whose outputs they are.
        size: pixels per side; None: free.
    """
    side = -1 if size is None else size // module.patch_size
    width = module.backbone.config.width
    special = {"embedding": [-1, width], "valid": [-1, side, side]}
    return {name: special.get(name, [-1, width, side, side]) for name in module.outputs}


def _write_onnx(
    program: torch.export.ExportedProgram, path: Path, module: SensorGraph, identity: dict[str, str], opset: int
) -> None:
    import onnx
    import onnxscript  # noqa: F401  its absence is named before minutes of work

    numbers = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if numbers > PROTOBUF_LIMIT:
        raise ConfigError(f"{numbers / 2**30:.1f} GiB of weights do not fit into an ONNX file (2 GiB); use .pt2")
    with _quiet():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["pixels"],
            output_names=module.outputs,
            opset_version=opset,
            verbose=False,
        )
    assert converted is not None
    model = converted.model_proto
    model.producer_name = "skyweave"
    for name, value in identity.items():
        model.metadata_props.add(key=f"skyweave.{name}", value=value)
    onnx.save(model, str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of itself and of operators that nobody here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def example_input(module: SensorGraph, batch: int, rows: int, columns: int, seed: int = 0) -> Tensor:
    """Return (batch, bands, rows, columns) pixels as this sensor could see them, for checks and measurements.

    Args:
        module: for one sensor.
        batch: images.
        rows: pixels.
        columns: pixels.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, len(module.sensor), rows, columns, generator=generator)
    return noise * module.stds + module.means
