"""An ONNX model whose matrix products are of 8-bit integers: weights scaled a column, activations as they come."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUANTISED_OPERATORS = ["MatMul", "Gemm"]
MIN_QUANTISED_INPUTS = 64  # of a product: scaling fewer takes longer than it saves, and the first layers are of few


def quantise_onnx(model: Any) -> Any:
    """Return a model with int8 weights; activations are scaled when they are computed, so no samples are needed.

    Weights that the graph computes from others (the patch embedding of a sensor) are computed first. Products of two
    activations (attention) stay in float32.

    Args:
        model: an ``onnx.ModelProto``.

    Raises:
        ModuleNotFoundError: the extra ``export`` is not installed.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, folded, quantised = (Path(folder) / name for name in ("plain.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, str(plain))
        _fold_constants(plain, folded)
        graph = onnx.load(str(folded))
        graph.graph.ClearField("value_info")  # shapes of the exporter's, which its own shape inference contradicts
        quantize_dynamic(
            graph,
            str(quantised),
            op_types_to_quantize=QUANTISED_OPERATORS,
            nodes_to_exclude=_small_products(graph.graph),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        result = onnx.load(str(quantised))
    del result.metadata_props[:]
    result.metadata_props.extend(model.metadata_props)
    result.producer_name = model.producer_name
    return result


def _small_products(graph: Any) -> list[str]:
    """Names of the products whose sums are of few numbers."""
    inputs = {weight.name: weight.dims[0] for weight in graph.initializer if len(weight.dims) == 2}
    return [
        node.name
        for node in graph.node
        if any(inputs.get(name, MIN_QUANTISED_INPUTS) < MIN_QUANTISED_INPUTS for name in node.input)
    ]


def _fold_constants(source: Path, target: Path) -> None:
    """Write a model with everything computed that does not depend on its inputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser warns through the root logger that a model might be prepared, which it is."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
