"""All twelve tasks load through one path; what is wrong with a folder is said by name."""

import ast
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from fabricated_geobench import first_sample, miniature, place_of, redescribe, rewrite
from skyweave.downstream.geobench.folder import find_tasks, open_task
from skyweave.downstream.geobench.pickling import stored_array, write_pickle
from skyweave.downstream.geobench.sample import read_sample
from skyweave.downstream.geobench.tasks import get_task, list_tasks
from skyweave.downstream.geobench.unpickle import PickledObject, read_pickle
from skyweave.downstream.labels import IGNORE_INDEX, check_sample


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All twelve, to read only."""
    return miniature(tmp_path_factory.mktemp("geobench"))


@pytest.fixture
def eurosat(tmp_path: Path) -> Path:
    """One task of its own, to spoil."""
    return miniature(tmp_path, "m-eurosat")


@pytest.fixture
def cashew(tmp_path: Path) -> Path:
    return miniature(tmp_path, "m-cashew-plant")


@pytest.mark.parametrize("name", list(list_tasks()))
def test_every_task_loads(archive: Path, name: str) -> None:
    data, task = open_task(archive, name), get_task(name)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 3, 3)
    assert data.task == task.task
    for sample in (data.train[0], data.validation[-1], data.test[2]):
        check_sample(sample, data.task.label_kind, len(data.task.classes))
        measured = f" of {name}" * (task.statistics == "task")
        names = [stored.sensor.name + measured for stored in task.sensors]
        assert [observation.sensor.name for observation in sample.observations] == names
        assert len({observation.shape for observation in sample.observations}) == 1
        for observation, stored in zip(sample.observations, task.sensors, strict=True):
            assert observation.valid.all()
            assert observation.ground_sample_distance <= stored.ground_sample_distance
            means = observation.pixels.mean((1, 2))
            assert (np.abs(means - stored.sensor.means) < 6 * stored.sensor.stds).all(), stored.name
    with pytest.raises(IndexError):
        data.train[6]


@pytest.mark.parametrize("name", list(list_tasks()))
def test_labels_can_be_learnt_from_the_pictures(archive: Path, name: str) -> None:
    """Samples (or pixels) of one class are nearer to each other than to those of other classes."""
    data = open_task(archive, name)
    colours: dict[int, list[np.ndarray]] = {}
    for sample in (*data.train, *data.validation, *data.test):
        seen = sample.observations[0]  # the others of NeonTree are coarser than its masks
        pixels = (seen.pixels - seen.sensor.means[:, None, None]) / seen.sensor.stds[:, None, None]
        label = np.asarray(sample.label)
        mask = label if data.task.kind == "segmentation" else np.full(pixels.shape[1:], label if label.ndim == 0 else 0)
        for value in np.unique(mask):
            colours.setdefault(int(value), []).append(np.median(pixels[:, mask == value], axis=1))
    if data.task.kind == "multilabel":  # of one patch's colour nothing can be said; that they differ can
        assert np.ptp(np.array(colours[0]), axis=0).max() > 1
        return
    centres = {value: np.mean(rows, axis=0) for value, rows in colours.items()}
    right = [
        min(centres, key=lambda other: float(np.abs(centres[other] - row).sum())) == value
        for value, rows in colours.items()
        for row in rows
    ]
    assert np.mean(right) > 0.9


def test_tasks_are_found_in_archive_collection_and_alone(archive: Path) -> None:
    assert list(find_tasks(archive)) == list(list_tasks())
    assert list(find_tasks(archive / "segmentation_v1.0")) == [
        n for n, t in list_tasks().items() if t.kind == "segmentation"
    ]
    alone = archive / "classification_v1.0" / "m-so2sat"
    assert find_tasks(alone) == {"m-so2sat": alone}
    assert open_task(alone).task.name == "m-so2sat"


def test_a_fraction_is_the_published_partition(archive: Path) -> None:
    place = place_of(archive, "m-eurosat")
    whole, half = open_task(archive, "m-eurosat"), open_task(archive, "m-eurosat", fraction=0.5)
    assert list(half.train.names) == json.loads((place / "0.50x_train_partition.json").read_text())["train"]  # type: ignore[attr-defined]
    assert len(half.train) == 3 and len(half.test) == len(whole.test)
    with pytest.raises(ValueError, match=r"fraction 0.3 .* published for 0.01, 0.02, 0.05, 0.1"):
        open_task(archive, "m-eurosat", fraction=0.3)


def test_sensors_are_selected_and_ordered(archive: Path) -> None:
    sample = open_task(archive, "m-so2sat", sensors=["sentinel1", "sentinel2"]).train[0]
    assert [o.sensor.name for o in sample.observations] == ["sentinel1-grd", "sentinel2-l1c"]
    assert len(open_task(archive, "m-NeonTree", sensors=["rgb"]).train[0].observations) == 1


def test_coarser_pixels_lie_on_the_masks_grid(archive: Path) -> None:
    sample = open_task(archive, "m-NeonTree").train[0]
    rgb, spectra, canopy = sample.observations
    assert rgb.shape == spectra.shape == canopy.shape == np.asarray(sample.label).shape == (20, 20)
    assert spectra.ground_sample_distance == canopy.ground_sample_distance == pytest.approx(0.1)
    blocks = canopy.pixels[0].reshape(2, 10, 2, 10)
    assert (blocks == blocks[:, :1, :, :1]).all() and len(spectra.sensor) == 191


def test_times_are_known_where_the_files_say(archive: Path) -> None:
    assert open_task(archive, "m-forestnet").train[0].observations[0].time == 1451606400 * 10**9  # 2016-01-01
    assert open_task(archive, "m-eurosat").train[0].observations[0].time is None


def test_unlabelled_pixels_count_or_are_ignored(archive: Path) -> None:
    counted = open_task(archive, "m-cashew-plant")
    ignored = open_task(archive, "m-cashew-plant", unlabelled="ignore")
    with_unknown = [i for i, sample in enumerate(counted.train) if np.isin(sample.label, (0, 6)).any()]
    assert with_unknown
    for index in with_unknown:
        before, after = np.asarray(counted.train[index].label), np.asarray(ignored.train[index].label)
        assert ((after == IGNORE_INDEX) == np.isin(before, (0, 6))).all() and (after == before)[
            after != IGNORE_INDEX
        ].all()


def test_statistics_of_the_task_normalise_it(archive: Path) -> None:
    data = open_task(archive, "m-so2sat", statistics="task")
    for number in (0, 1):
        pixels = np.concatenate(
            [s.observations[number].pixels.reshape(len(s.observations[number].sensor), -1) for s in data.train], 1
        )
        sensor = data.test[0].observations[number].sensor
        assert sensor.name.endswith(" of m-so2sat")  # a model that knows the sensor would use its own
        assert sensor.means == pytest.approx(pixels.mean(1), rel=1e-3)
        assert sensor.stds == pytest.approx(pixels.std(1), rel=1e-2)
    with pytest.raises(ValueError, match="use one of auto, sensor, task"):
        open_task(archive, "m-so2sat", statistics="mine")  # type: ignore[arg-type]


def test_nothing_that_is_there_is_fabricated_over(eurosat: Path) -> None:
    with pytest.raises(FileExistsError, match="m-eurosat is not empty"):
        miniature(eurosat, "m-eurosat")
    for samples, size in (((0, 1, 1), 20), ((1, 1, 1), 5)):
        with pytest.raises(ValueError, match="give one of each split at least"):
            miniature(eurosat, "m-so2sat", samples=samples, size=size)


def test_slices_stay_lazy(archive: Path) -> None:
    train = open_task(archive, "m-eurosat").train
    assert [sample.name for sample in train[1:3]] == [train[1].name, train[2].name]
    assert train[-1].name == train[5].name


def test_notes_say_what_a_miniature_is_and_which_classes_a_split_lacks(archive: Path) -> None:
    notes = "\n".join(open_task(archive, "m-eurosat").notes)
    assert "6 of 2000 (train)" in notes and "scores do not compare" in notes
    assert "no valid sample has" in notes and "AnnualCrop" in notes and "band names are wrong" in notes


def test_classes_absent_are_known_from_a_label_map_too(eurosat: Path) -> None:
    place = place_of(eurosat, "m-eurosat")
    stats = json.loads((place / "label_stats.json").read_text())
    label_map: dict[str, list[str]] = {}
    for name, row in stats.items():
        label_map.setdefault(str(int(np.argmax(row))), []).append(name)
    before = [note for note in open_task(eurosat, "m-eurosat").notes if "sample has" in note]
    (place / "label_stats.json").unlink()
    assert [note for note in open_task(eurosat, "m-eurosat").notes if "sample has" in note] == []
    (place / "label_map.json").write_text(json.dumps(label_map))
    assert [note for note in open_task(eurosat, "m-eurosat").notes if "sample has" in note] == before != []


# What can be wrong with a folder.


def test_no_folder_and_no_task(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no folder; download"):
        open_task(tmp_path / "nowhere", "m-eurosat")
    with pytest.raises(FileNotFoundError, match=r"no folder m-eurosat; it has no task at all; run: skyweave download"):
        open_task(tmp_path, "m-eurosat")
    with pytest.raises(KeyError, match="GEO-Bench has no task"):
        open_task(tmp_path)
    shutil.copytree(place_of(archive, "m-so2sat"), tmp_path / "m-so2sat")
    with pytest.raises(FileNotFoundError, match="it has m-so2sat"):
        open_task(tmp_path, "m-eurosat")


def test_missing_partitions(eurosat: Path) -> None:
    place = place_of(eurosat, "m-eurosat")
    (place / "default_partition.json").unlink()
    assert len(open_task(eurosat, "m-eurosat").train) == 6  # the 1.00x partition is the same
    (place / "1.00x_train_partition.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no partition default_partition.json \(it has 0.01x_train_part"):
        open_task(eurosat, "m-eurosat")
    (place / "0.10x_train_partition.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no partition 0.10x_train_partition.json"):
        open_task(eurosat, "m-eurosat", fraction=0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ["id_0000"', "no JSON, or it breaks off"),
        ("[" * 100_000, "no JSON, or it breaks off"),
        ('{"train": ["id_0000"]}', "has to name the samples of train, valid, test"),
        ('["id_0000"]', "has to name the samples"),
        ('{"train": [], "valid": ["id_0001"], "test": ["id_0002"]}', "train names no samples"),
        ('{"train": [1], "valid": ["a"], "test": ["b"]}', "train is no list of names"),
        ('{"train": ["../../etc/passwd"], "valid": ["a"], "test": ["b"]}', "leads out of the folder; refused"),
        ('{"train": ["a"], "valid": ["/etc/a"], "test": ["b"]}', "leads out of the folder; refused"),
    ],
)
def test_partitions_that_cannot_be(eurosat: Path, content: str, message: str) -> None:
    path = place_of(eurosat, "m-eurosat") / "default_partition.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_task(eurosat, "m-eurosat")
    assert str(path) in str(caught.value)


def test_samples_in_two_splits_are_noted(eurosat: Path) -> None:
    path = place_of(eurosat, "m-eurosat") / "default_partition.json"
    partition = json.loads(path.read_text())
    partition["test"].append(partition["train"][0])
    path.write_text(json.dumps(partition))
    assert any(
        "names 1 samples twice, perhaps to train and to test" in n for n in open_task(eurosat, "m-eurosat").notes
    )


def test_a_folder_half_downloaded(eurosat: Path) -> None:
    place = place_of(eurosat, "m-eurosat")
    for number in (4, 5, 7, 8):
        (place / f"id_{number:04d}.hdf5").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"is not whole: 4 of 12 samples have no file \(id_0004, id_0005, id_0007, ...\); run"
    ):
        open_task(eurosat, "m-eurosat")
    part = open_task(eurosat, "m-eurosat", partial=True)
    assert (len(part.train), len(part.validation)) == (4, 1)
    assert any("4 of 12 samples have no file" in note for note in part.notes)
    (place / "id_0006.hdf5").unlink()
    with pytest.raises(FileNotFoundError, match="and none of valid"):
        open_task(eurosat, "m-eurosat", partial=True)


def test_a_sample_that_breaks_off(eurosat: Path) -> None:
    path = first_sample(eurosat, "m-eurosat")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(OSError, match=r"id_0000\.hdf5 is no HDF5 file or breaks off"):
        open_task(eurosat, "m-eurosat")
    path.write_bytes(b"<html>busy</html>")
    with pytest.raises(OSError, match="is no HDF5 file"):
        open_task(eurosat, "m-eurosat")


@pytest.mark.parametrize("label", [10, -1, 10**30])
def test_labels_outside_the_classes(eurosat: Path, label: int) -> None:
    path = first_sample(eurosat, "m-eurosat")
    redescribe(path, lambda described: described.update(label=label))
    with pytest.raises(ValueError, match=rf"id_0000\.hdf5: label {label} is no class; use 0 to 9"):
        read_sample(path, get_task("m-eurosat"))


@pytest.mark.parametrize("label", ["Forest", None, 1.5, [1, 2], PickledObject("affine.Affine", (1.0,)), {}])
def test_labels_that_are_no_class_number(eurosat: Path, label: object) -> None:
    path = first_sample(eurosat, "m-eurosat")
    redescribe(path, lambda described: described.update(label=label))
    with pytest.raises(ValueError, match=r"id_0000\.hdf5: its label"):
        read_sample(path, get_task("m-eurosat"))


def test_a_label_may_be_a_number_of_numpy(eurosat: Path) -> None:
    path = first_sample(eurosat, "m-eurosat")
    redescribe(path, lambda described: described.update(label=stored_array(np.array([3]))))
    assert read_sample(path, get_task("m-eurosat")).label == 3
    redescribe(path, lambda described: described.pop("label"))
    with pytest.raises(ValueError, match="it has no label"):
        read_sample(path, get_task("m-eurosat"))


def test_rows_of_yes_and_no(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "m-bigearthnet")
    path, task = first_sample(folder, "m-bigearthnet"), get_task("m-bigearthnet")
    redescribe(path, lambda described: described.update(label=[1] + [0] * 42))
    label = np.asarray(read_sample(path, task).label)
    assert label.dtype == bool and label.tolist() == [True] + [False] * 42
    for wrong, message in (([2] + [0] * 42, r"holds \[2\]"), ([1, 0], r"shape \(2,\)"), (3, r"shape \(1,\)|holds")):
        redescribe(path, lambda described, wrong=wrong: described.update(label=wrong))  # type: ignore[misc]
        with pytest.raises(ValueError, match=message):
            read_sample(path, task)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: mask + 7, r"the mask holds \[7.*\], which are no classes \(0 to 6\)"),
        (lambda mask: mask[:10], r"the mask has shape \(10, 20\), the image"),
        (lambda mask: mask[:, :, None], r"its mask has shape \(20, 20, 1\)"),
        (lambda mask: mask + 0.5, "its mask holds fractions"),
        (lambda mask: mask * np.nan, "its mask holds fractions"),
    ],
)
def test_masks_that_do_not_fit(cashew: Path, change: object, message: str) -> None:
    path = first_sample(cashew, "m-cashew-plant")
    rewrite(path, "label", change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        read_sample(path, get_task("m-cashew-plant"))
    assert str(path) in str(caught.value)


def test_bands_missing_or_of_other_sizes(eurosat: Path) -> None:
    path, task = first_sample(eurosat, "m-eurosat"), get_task("m-eurosat")
    rewrite(path, "04 - Red", lambda band: band[:10, :10])
    with pytest.raises(ValueError, match=r"bands of sentinel2 have different sizes: .*'04 - Red' \(10, 10\)"):
        read_sample(path, task)
    with h5py.File(path, "r+") as file:
        del file["04 - Red"]
    with pytest.raises(ValueError, match=r"it has no '04 - Red'; it has 01 - Coastal aerosol.*another task"):
        read_sample(path, task)


def test_two_dates_are_not_mixed(cashew: Path) -> None:
    path = first_sample(cashew, "m-cashew-plant")
    with h5py.File(path, "r+") as file:
        file["04 - Red_2020-01-01"] = file["04 - Red_2019-11-15"][()]
    with pytest.raises(ValueError, match="'04 - Red' is there for 2 dates"):
        read_sample(path, get_task("m-cashew-plant"))


def test_another_version_of_the_task(eurosat: Path) -> None:
    place = place_of(eurosat, "m-eurosat")
    other = PickledObject(
        "geobench.task.TaskSpecifications",
        (),
        {"label_type": PickledObject("geobench.label.Classification", (), {"n_classes": 12})},
    )
    (place / "task_specs.pkl").write_bytes(write_pickle(other))
    with pytest.raises(ValueError, match="specifies 12 classes where m-eurosat has 10"):
        open_task(eurosat, "m-eurosat")
    (place / "task_specs.pkl").write_bytes(write_pickle({"a": 1}))
    with pytest.raises(ValueError, match="specifies no task"):
        open_task(eurosat, "m-eurosat")
    (place / "task_specs.pkl").write_bytes(b"\x80\x04cos\nsystem\n(X\x02\x00\x00\x00idtR.")
    with pytest.raises(ValueError, match=r"task_specs\.pkl: its pickle asks for os\.system"):
        open_task(eurosat, "m-eurosat")


@pytest.mark.parametrize("content", ['{"id_0000": [1, 0]}', '{"id_0000": 3}', "[]"])
def test_label_statistics_that_do_not_fit(eurosat: Path, content: str) -> None:
    (place_of(eurosat, "m-eurosat") / "label_stats.json").write_text(content)
    with pytest.raises(ValueError, match="has to give 10 numbers for each sample"):
        open_task(eurosat, "m-eurosat")


def scaled(path: Path, factor: float) -> None:
    """As large as pictures whose unit is judged, and off by a factor."""
    with h5py.File(path) as file:
        names = list(file)
    for name in names:
        rewrite(path, name, lambda band: np.tile(band, (2, 2)) * factor)


def test_values_of_another_unit_are_refused(eurosat: Path) -> None:
    """A hundred times what digital numbers can be: in every sample it is an error, in one it may be a cloud."""
    place = place_of(eurosat, "m-eurosat")
    scaled(place / "id_0000.hdf5", 100.0)
    assert len(open_task(eurosat, "m-eurosat").train) == 6
    for path in sorted(place.glob("*.hdf5"))[1:]:
        scaled(path, 100.0)
    with pytest.raises(ValueError, match="declare the unit"):
        open_task(eurosat, "m-eurosat")


# What an attacker would put into a sample.


@pytest.mark.parametrize("name", ["external", "soft", "virtual", "elsewhere"])
def test_links_out_of_the_file_are_refused(eurosat: Path, tmp_path: Path, name: str) -> None:
    path, secret = first_sample(eurosat, "m-eurosat"), tmp_path / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["a"] = np.zeros((20, 20), np.int16)
    (tmp_path / "secret.bin").write_bytes(bytes(800))
    with h5py.File(path, "r+") as file:
        del file["04 - Red"]
        if name == "external":
            file["04 - Red"] = h5py.ExternalLink(str(secret), "a")
        elif name == "soft":
            file["04 - Red"] = h5py.SoftLink("/02 - Blue")
        elif name == "virtual":
            layout = h5py.VirtualLayout((20, 20), np.int16)
            layout[:] = h5py.VirtualSource(str(secret), "a", (20, 20))
            file.create_virtual_dataset("04 - Red", layout)
        else:
            file.create_dataset("04 - Red", (20, 20), np.int16, external=[(str(tmp_path / "secret.bin"), 0, 800)])
    with pytest.raises(ValueError, match="'04 - Red' is no dataset of this file but points elsewhere; refused"):
        read_sample(path, get_task("m-eurosat"))


def test_a_picture_larger_than_any_is_not_allocated(eurosat: Path) -> None:
    path = first_sample(eurosat, "m-eurosat")
    with h5py.File(path, "r+") as file:
        del file["04 - Red"]
        file.create_dataset("04 - Red", (2**20, 2**20), np.int16, chunks=(64, 64))  # a few kilobytes on the disk
    with pytest.raises(ValueError, match="no image of the benchmark is of that size"):
        read_sample(path, get_task("m-eurosat"))


@pytest.mark.parametrize(
    "attribute",
    ["__import__('os').system('touch canary')", "b'a' + b'b'", "(" * 10_000, "b'\\x80\\x04N.' ", "", 5],
)
def test_the_attribute_is_bytes_or_nothing(
    eurosat: Path, attribute: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = first_sample(eurosat, "m-eurosat")
    with h5py.File(path, "r+") as file:
        file.attrs["pickle"] = attribute
    with pytest.raises(ValueError, match="attribute 'pickle'"):
        read_sample(path, get_task("m-eurosat"))
    assert not (tmp_path / "canary").exists()


def test_a_hostile_pickle_in_a_sample(eurosat: Path) -> None:
    path = first_sample(eurosat, "m-eurosat")
    with h5py.File(path, "r+") as file:
        file.attrs["pickle"] = str(b"cbuiltins\neval\n(X\x01\x00\x00\x001tR.")
    with pytest.raises(ValueError, match=r"id_0000\.hdf5: its pickle asks for builtins\.eval"):
        open_task(eurosat, "m-eurosat")


def test_what_is_written_is_what_python_would_read(archive: Path) -> None:
    """The fabricator's pickles are pickles: Python's reader, given stand-ins for the classes, agrees with ours."""
    import pickle

    class Standing(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            if module.split(".")[0] in ("geobench", "affine", "rasterio"):
                return type(
                    name, (), {"__new__": lambda cls, *a: object.__new__(cls), "__setstate__": lambda s, x: None}
                )
            return super().find_class(module, name)

    for name in list_tasks():
        with h5py.File(first_sample(archive, name)) as file:
            data = ast.literal_eval(file.attrs["pickle"])
        import io

        theirs, ours = Standing(io.BytesIO(data)).load(), read_pickle(data, name)
        assert list(theirs) == list(ours) and theirs["bands_order"] == ours["bands_order"]
        if name == "m-bigearthnet":
            assert (
                theirs["label"].tolist()
                == np.asarray(read_sample(first_sample(archive, name), get_task(name)).label).tolist()
            )


def test_damage_anywhere_is_an_error_with_the_files_name(eurosat: Path) -> None:
    """Bytes of a sample are changed at random: what comes is a sample, or one of two kinds of error, never a crash."""
    path, task, random = first_sample(eurosat, "m-eurosat"), get_task("m-eurosat"), np.random.default_rng(0)
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(len(whole), size=random.integers(1, 30)):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            outcomes.add(len(read_sample(path, task).observations))
        except (OSError, ValueError) as error:
            outcomes.add(type(error).__name__)
            assert str(path) in str(error)
    assert {1, "OSError", "DataError"} <= outcomes <= {1, "OSError", "DataError", "UnsafePickleError"}
