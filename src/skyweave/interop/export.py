"""A model as a file that runs without this package: ONNX, or a ``torch.export`` program."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from skyweave.backbone import Backbone
from skyweave.core.atomic_write import write_aside
from skyweave.core.errors import ConfigError
from skyweave.core.sensors import sensor_to_dict
from skyweave.core.sensors.sensor import Sensor
from skyweave.downstream.finetuning.models.finetuned_model import FinetunedModel
from skyweave.interop.finetuned_graph import FinetunedGraph
from skyweave.interop.graph import SensorGraph
from skyweave.interop.onnx_attention import FIRST_OPSET, onnx_attention
from skyweave.interop.parity import ParityReport, measure_parity
from skyweave.interop.quantise import quantise_onnx
from skyweave.interop.stac_item import build_stac_item

Format = Literal["onnx", "pt2"]
Precision = Literal["float32", "int8"]
Graph = SensorGraph | FinetunedGraph
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
        parity: how near it is to the model in PyTorch, and how fast; None of a ``torch.export`` program.
    """

    path: Path
    card: Path
    format: Format
    outputs: dict[str, list[int]]
    size: int
    parity: ParityReport | None = None


def stac_item_path(path: Path) -> Path:
    """Return where the STAC item of an exported model is written: ``NAME.json`` may be the card of its weights.

    Args:
        path: of the exported model.
    """
    return path.with_name(f"{path.name}.json")


def export_model(
    model: Backbone | FinetunedModel,
    path: str | Path,
    sensor: Sensor | None = None,
    name: str = "skyweave",
    size: int | None = None,
    format: Format | None = None,
    opset: int = OPSET,
    precision: Precision = "float32",
    **graph: Any,
) -> ExportedModel:
    """Write a model, and beside it (``NAME.onnx.json``) what a user or a catalogue must know to feed it.

    Args:
        model: on the CPU, in evaluation mode; a fine-tuned one is written whole, with its head, and its outputs have
            the names of its task (`Task.named_outputs`).
        path: ``.onnx`` or ``.pt2``; both files are written aside, then renamed.
        sensor: its bands are the channels of the input, in order; a fine-tuned model has sensors already.
        name: what people call the model.
        size: rows and columns of the images; default: any multiple of the patch size.
        format: default: by the file's ending.
        opset: of ONNX; older runtimes need 20.
        precision: of the matrix products, of ONNX; ``int8`` is smaller and faster, and a little off.
        graph: ``ground_sample_distance``, ``patch_size``, ``levels``, ``nodata``, see `SensorGraph`.

    Raises:
        ConfigError: a model that cannot be written whole, a sensor that is not the model's, an unknown ending, a size
            that is no multiple of the patch size, or a model too large for ONNX.
        ModuleNotFoundError: the extra ``export`` is not installed.
    """
    path = Path(path)
    chosen = format or _format_of(path)
    if precision == "int8" and chosen != "onnx":
        raise ConfigError(f"{path}: int8 is written as ONNX only; name it .onnx")
    module = make_graph(model, sensor, **graph).eval()
    _check_size(size, module.patch_size)
    is_fused = chosen == "onnx" and opset >= FIRST_OPSET
    with onnx_attention(module) if is_fused else nullcontext():
        program = trace_model(module, size)
    identity = _identity(module) | {"precision": precision}
    with write_aside(path) as aside:
        if chosen == "onnx":
            _write_onnx(program, aside, module, identity, opset, precision)
        else:
            torch.export.save(program, aside, extra_files={"skyweave.json": json.dumps(identity)})
    outputs = dynamic_shapes(module, size)
    card = stac_item_path(path)
    item = build_stac_item(module, path, chosen, name, identity["fingerprint"], size, outputs)
    with write_aside(card) as aside:
        aside.write_text(json.dumps(item, indent=1) + "\n")
    parity = measure_parity(module, path, size) if chosen == "onnx" else None
    return ExportedModel(path, card, chosen, outputs, path.stat().st_size, parity)


def make_graph(model: Any, sensor: Sensor | None = None, **options: Any) -> Graph:
    """Return a model with every step in tensors.

    Args:
        model: a backbone, or a fine-tuned model.
        sensor: of a backbone; of a fine-tuned model None, or the one that it was trained on.
        options: ``ground_sample_distance`` and ``nodata``; of a backbone ``patch_size`` and ``levels`` too.

    Raises:
        ConfigError: another model, no sensor, or an option that a fine-tuned model has decided already.
    """
    if isinstance(model, FinetunedModel):
        return _finetuned_graph(model, sensor, options)
    if not isinstance(model, Backbone):
        raise ConfigError(
            f"a {type(model).__name__} cannot be exported whole: only Skyweave's backbone and fine-tuned models can; "
            "of a larger model --features exports the backbone alone, and encoders by others are exported with their "
            "authors' code"
        )
    if sensor is None:
        raise ConfigError("a backbone is exported for one sensor; name it with --sensor")
    return SensorGraph(model, sensor, **options)


