"""From files to samples: images cut into chips, cells with a target, and the groups that must stay together."""

import fnmatch
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from skyweave.core.errors import DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.raster import read_observation
from skyweave.downstream.labels.label_files import LabelLookup, load_labels
from skyweave.downstream.labels.probe_config import ImageSourceConfig, ProbeConfig

MINIMUM_VALID_SHARE = 0.5
"""A sample needs at least this share of pixels with a valid band."""


SAMPLE_FIELDS = ("image", "cell", "target", "group", "place", "position", "testable")


@dataclass(frozen=True)
class ProbeSamples:
    """Everything a row of the table needs, whichever features it uses.

    Attributes:
        images: the chips (or whole images) that features are computed from.
        image: (N,) int, index of the sample's image.
        cell: (N, 2) int, row and column in the image's grid of cells; zeros where the sample is the whole image.
        target: (N,) int class index, or float.
        group: (N,) int, samples of one group are never on both sides of a split.
        place: (N,) int, the file a sample is from.
        position: (N, 2) int, upper left pixel of the sample in its file.
        testable: (N,) bool, False for samples that are only ever trained on.
        classes: names, empty for regression.
        cell_size: side in pixels, None where the sample is the whole image.
        notes: what the reader should know (files that a rule caught, images left out).
    """

    images: list[Observation]
    image: np.ndarray
    cell: np.ndarray
    target: np.ndarray
    group: np.ndarray
    place: np.ndarray
    position: np.ndarray
    testable: np.ndarray
    classes: list[str]
    cell_size: int | None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.target)


def load_probe_samples(config: ProbeConfig, data: Path, test_data: Path | None = None) -> ProbeSamples:
    """Read all images and labels of a probe.

    With ``test_data`` (same layout), everything below ``data`` is training only and tests come from ``test_data``.

    Raises:
        FileNotFoundError: no file matches; the pattern and the directory are named.
        ValueError: labels that do not fit the images; the file and the value are named.
    """
    images: list[Observation] = []
    rows: list[tuple[int, int, int, float, str, str, int, int, bool]] = []
    notes: list[str] = []
    for root, testable in [(data, True)] if test_data is None else [(data, False), (test_data, True)]:
        targets = load_labels(config.labels, root)
        paths = [path for path in find_images(config.source, root) if targets.has(path)]
        if not paths:
            raise FileNotFoundError(
                f"probe {config.name!r}: none of the images {config.source.files!r} in {root} has a label"
            )
        for path in paths:
            observation, note = read_image(config.source, path)
            notes += [note] if note else []
            place, group = f"{root}:{path.relative_to(root)}", f"{root}:{probe_group_name(config, path)}"
            found = _image_samples(observation, targets, path, config)
            if not found:
                notes.append(f"{path.name}: no labelled, valid sample in it")
            for chip, (top, left), cells in found:
                images.append(chip)
                for row, column, value in cells:
                    y, x = top + row * (config.cell or 0), left + column * (config.cell or 0)
                    key = group
                    if config.split.kind == "blocks":
                        key = f"{place}:{y // config.split.block}:{x // config.split.block}"
                    rows.append((len(images) - 1, row, column, value, key, place, y, x, testable))
    if not rows:
        raise DataError(f"probe {config.name!r}: no sample has both a label and valid pixels")
    columns = list(zip(*rows, strict=True))
    return ProbeSamples(
        images=images,
        image=np.array(columns[0]),
        cell=np.stack([columns[1], columns[2]], 1),
        target=np.array(columns[3], np.float32 if config.is_regression else np.int64),
        group=_index(columns[4]),
        place=_index(columns[5]),
        position=np.stack([columns[6], columns[7]], 1),
        testable=np.array(columns[8]),
        classes=targets.classes,
        cell_size=config.cell,
        notes=notes,
    )


def without_rare_classes(samples: ProbeSamples, minimum: int) -> ProbeSamples:
    """Leave out classes with fewer than ``minimum`` samples to test, each with a note; classes keep their index."""
    count = [int((samples.target[samples.testable] == index).sum()) for index in range(len(samples.classes))]
    rare = [index for index, number in enumerate(count) if number < minimum]
    if not rare:
        return samples
    keep = ~np.isin(samples.target, rare)
    if not (keep & samples.testable).any():
        raise DataError(f"no class has {minimum} samples to test; lower minimum_class_samples")
    notes = [f"class {samples.classes[i]!r} left out: {count[i]} samples, fewer than {minimum}" for i in rare]
    rows = {name: getattr(samples, name)[keep] for name in SAMPLE_FIELDS}
    return replace(samples, **rows, notes=[*samples.notes, *notes])


