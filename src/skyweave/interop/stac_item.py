"""An exported model as a STAC item with the Machine Learning Model extension (MLM 1.4): what to feed, what comes out.

Written and checked by pystac. The item covers the whole Earth: a model has no footprint.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from skyweave.core.sensors import sensor_to_dict
from skyweave.core.sensors.sensor import Sensor
from skyweave.core.stac import EO_EXTENSION, GLOBAL_BBOX, GLOBAL_EXTENT, describe_band
from skyweave.interop.finetuned_graph import FinetunedGraph
from skyweave.interop.graph import SensorGraph

Graph = SensorGraph | FinetunedGraph

MEDIA_TYPES = {"onnx": "application/onnx", "pt2": "application/zip; application=pytorch"}
FRAMEWORKS = {"onnx": "ONNX", "pt2": "PyTorch"}
ARTIFACT_TYPES = {"onnx": "ONNX", "pt2": "torch.export.save"}
DESCRIPTIONS = {
    "embedding": "mean of the last output over patches",
    "features": "last output, one vector a patch; row 0 is the first row of the input",
    "valid": "false where a patch holds no valid pixel",
    "probabilities": "of each class, in the order of the classes",
    "classes": "index of the most probable class",
    "values": "in the unit of the labels",
    "scores": "of each class at the centres of objects, 0 elsewhere; a cell is 4 x 4 pixels",
    "boxes": "left, top, right, bottom in pixels of the object at each cell; keep those with a score, without overlaps",
}


def build_stac_item(
    module: Graph,
    path: Path,
    format: str,
    name: str,
    fingerprint: str,
    size: int | None,
    outputs: dict[str, list[int]],
    created: datetime | None = None,
) -> dict[str, Any]:
    """Return the STAC item of an exported model as plain JSON types.

    Args:
        module: what was exported.
        path: of the model, beside which the item lies.
        format: of the file.
        name: of the model.
        fingerprint: of the weights.
        size: rows and columns of the input; None where they are free.
        outputs: name and shape of each output.
        created: time stamp; default: now.
    """
    import pystac
    from pystac.extensions.mlm import (
        AssetGeneralMLMExtension,
        Hyperparameters,
        MLMExtension,
    )

    sensor = module.sensor
    when = created or datetime.now(UTC)
    item = pystac.Item(path.stem, GLOBAL_EXTENT, GLOBAL_BBOX, when, {"description": _summary(module, name)})
    extension = MLMExtension.ext(item, add_if_missing=True)
    extension.apply(
        name=name,
        architecture=module.architecture,
        tasks=_tasks(module),
        input=[
            _input(module, input_name, input_sensor, size)
            for input_name, input_sensor in zip(module.inputs, module.sensors, strict=True)
        ],
        output=[_output(module, output, shape) for output, shape in outputs.items()],
        framework=FRAMEWORKS[format],
        framework_version=torch.__version__.split("+")[0],
        total_parameters=sum(parameter.numel() for parameter in module.parameters()),
        pretrained=True,
        hyperparameters=Hyperparameters.create(
            patch_size=module.patch_size,
            ground_sample_distance=module.ground_sample_distance,
            fingerprint=fingerprint,
            sensor=sensor_to_dict(sensor),  # the whole record: radar bands have no place of their own in STAC bands
        ),
    )
    item.stac_extensions += [EO_EXTENSION] * any(band.wavelength is not None for band in sensor.bands)
    asset = pystac.Asset(path.name, title=name, media_type=MEDIA_TYPES[format], roles=["mlm:model"])
    asset.extra_fields["bands"] = [describe_band(band, module.ground_sample_distance) for band in sensor.bands]
    item.add_asset("model", asset)
    AssetGeneralMLMExtension.ext(asset).apply(artifact_type=ARTIFACT_TYPES[format])
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def _summary(module: Graph, name: str) -> str:
    if isinstance(module, FinetunedGraph):
        sensors = " and ".join(dict.fromkeys(sensor.title for sensor in module.sensors))
        return f"{name}: {module.model.task.kind} of {sensors} at {module.ground_sample_distance:g} m a pixel"
    return f"{name}: features of {module.sensor.title} at {module.ground_sample_distance:g} m a pixel"


def _feeding(module: Graph, sensor: Sensor, size: int | None) -> str:
    units = ", ".join(f"{band.name} in {band.unit}" for band in sensor.bands)
    free = f"height and width: any multiple of {module.patch_size}" if size is None else f"{size} x {size} pixels"
    missing = "NaN where a pixel is invalid" if module.nodata else "every pixel valid"
    return f"physical values, not normalised (the model does that itself): {units}; {free}; {missing}"


def _tasks(module: Graph) -> list[Any]:
    from pystac.extensions.mlm import TaskType

    if not isinstance(module, FinetunedGraph):
        return [TaskType.SIMILARITY_SEARCH]
    task = module.model.task
    if not task.classes:
        return [TaskType.REGRESSION]
    if not task.averages_outputs:
        return [TaskType.OBJECT_DETECTION]
    return [TaskType.SEMANTIC_SEGMENTATION if task.is_dense else TaskType.CLASSIFICATION]


def _input(module: Graph, name: str, sensor: Sensor, size: int | None) -> Any:
    from pystac.extensions.mlm import InputStructure, ModelInput
    from pystac.extensions.raster import DataType

    bands, side = sensor.bands, -1 if size is None else size
    shape = [-1, len(bands), side, side]
    return ModelInput.create(
        name,
        [band.name for band in bands],
        InputStructure.create(shape, ["batch", "bands", "height", "width"], DataType.FLOAT32),
        description=_feeding(module, sensor, size),
    )


def _output(module: Graph, name: str, shape: list[int]) -> Any:
    from pystac.extensions.mlm import ModelOutput, ResultStructure
    from pystac.extensions.raster import DataType

    axes = ["batch", "channels", "height", "width"] if len(shape) == 4 else ["batch", "height", "width"]
    kinds = {"valid": DataType.UINT8, "classes": DataType.INT64}
    structure = ResultStructure.create(
        shape, axes if len(shape) > 2 else ["batch", "channels"][: len(shape)], kinds.get(name, DataType.FLOAT32)
    )
    text = DESCRIPTIONS.get(name, "intermediate output, one vector a patch, before the final norm")
    return ModelOutput.create(name, _tasks(module), structure, description=text, classes=_classes(module))


def _classes(module: Graph) -> list[Any] | None:
    from pystac.extensions.classification import Classification

    if not isinstance(module, FinetunedGraph) or not module.model.task.classes:
        return None
    return [
        Classification.create(number, name=re.sub("[^0-9A-Za-z_-]+", "-", name), title=name)  # no spaces in a name
        for number, name in enumerate(module.model.task.classes)
    ]