def _finetuned_graph(model: FinetunedModel, sensor: Sensor | None, options: dict[str, Any]) -> FinetunedGraph:
    """Refuse what would make another model than the one that was trained."""
    for name in ("levels", "patch_size"):
        if options.pop(name, None):
            raise ConfigError(
                f"--{name.replace('_', '-')} is decided by the fine-tuned model; leave it out, or export the backbone "
                "alone with --features"
            )
    trained = [[band.name for band in one.bands] for one in model.sensors]
    if sensor is not None and [band.name for band in sensor.bands] not in trained:
        raise ConfigError(
            f"the model was trained on {', '.join(f'{one.name} ({len(one)} bands)' for one in model.sensors)}, not on "
            f"the {len(sensor)} bands of {sensor.name} that are asked for; leave --sensor and --bands out"
        )
    return FinetunedGraph(model, **options)


def _format_of(path: Path) -> Format:
    """Return the format that the file's ending stands for."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: cannot tell the format from the ending; use .onnx or .pt2, or say --format")
    return SUFFIXES[path.suffix]


def _check_size(size: int | None, patch: int) -> None:
    """Refuse images that are not made of whole patches."""
    if size is not None and (size < patch or size % patch):
        raise ConfigError(f"size {size} is no multiple of the model's patch size; use {max(size // patch, 1) * patch}")


def _identity(module: Graph) -> dict[str, str]:
    """Return what the file itself says of the model and its input."""
    sensor = module.sensor
    identity = {
        "fingerprint": module.fingerprint,
        "sensor": json.dumps(sensor_to_dict(sensor)),
        "ground_sample_distance": f"{module.ground_sample_distance:g}",
        "patch_size": str(module.patch_size),
        "units": json.dumps({band.name: band.unit for band in sensor.bands}),
        "inputs": json.dumps(dict(zip(module.inputs, map(sensor_to_dict, module.sensors), strict=True))),
        "nodata": json.dumps(module.nodata),
    }
    if isinstance(module, FinetunedGraph):
        task = module.model.task
        identity |= {"task": task.kind, "classes": json.dumps(list(task.classes)), "tile": str(module.model.tile)}
    return identity


def trace_model(module: Graph, size: int | None = None) -> torch.export.ExportedProgram:
    """Return the module as a graph; batch free, rows and columns free in whole patches unless a size is given.

    Args:
        module: what is traced.
        size: pixels per side; None: free.
    """
    patch = module.patch_size
    sides = size or 4 * patch, size or 6 * patch
    pixels = tuple(torch.zeros(2, len(sensor), *sides) for sensor in module.sensors)
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    if size is None:
        free[2] = patch * torch.export.Dim("patch_rows", min=2, max=MAX_SIDE_PIXELS)
        free[3] = patch * torch.export.Dim("patch_columns", min=2, max=MAX_SIDE_PIXELS)
    with torch.no_grad(), _quiet():
        module(*pixels)  # what the model computes once and keeps must be numbers before it is traced, not symbols
        shapes = {"pixels": (free,) * len(pixels) if isinstance(module, FinetunedGraph) else free}
        return torch.export.export(module, pixels, dynamic_shapes=shapes, strict=False)


def dynamic_shapes(module: Graph, size: int | None) -> dict[str, list[int]]:
    """Return name and shape of every output, -1 where it is free.

    Args:
        module: whose outputs they are.
        size: pixels per side; None: free.
    """
    side = size or 2 * module.patch_size
    with torch.no_grad():
        outputs = module(*(torch.zeros(1, len(sensor), side, side) for sensor in module.sensors))
    shapes = {name: [-1, *output.shape[1:]] for name, output in zip(module.outputs, outputs, strict=True)}
    if size is None:  # rows and columns are the last two of what is a map
        shapes = {name: [*shape[:-2], -1, -1] if len(shape) > 2 else shape for name, shape in shapes.items()}
    return shapes


def _write_onnx(
    program: torch.export.ExportedProgram,
    path: Path,
    module: Graph,
    identity: dict[str, str],
    opset: int,
    precision: Precision,
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
            input_names=module.inputs,
            output_names=module.outputs,
            opset_version=opset,
            verbose=False,
        )
    assert converted is not None
    model = converted.model_proto
    model.producer_name = "skyweave"
    for name, value in identity.items():
        model.metadata_props.add(key=f"skyweave.{name}", value=value)
    onnx.save(quantise_onnx(model) if precision == "int8" else model, str(path))


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