def find_images(source: ImageSourceConfig, root: Path) -> list[Path]:
    """The source's files in name order. Raises ``FileNotFoundError`` naming pattern and directory."""
    if not root.is_dir():
        raise FileNotFoundError(f"data directory {root} does not exist")
    paths = sorted(path for path in root.glob(source.files) if path.is_file())
    paths = [path for path in paths if not any(fnmatch.fnmatch(path.name, pattern) for pattern in source.exclude)]
    if not paths:
        raise FileNotFoundError(f"no file matches {source.files!r} in {root}")
    return paths


def read_image(source: ImageSourceConfig, path: Path) -> tuple[Observation, str | None]:
    """One image as the source declares it, and a note if the source's rule decided its unit."""
    sensor = get_sensor(source.sensor)
    unit, offset, note = source.unit, source.offset, None
    for override in source.overrides:
        if fnmatch.fnmatch(path.name, override.files):
            unit = override.unit or unit
            offset = offset if override.offset is None else override.offset
            break
    else:
        rule = source.unit_rule
        if rule is not None and _all_bands_above(path, rule.percentile, rule.at_least):
            unit = rule.unit
            note = f"{path.name}: read as {unit}, every band's {rule.percentile:g} % is at least {rule.at_least:g}"
    observation = read_observation(
        path,
        sensor,
        unit=unit,
        bands=source.bands,
        offset=offset,
        nodata=source.nodata,
        ground_sample_distance=source.ground_sample_distance,
    )
    return (observation.select(source.select) if source.select else observation), note


def probe_group_name(config: ProbeConfig, path: Path) -> str:
    """The part of the file name that must stay on one side of a split."""
    if config.split.pattern is None:
        return path.stem
    match = re.search(config.split.pattern, path.name)
    if match is None:
        raise DataError(f"split pattern {config.split.pattern!r} does not match the file name {path.name!r}")
    return match.group(1) if match.groups() else match.group(0)


def cut_chips(observation: Observation, config: ProbeConfig) -> list[tuple[int, int, Observation]]:
    """(top, left, chip) for every chip that fits; the whole image where no chip size is given."""
    if config.chip is None:
        return [(0, 0, observation)]
    rows, columns = observation.shape
    size, stride = config.chip.size, config.chip.stride
    return [
        (top, left, observation.window(top, left, size, size))
        for top in range(0, rows - size + 1, stride)
        for left in range(0, columns - size + 1, stride)
    ]


Cell = tuple[int, int, float]
"""Row and column in an image's grid of cells, and the target."""


def _image_samples(
    observation: Observation, targets: LabelLookup, path: Path, config: ProbeConfig
) -> list[tuple[Observation, tuple[int, int], list[Cell]]]:
    """(chip, its upper left pixel, its samples) for every chip of an image that has a sample."""
    grid = targets.grid(path, observation.shape, config.cell) if config.cell else None
    chips = cut_chips(observation, config)
    found = []
    for top, left, chip in chips:
        seen = np.asarray(chip.valid.any(axis=0))
        if grid is None or config.cell is None:
            cells = [(0, 0, float(targets.image(path)))] if seen.mean() >= MINIMUM_VALID_SHARE else []
        else:
            cells = _cells(seen, grid, top, left, config.cell)
            if config.samples_per_image:
                cells = _draw(cells, max(1, round(config.samples_per_image / len(chips))), seed=top * 65536 + left)
        if cells:
            found.append((chip, (top, left), cells))
    return found


def _cells(seen: np.ndarray, grid: np.ndarray, top: int, left: int, cell: int) -> list[Cell]:
    rows, columns = seen.shape[0] // cell, seen.shape[1] // cell
    share = seen[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    part = grid[top // cell : top // cell + rows, left // cell : left // cell + columns]
    keep = np.isfinite(part) & (share >= MINIMUM_VALID_SHARE)
    return [(int(r), int(c), float(part[r, c])) for r, c in np.argwhere(keep)]


def _draw(cells: list[Cell], count: int, seed: int) -> list[Cell]:
    if len(cells) <= count:
        return cells
    chosen = np.random.default_rng(seed).choice(len(cells), count, replace=False)
    return [cells[i] for i in sorted(chosen)]


def _index(names: tuple[str, ...]) -> np.ndarray:
    return np.unique(np.array(names), return_inverse=True)[1]


def _all_bands_above(path: Path, percentile: float, at_least: float) -> bool:
    import rasterio

    with rasterio.open(path) as dataset:
        stored = dataset.read()
    return bool((np.percentile(stored, percentile, axis=(1, 2)) >= at_least).all())
