"""Training and scoring say how many objects of each class they see, and refuse none."""

from dataclasses import replace
from pathlib import Path

import pytest

import fabricated_scene as toy
from fabricated_layouts import air_co_pred
from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.perception.class_counts import check_classes, count_classes
from skyweave.perception.dataset import PerceptionDataset
from skyweave.recordings.recording import RecordedScene

CONFIG = """
name: small
recordings: [tables]
weights: null
split: null
model:
  map: {size: 64.0, resolution: 2.0}
  lift: {bins: height, options: {ceiling: 4.0, count: 3}, channels: 8}
  neck: 8
  trunk: [8, 8, 8]
  horizon: 2
  categories: [CATEGORIES]
optimiser: {steps: 1, batch: 1, warmup: 1}
trainer: {precision: 32-true}
"""


def renamed(scene: RecordedScene, names: dict[str, str]) -> RecordedScene:
    frames = []
    for frame in scene.frames:
        assert frame.annotations is not None
        categories = tuple(names.get(name, name) for name in frame.annotations.categories)
        frames.append(replace(frame, annotations=replace(frame.annotations, categories=categories)))
    return replace(scene, frames=frames)


def test_classes_that_match_are_counted() -> None:
    lines: list[str] = []
    check_classes(PerceptionDataset([toy.scene()], toy.config()), lines.append)
    assert lines[0].startswith("6 samples, objects: car ") and ", truck 6" in lines[0]
    assert len(lines) == 1


def test_classes_of_one_side_only_are_named() -> None:
    lines: list[str] = []
    scene = renamed(toy.scene(), {"truck": "lorry"})
    check_classes(PerceptionDataset([scene], toy.config()), lines.append)
    assert lines[1] == "warning: no object of truck: not seen, or not in the recordings"
    assert lines[2] == "warning: not among the model's categories, and left out: lorry (6)"


def test_no_common_class_names_both_lists() -> None:
    scene = renamed(toy.scene(), {"car": "vehicle.car", "truck": "vehicle.truck"})
    with pytest.raises(DataError, match=r"categories \(car, truck\).*vehicle\.car \(36\).*set model\.categories"):
        count_classes(PerceptionDataset([scene], toy.config())).check()


def test_recordings_without_objects_are_another_fault() -> None:
    counts = count_classes(PerceptionDataset([toy.scene()], toy.config()))
    with pytest.raises(DataError, match=r"no annotated object.*`skyweave inspect FOLDER` says which, and why"):
        replace(counts, counted={"car": 0, "truck": 0}, annotated={}).check()


def test_frames_at_another_interval_are_named() -> None:
    lines: list[str] = []
    check_classes(PerceptionDataset([toy.scene()], toy.config(interval=0.13)), lines.append)
    assert [line.split(":")[1].strip() for line in lines[1:]] == [
        "no sample has an earlier frame",
        "no object has a later position",
    ]
    assert all("frames are not 0.13 s apart, which is model.interval" in line for line in lines[1:])


def test_objects_that_are_nowhere_near_are_another_fault() -> None:
    frames = []
    for frame in toy.scene().frames:
        assert frame.annotations is not None
        boxes = frame.annotations.boxes
        frames.append(
            replace(
                frame,
                annotations=replace(frame.annotations, boxes=replace(boxes, centres=boxes.centres + 500.0)),
            )
        )
    with pytest.raises(DataError, match=r"none of 42 annotated objects .* check poses"):
        count_classes(PerceptionDataset([replace(toy.scene(), frames=frames)], toy.config())).check()


@pytest.mark.parametrize(("categories", "status"), [("car, truck", 0), ("tram", 2)])
def test_training_on_public_tables(
    categories: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "tables").mkdir(parents=True)
    air_co_pred(tmp_path / "data" / "tables")
    config = tmp_path / "small.yaml"
    config.write_text(CONFIG.replace("CATEGORIES", categories))
    output = tmp_path / "run"
    assert main(["train", str(config), "--data", str(tmp_path / "data"), "-o", str(output)]) == status
    error = capsys.readouterr().err
    assert (output / "weights.safetensors").exists() is (status == 0)
    if status:
        assert "categories (tram)" in error and "car (" in error
    else:
        assert "objects: car " in error and "left out: pedestrian (" in error
