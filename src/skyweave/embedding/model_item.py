"""An encoder as a STAC item with the Machine Learning Model extension: what a collection of embeddings refers to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skyweave.backbone import Encoder, list_weights
from skyweave.core.sensors import sensor_to_dict
from skyweave.core.sensors.sensor import Sensor
from skyweave.core.stac import EO_EXTENSION, GLOBAL_BBOX, GLOBAL_EXTENT, describe_band
from skyweave.inference import RasterDescription
from skyweave.inference.stac.standard import model_urn

PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)
"""Time stamp of the item, which STAC wants: the same for every run, since weights carry no date."""
WEIGHTS_MEDIA_TYPE = "application/octet-stream; framework=safetensors"


def build_model_item(encoder: Encoder, sensor: Sensor, description: RasterDescription) -> dict[str, Any]:
    """Return the STAC item of an encoder as it was run, as plain JSON types.

    Args:
        encoder: that made the features.
        sensor: with the bands that it saw.
        description: of the features.

    Raises:
        MissingExtraError: pystac is not installed.
    """
    import pystac
    from pystac.extensions.mlm import AssetGeneralMLMExtension, Hyperparameters, MLMExtension, TaskType

    made = description.provenance
    name = Path(made.model).name.removesuffix(".safetensors")
    item = pystac.Item(
        f"{name}-{made.fingerprint}",
        GLOBAL_EXTENT,
        GLOBAL_BBOX,
        PUBLISHED,
        {"description": f"{name}: features of patches of {made.patch_size} x {made.patch_size} pixels"},
    )
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=name,
        architecture=type(encoder).__name__,
        tasks=[TaskType.SIMILARITY_SEARCH],
        input=[_input(sensor)],
        output=[_output(encoder)],
        framework="PyTorch",
        total_parameters=sum(parameter.numel() for parameter in encoder.parameters()),
        pretrained=True,
        hyperparameters=Hyperparameters.create(
            **{**encoder.architecture, "patch_size": made.patch_size},
            fingerprint=made.fingerprint,
            sensor=sensor_to_dict(encoder.sensors.get(sensor.name, sensor)),
        ),
    )
    item.stac_extensions += [EO_EXTENSION] * any(band.wavelength is not None for band in sensor.bands)
    asset = pystac.Asset(_address(made.model, made.fingerprint), name, media_type=WEIGHTS_MEDIA_TYPE)
    asset.roles = ["mlm:model", "mlm:weights"]
    asset.extra_fields["bands"] = [describe_band(band, made.ground_sample_distance) for band in sensor.bands]
    item.add_asset("model", asset)
    AssetGeneralMLMExtension.ext(asset).apply(artifact_type="safetensors")
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def _input(sensor: Sensor) -> Any:
    from pystac.extensions.mlm import InputStructure, ModelInput
    from pystac.extensions.raster import DataType

    shape = [-1, len(sensor.bands), -1, -1]
    units = ", ".join(f"{band.name} in {band.unit}" for band in sensor.bands)
    return ModelInput.create(
        "pixels",
        [band.name for band in sensor.bands],
        InputStructure.create(shape, ["batch", "bands", "height", "width"], DataType.FLOAT32),
        description=f"physical values, not normalised (the model does that itself): {units}",
    )


def _output(encoder: Encoder) -> Any:
    from pystac.extensions.mlm import ModelOutput, ResultStructure, TaskType
    from pystac.extensions.raster import DataType

    structure = ResultStructure.create(
        [-1, encoder.width, -1, -1], ["batch", "channels", "height", "width"], DataType.FLOAT32
    )
    text = "one vector a patch; row 0 is the first row of the input"
    return ModelOutput.create("features", [TaskType.SIMILARITY_SEARCH], structure, description=text, classes=None)


def _address(model: str, fingerprint: str) -> str:
    """Return where weights are: a file as it is, a shipped or published name as a URI that names it."""
    path = Path(model)
    if model not in list_weights() and path.is_file():
        return path.absolute().as_uri()
    return model_urn(model, fingerprint)
