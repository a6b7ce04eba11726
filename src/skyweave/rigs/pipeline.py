"""Files of rigs and thermal cameras to stacks on disk, and the sensor that every command reads them with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skyweave.core.errors import ConfigError
from skyweave.rigs.align import BandAlignment, align_capture, group_captures
from skyweave.rigs.band_file import BandFile, read_band_file
from skyweave.rigs.panel import Area, Panel, measure_panel
from skyweave.rigs.stack_file import SensorStatistics, write_sensor, write_stack, write_temperature
from skyweave.rigs.thermal.registry import ThermalOptions, read_temperature
from skyweave.telemetry.image_metadata.image_files import find_images

SENSOR_FILE = "rig.yaml"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AlignOptions:
    """How stacks are made.

    Attributes:
        panel: images of a panel of known reflectance, one a band; empty: the light sensor counts.
        panel_reflectances: of the panel by band, ``all`` for every one; empty: as the camera read them.
        panel_area: corners of the panel in pixels; None: where the camera found it.
        as_radiance: radiance instead of reflectance.
        reference: name of the band whose image the stack is in; None: the one nearest to green.
        ground_sample_distance: metres, of the sensor; None: nominal.
        thermal: of thermal images.

    Raises:
        ConfigError: pixels without a size.
    """

    panel: Sequence[str | Path] = ()
    panel_reflectances: Mapping[str, float] = field(default_factory=dict)
    panel_area: Area | None = None
    as_radiance: bool = False
    reference: str | None = None
    ground_sample_distance: float | None = None
    thermal: ThermalOptions = field(default_factory=ThermalOptions)

    def __post_init__(self) -> None:
        if self.ground_sample_distance is not None and not self.ground_sample_distance > 0:
            raise ConfigError(f"--gsd {self.ground_sample_distance:g} must be metres a pixel above 0")


@dataclass(frozen=True)
class AlignReport:
    """What was written.

    Attributes:
        paths: of the stacks.
        sensor: name of the sensor that they are of, or its YAML; None with thermal images alone.
        unit: of their values, as the commands take it.
        alignments: how the bands of each stack were brought to its reference.
    """

    paths: tuple[Path, ...]
    sensor: str
    unit: str
    alignments: tuple[tuple[BandAlignment, ...], ...]


def align_files(
    sources: Sequence[str | Path],
    output: str | Path,
    into: bool = False,
    options: AlignOptions | None = None,
    progress: Progress | None = None,
) -> AlignReport:
    """Write a stack for every capture of a rig, or a raster of temperatures for every thermal image.

    Args:
        sources: files of bands, thermal images, or folders of them.
        output: GeoTIFF of one capture, or the folder for those of several.
        into: whether ``output`` is the folder.
        options: how.
        progress: called with what is done, steps done and all steps.

    Raises:
        FileNotFoundError: a source does not exist.
        DataError: what the formulas need is not stated; files of rigs and thermal images are mixed.
        ConfigError: several captures and one file to write.
    """
    options, output = options or AlignOptions(), Path(output)
    files = list(find_images(sources).values())
    if read_temperature(files[0], options.thermal) is not None:
        return _write_temperatures(files, output, into, options, progress or _silent)
    return _write_stacks([read_band_file(path) for path in files], output, into, options, progress or _silent)


def _silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def _targets(names: Sequence[str], output: Path, into: bool) -> list[Path]:
    """The files to write."""
    if into:
        return [output / f"{name}.tif" for name in names]
    if len(names) > 1:
        raise ConfigError(f"the files are of {len(names)} captures; write one file each with --into FOLDER")
    return [output]


def _write_temperatures(
    files: Sequence[Path], output: Path, into: bool, options: AlignOptions, progress: Progress
) -> AlignReport:
    paths = _targets([file.stem for file in files], output, into)
    for number, (file, path) in enumerate(zip(files, paths, strict=True), 1):
        kelvin = read_temperature(file, options.thermal)
        if kelvin is None:
            raise ConfigError(f"{file.name} is no thermal image and {files[0].name} is; align them one after the other")
        write_temperature(kelvin, path, file)
        progress("reading temperatures", number, len(files))
    return AlignReport(tuple(paths), "thermal", "kelvin", ())


def _write_stacks(
    bands: Sequence[BandFile], output: Path, into: bool, options: AlignOptions, progress: Progress
) -> AlignReport:
    panel = _panel(options)
    captures, statistics, alignments = group_captures(bands), SensorStatistics(), []
    paths = _targets([_stem(capture) for capture in captures], output, into)
    for number, (capture, path) in enumerate(zip(captures, paths, strict=True), 1):
        stack = align_capture(capture, panel, options.as_radiance, options.reference)
        write_stack(stack, path)
        statistics.add(stack)
        alignments.append(stack.alignments)
        progress("aligning captures", number, len(captures))
    sensor = output / SENSOR_FILE if into else output.with_suffix(".yaml")
    unit = write_sensor(statistics, sensor, options.ground_sample_distance)
    return AlignReport(tuple(paths), str(sensor), unit, tuple(alignments))


def _panel(options: AlignOptions) -> Panel | None:
    if not options.panel:
        return None
    files = find_images(options.panel).values()
    return measure_panel([read_band_file(file) for file in files], options.panel_reflectances, options.panel_area)


def _stem(capture: Sequence[BandFile]) -> str:
    """Name of a stack: that of its files without the band's."""
    return capture[0].path.stem.rpartition("_")[0] or capture[0].path.stem
