"""What an output format has to offer: it writes a finished raster, and checks what it wrote."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from skyweave.inference.quantisation_record import Quantisation
from skyweave.inference.raster import FinishedRaster


class RasterWriter(ABC):
    """An output format. Another package adds one through an entry point in the group ``skyweave.writers``.

    A writer is called once, when every value is computed: it receives the whole raster, and reads it in whatever
    order suits the format (`FinishedRaster.blocks`, `FinishedRaster.read`), as often as it likes. Grid, place, names of
    bands, dtype, nodata and provenance are in ``raster.description``; range and number of valid pixels, which a scale
    needs beforehand, in ``raster.statistics``. Nothing of a raster larger than memory needs to be in memory but the
    block at hand. Of a run that was killed and went on a writer sees nothing, so what it writes must depend on the
    raster alone (not on ``raster.runtime``, where files are to be the same byte for byte).

    ``path`` lies in an empty folder of the writer's on the disk of the output. When `write` and `verify` return,
    everything in that folder is moved beside the output, ``path`` itself last; when one raises, all of it is removed.
    So a format may consist of several files, and nobody ever meets half of one. Of a format that is a folder
    (``is_folder``), ``path`` is the folder: it is there and empty, and takes the place of an old one as a whole.

    Attributes:
        suffixes: of outputs that are written in this format unless another one is asked for.
        storages: how values can be stored, the first by default: of float rasters ``float32``, ``float16`` or ``int8``
            (see `Int8Quantisation`), of others their own dtype.
        is_folder: the output is a folder.
        media_type: of the output, for catalogues.
        quantisation: how `write` stored the values, and what that lost; None: it did not say.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    storages: ClassVar[tuple[str, ...]] = ("float32", "uint8", "uint16")
    is_folder: ClassVar[bool] = False
    media_type: ClassVar[str] = "application/octet-stream"
    quantisation: Quantisation | None = None

    @abstractmethod
    def write(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Write the raster.

        Args:
            raster: that is finished.
            path: to write to.
            storage: how values are stored, one of ``storages``.

        Raises:
            ConfigError: values that the storage cannot hold; names one that can.
            OSError: the disk is full.
        """

    def verify(self, raster: FinishedRaster, path: Path, storage: str) -> None:
        """Read back what was written: libraries write late, and some report a full disk only in their log.

        Args:
            raster: that was written.
            path: of `write`.
            storage: of `write`.

        Raises:
            OSError: it is not whole.
        """
        return
