"""The files that describe a folder of images or a video: ``camera.yaml`` and ``poses.csv`` (docs/fleet.md).

Angles are degrees there and radians everywhere inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyweave.core.csv_table import CsvRow, read_csv
from skyweave.core.errors import FleetError
from skyweave.core.geometry.camera import PinholeCamera
from skyweave.core.geometry.camera_checks import check_camera
from skyweave.core.sensors import get_sensor


@dataclass(frozen=True)
class FolderCameraConfig:
    """The content of ``camera.yaml``.

    Attributes:
        rows: pixels.
        columns: pixels.
        field_of_view: horizontal, degrees; or ``intrinsics``.
        intrinsics: nine numbers row by row, pixels.
        distortion: k1 k2 p1 p2 k3.
        sensor: name of the camera's sensor (``skyweave sensors``).
        ground: height of the ground, metres.
        channel: name of the camera.
        video: file of the folder, if there is one instead of images.
    """

    rows: int
    columns: int
    field_of_view: float | None = None
    intrinsics: list[float] | None = None
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    sensor: str = "rgb"
    ground: float = 0.0
    channel: str = "CAMERA"
    video: str | None = None

    def band_count(self) -> int:
        """Return the number of bands of the sensor.

        Raises:
            UnknownNameError: no such sensor.
        """
        return len(get_sensor(self.sensor))

    def camera(self) -> PinholeCamera:
        """Return the camera.

        Raises:
            FleetError: neither or both of field of view and intrinsics.
            DataError: numbers of another image, or in other units.
        """
        camera = self._camera()
        check_camera(camera, "camera.yaml")
        return camera

    def _camera(self) -> PinholeCamera:
        if (self.field_of_view is None) == (self.intrinsics is None):
            raise FleetError("camera.yaml needs field_of_view (degrees) or intrinsics (nine numbers), one of them")
        if self.intrinsics is not None:
            if len(self.intrinsics) != 9:
                raise FleetError(f"camera.yaml needs nine intrinsics, row by row; it has {len(self.intrinsics)}")
            return PinholeCamera(np.array(self.intrinsics).reshape(3, 3), self.rows, self.columns, self.distortion)
        assert self.field_of_view is not None
        plain = PinholeCamera.from_field_of_view(np.radians(self.field_of_view), self.rows, self.columns)
        return PinholeCamera(plain.intrinsics, self.rows, self.columns, self.distortion)


def read_table(path: Path, columns: Sequence[str]) -> tuple[CsvRow, ...]:
    """Return the rows of a CSV table with a header.

    Args:
        path: of the table.
        columns: that it must have.

    Raises:
        FileNotFoundError: no such file.
        DataError: a column is missing, or it is no text in UTF-8.
    """
    table = read_csv(path)
    table.require(columns)
    return table.rows


def parse_numbers(row: dict[str, str], columns: Sequence[str], location: str) -> list[float]:
    """Return numbers of a row of a table.

    Args:
        row: text by column.
        columns: whose numbers.
        location: of the row, for messages.

    Raises:
        FleetError: one is not finite.
    """
    try:
        numbers = [float(row[name]) for name in columns]
    except (TypeError, ValueError):
        numbers = [np.nan]
    if not np.isfinite(numbers).all():
        raise FleetError(f"{location}: {', '.join(columns[:-1])} and {columns[-1]} must be numbers")
    return numbers
