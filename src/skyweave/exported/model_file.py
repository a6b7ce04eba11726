"""An exported model with all that its file says of itself, behind one call from pixels to outputs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyweave.core.errors import ConfigError, WeightsError
from skyweave.core.sensors import Sensor, sensor_from_dict

BLENDED = ("features", "probabilities", "values")
"""Outputs that may be averaged, the first that a file has."""
VECTOR_AXES = {"features": 2, "probabilities": 2, "values": 1}
"""Of an output that is one vector an image."""
PATCHES_PER_TILE = 16
"""Near to the views that encoders are trained on, and of least time a pixel."""
PREFIX = "skyweave."
PROVIDERS = ["CPUExecutionProvider"]


@dataclass(frozen=True)
class ExportedFile:
    """An ONNX file of `skyweave export`.

    Attributes:
        path: of the file.
        sensors: of the inputs, in order; their bands are the channels.
        inputs: names.
        outputs: name to shape, -1 where it is free.
        fingerprint: of the weights.
        patch_size: pixels; rows and columns of images are multiples of it.
        ground_sample_distance: metres per pixel that it was made for.
        precision: of its arithmetic, ``float32`` or ``int8``.
        nodata: whether pixels that are NaN are invalid; else every pixel must be a number.
        size: rows and columns of its images; None: any.
        task: of a fine-tuned model; None: features.
        classes: names by number.
        tile: pixels a side of the images that it was trained on; None: unknown.
    """

    path: Path
    sensors: tuple[Sensor, ...]
    inputs: tuple[str, ...]
    outputs: Mapping[str, tuple[int, ...]]
    fingerprint: str
    patch_size: int
    ground_sample_distance: float
    precision: str
    nodata: bool
    size: int | None
    task: str | None
    classes: tuple[str, ...]
    tile: int | None
    _session: Any = field(repr=False)

    @property
    def blended(self) -> str:
        """Return the name of the output that is averaged where windows overlap.

        Raises:
            ConfigError: there is none: it gives boxes.
        """
        names = [name for name in BLENDED if name in self.outputs]
        if not names:
            raise ConfigError(
                f"{self.path} gives {', '.join(self.outputs)}, no raster; `skyweave predict` writes boxes"
            )
        return names[0]

    @property
    def is_dense(self) -> bool:
        """Return whether that output is a map, and not one vector an image."""
        return len(self.outputs[self.blended]) > VECTOR_AXES[self.blended]

    @property
    def channels(self) -> int:
        """Return the values of a cell of that output; values of regression have no axis of channels."""
        return (*self.outputs[self.blended], 1)[1 if self.blended != "values" else -1]

    @property
    def tile_side(self) -> int:
        """Return the pixels a side of windows: of the images that it takes, or was trained on, or of 16 patches."""
        return self.size or self.tile or PATCHES_PER_TILE * self.patch_size

    @property
    def band_names(self) -> tuple[str, ...]:
        """Return the names of all bands that it reads, each once."""
        return tuple(dict.fromkeys(band.name for sensor in self.sensors for band in sensor.bands))

    def run(self, names: Sequence[str], pixels: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return outputs.

        Args:
            names: of the outputs.
            pixels: (batch, bands, rows, columns) float32 of each input.
        """
        outputs: list[np.ndarray] = self._session.run(list(names), dict(zip(self.inputs, pixels, strict=True)))
        return outputs


def load_exported(path: str | Path, threads: int = 1) -> ExportedFile:
    """Load an exported model.

    Args:
        path: of the ONNX file.
        threads: that one call computes with; several calls may run at once.

    Raises:
        FileNotFoundError: no such file.
        WeightsError: no ONNX file, or none that `skyweave export` of this version wrote.
        ModuleNotFoundError: onnxruntime is not installed.
    """
    import onnxruntime

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    except Exception as error:  # onnxruntime's own errors share no class
        raise WeightsError(f"{path} cannot be loaded by ONNX Runtime ({error}); export the model again") from error
    return _describe(path, session)


def _describe(path: Path, session: Any) -> ExportedFile:
    """Return what a file says of itself."""
    facts = {
        key.removeprefix(PREFIX): text
        for key, text in session.get_modelmeta().custom_metadata_map.items()
        if key.startswith(PREFIX)
    }
    try:
        inputs = json.loads(facts["inputs"])
        task = facts.get("task")
        return ExportedFile(
            path=path,
            sensors=tuple(sensor_from_dict(sensor) for sensor in inputs.values()),
            inputs=tuple(inputs),
            outputs={output.name: _shape(output) for output in session.get_outputs()},
            fingerprint=facts["fingerprint"],
            patch_size=int(facts["patch_size"]),
            ground_sample_distance=float(facts["ground_sample_distance"]),
            precision=facts.get("precision", "float32"),
            nodata=facts["nodata"] == "true",
            size=_fixed(session.get_inputs()[0].shape[-1]),
            task=task,
            classes=tuple(json.loads(facts.get("classes", "[]"))),
            tile=int(facts["tile"]) if "tile" in facts else None,
            _session=session,
        )
    except KeyError as error:
        raise WeightsError(
            f"{path} says nothing of its {error}: it was not written by `skyweave export` of this version; export the "
            "model again"
        ) from error


def _shape(output: Any) -> tuple[int, ...]:
    return tuple(_fixed(side) or -1 for side in output.shape)


def _fixed(side: object) -> int | None:
    return side if isinstance(side, int) else None
