"""Published encoders of remote sensing as teachers: they read the bands themselves."""

import torch
from torch.nn import functional

from skyweave.backbone.backbone import Patches
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.encoder import Encoder
from skyweave.backbone.pretrained.published import is_published, load_published
from skyweave.core.errors import DataError, WeightsError
from skyweave.core.sensors.sensor import Sensor
from skyweave.pretraining.teachers.base import TEACHERS, Teacher, TeacherMaps

BANDS = "bands"
"""The one input of an encoder: all bands that it knows."""


class PublishedTeacher(Teacher):
    """An encoder that others published, such as Galileo (arXiv 2502.09356), as a teacher of the sensors that it knows.

    Args:
        encoder: with its weights.
    """

    inputs = (BANDS,)

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.pooled_channels = encoder.width
        self.map_channels = (encoder.width,)
        self._readable: dict[Sensor, bool] = {}

    def readable_inputs(self, sensor: Sensor) -> tuple[str, ...]:
        """Return the bands, where the encoder can read the sensor.

        Args:
            sensor: any.
        """
        if sensor not in self._readable:
            side = self.encoder.patch_size
            shape = (1, len(sensor), side, side)
            device = next(self.encoder.parameters()).device
            blank = SensorBatch(
                torch.zeros(shape, device=device),
                torch.ones(shape, dtype=torch.bool, device=device),
                sensor,
                torch.full((1,), 10.0, device=device),
            )
            try:
                self.encoder(blank)
            except (DataError, WeightsError):
                self._readable[sensor] = False
            else:
                self._readable[sensor] = True
        return self.inputs if self._readable[sensor] else ()

    @torch.no_grad()
    def forward(self, batch: SensorBatch, patches: Patches, name: str) -> TeacherMaps:
        """Return the features of whole images.

        Args:
            batch: of one sensor and size.
            patches: the same; what the encoder is asked for is the patch size nearest to theirs.
            name: of its one input.
        """
        features = self.encoder(batch, self.encoder.nearest_patch_size(patches.values.shape[-1]))
        weight = features.valid.unsqueeze(-1)
        tokens = functional.layer_norm(features.tokens.float(), features.tokens.shape[-1:]) * weight
        dense = tokens.transpose(1, 2).unflatten(2, features.grid)
        return TeacherMaps(features.pooled.float(), [dense])


def load_teacher(name: str) -> Teacher:
    """Return a teacher with its weights.

    Args:
        name: in `TEACHERS`, or of a published encoder: a file, a name or ``hub:OWNER/REPOSITORY/FILE``.

    Raises:
        FileNotFoundError: no such file.
        UnknownNameError: no such teacher.
        MissingExtraError: the teacher's package is not installed.
        WeightsError: the file is none of a published encoder.
    """
    if name not in TEACHERS and is_published(name):
        return PublishedTeacher(load_published(name))
    return TEACHERS[name]()
