"""Real samples of the benchmark load through the same code: pixels, labels, and what the band names hide."""

import csv
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from skyweave.downstream.geobench import get_task, open_task, read_sample

pytestmark = pytest.mark.realdata

FOLDERS = {"eurosat": "m-eurosat", "brick_kiln": "m-brick-kiln", "chesapeake": "m-chesapeake"}


def real_samples(data_dir: Path) -> list[tuple[Path, str, str]]:
    """File, task, and label as it was read by other means."""
    with (data_dir / "geobench_samples" / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [
        (data_dir / "geobench_samples" / row["dataset"] / row["file"], FOLDERS[row["dataset"]], row["label"])
        for row in rows
    ]


def test_pixels_are_those_of_the_file_and_labels_are_right(data_dir: Path) -> None:
    samples = real_samples(data_dir)
    assert len(samples) == 7
    for path, name, label in samples:
        task, sample = get_task(name), read_sample(path, get_task(name))
        (observation,), (stored,) = sample.observations, task.sensors
        assert observation.valid.all() and observation.shape == (task.size, task.size)
        assert observation.ground_sample_distance == stored.ground_sample_distance
        with h5py.File(path) as file:
            for pixels, (_, theirs) in zip(observation.pixels, stored.bands, strict=True):
                direct = np.float32(stored.encoding.scale) * file[theirs][()].astype(np.float32)
                assert np.array_equal(pixels, direct), (path.name, theirs)
            if task.kind == "segmentation":
                assert np.array_equal(sample.label, file["label"][()])
                assert set(np.unique(sample.label)) == {int(number) for number in label.split(":")[1].split()}
            else:
                assert sample.label == int(label)


def test_eurosats_last_bands_are_what_we_say(data_dir: Path) -> None:
    """Cirrus is next to nothing, and the narrow near infrared is next to the wide one."""
    path = data_dir / "geobench_samples" / "eurosat" / "id_1905.hdf5"
    observation = read_sample(path, get_task("m-eurosat")).observations[0]
    means = dict(zip((band.name for band in observation.sensor.bands), observation.pixels.mean((1, 2)), strict=True))
    assert means["cirrus"] < 0.002 < 0.02 < means["swir22"] < means["swir16"] < means["nir08"]
    assert means["nir08"] == pytest.approx(means["nir"], rel=0.15) and means["nir09"] < 0.5 * means["nir"]


def test_brick_kilns_last_bands_are_what_we_say(data_dir: Path) -> None:
    """The last three are the visible ones again in 8 bits; the two before them are no near infrared."""
    for path in sorted((data_dir / "geobench_samples" / "brick_kiln").glob("*.hdf5")):
        with h5py.File(path) as file:
            bands = {name: file[name][()].ravel() for name in file}
        for again, first in (
            ("10 - SWIR - Cirrus", "04 - Red"),
            ("11 - SWIR", "03 - Green"),
            ("12 - SWIR", "02 - Blue"),
        ):
            assert np.corrcoef(bands[again], bands[first])[0, 1] > 0.996
            assert np.median(bands[again] / bands[first]) == pytest.approx(0.102, abs=0.001)
        for named in ("08A - Vegetation Red Edge", "09 - Water vapour"):
            assert np.corrcoef(bands[named], bands["08 - NIR"])[0, 1] < 0.6


def test_chesapeakes_first_class_is_water(data_dir: Path) -> None:
    path = data_dir / "geobench_samples" / "chesapeake" / "id_000367.hdf5"
    sample, classes = read_sample(path, get_task("m-chesapeake")), get_task("m-chesapeake").classes
    infrared = sample.observations[0].pixels[sample.observations[0].sensor.index("nir")]
    mean = {classes[number]: float(infrared[sample.label == number].mean()) for number in np.unique(sample.label)}
    assert mean["water"] < 0.5 * mean["tree canopy"]


def test_real_samples_make_a_task(data_dir: Path, tmp_path: Path) -> None:
    """A folder as the archive has it, with real files: the same way that a user's data takes."""
    folder = tmp_path / "classification_v1.0" / "m-brick-kiln"
    folder.mkdir(parents=True)
    for path in (data_dir / "geobench_samples" / "brick_kiln").glob("*.hdf5"):
        shutil.copy(path, folder)
    partition = {"train": ["examples_0_12"], "valid": ["examples_0_37"], "test": ["examples_0_9"]}
    (folder / "default_partition.json").write_text(json.dumps(partition))
    data = open_task(tmp_path, "m-brick-kiln", statistics="task")
    assert [sample.label for sample in (*data.train, *data.validation, *data.test)] == [0, 0, 0]
    assert data.test[0].observations[0].sensor.means == pytest.approx(
        data.train[0].observations[0].pixels.mean((1, 2)), rel=1e-4
    )
