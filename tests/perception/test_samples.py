from dataclasses import replace

import numpy as np
import pytest

import fabricated_scene as toy
from skyweave.core.geometry.frames import look_at
from skyweave.perception.augmentation import AugmentationConfig
from skyweave.perception.batch import collate
from skyweave.perception.dataset import PerceptionDataset, map_centre
from skyweave.perception.metrics import visible_objects
from skyweave.perception.photometric import PhotometricConfig
from skyweave.recordings.recording import Annotations, RecordedScene


def test_a_sample_holds_the_past_the_present_and_the_future() -> None:
    sample = PerceptionDataset([toy.scene()], toy.config())[2]
    assert [len(views) for views in sample.frames] == [4, 4]
    assert sample.platforms[0] == sample.ego and len(sample.platforms) == 4
    cars = sample.objects.labels == 0
    moved = sample.objects.future[cars] - sample.objects.boxes.centres[cars, None, :2]
    assert moved[:, :, 0] == pytest.approx(np.tile([2.0, 4.0], (6, 1)))
    assert sample.objects.observed.all()


def test_an_object_has_the_same_number_in_every_sample_and_knows_who_saw_it() -> None:
    scene = toy.scene()
    channels = {c.platform: name for name, c in scene.frames[0].captures.items()}
    frames = []
    for number, frame in enumerate(scene.frames):
        assert frame.annotations is not None
        order = np.roll(np.arange(len(frame.annotations.boxes)), number)
        ego = frame.annotations
        frames.append(
            replace(
                frame,
                annotations=Annotations(
                    ego.boxes.select(order),
                    ego.velocities[order],
                    tuple(ego.categories[i] for i in order),
                    tuple(ego.instances[i] for i in order),
                    {channel: (order % 4 == k).astype(float) for k, channel in enumerate(channels.values())},
                ),
            )
        )
    samples = PerceptionDataset([replace(scene, frames=frames)], toy.config(history=1))
    first, second = samples[1].objects, samples[2].objects
    assert sorted(first.identities) == sorted(second.identities)
    moved = {i: c for i, c in zip(first.identities.tolist(), first.future[:, 0], strict=True)}
    for identity, centre in zip(second.identities.tolist(), second.boxes.centres[:, :2], strict=True):
        assert centre == pytest.approx(moved[identity], abs=1e-6)
    assert first.observed.all() and (first.seen_by.sum(1) == 1).all()
    alone = first.observed_by(np.array([0]))
    assert alone.observed.sum() == first.seen_by[:, 0].sum() < len(first.observed)


def test_the_first_frame_has_no_past_and_the_last_no_future() -> None:
    samples = PerceptionDataset([toy.scene()], toy.config())
    assert not samples[0].frames[0] and samples[0].frames[1]
    assert np.isnan(samples[5].objects.future).all()
    assert collate([samples[0], samples[3]]).present.tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("number", range(8))
def test_augmentation_moves_cameras_objects_and_pictures_together(number: int) -> None:
    """Every car's roof is where its box projects to, in every augmented picture."""
    augmentation = AugmentationConfig(photometric=PhotometricConfig(share=0), zoom=1.5 if number % 2 else 1)
    sample = PerceptionDataset([toy.scene(8)], toy.config(), augmentation, seed=number)[number]
    boxes = sample.objects.boxes.select(sample.objects.labels == 0)
    roofs = boxes.centres + np.array([0, 0, 0.8])
    found, blur = 0, 30 if number % 2 else 1e-3  # resampling mixes a roof's edge with what is beside it
    for view in sample.frames[-1]:
        pixels, _ = view.geometry.project(roofs)
        for u, v in pixels[view.geometry.camera.inside(pixels)]:
            assert view.observation.pixels[:, int(v), int(u)] == pytest.approx([230, 60, 40], abs=blur)
            found += 1
    assert found > 10
    heading = np.stack([np.cos(boxes.yaws), np.sin(boxes.yaws)], 1)
    assert sample.objects.velocities[sample.objects.labels == 0] == pytest.approx(toy.SPEED * heading)
    step = sample.objects.future[:6, 0] - sample.objects.boxes.centres[:6, :2]
    if number < 7:
        assert step == pytest.approx(toy.SPEED / 2 * heading, abs=1e-9)


def test_augmentation_is_a_function_of_seed_and_index() -> None:
    scenes = [toy.scene()]
    first, again = (PerceptionDataset(scenes, toy.config(), AugmentationConfig(), seed=3)[9] for _ in range(2))
    other = PerceptionDataset(scenes, toy.config(), AugmentationConfig(), seed=4)[9]
    assert first.objects.boxes.centres == pytest.approx(again.objects.boxes.centres)
    assert first.platforms == again.platforms
    assert not np.allclose(first.objects.boxes.yaws, other.objects.boxes.yaws)


def test_platforms_take_turns_as_the_ego_in_evaluation() -> None:
    samples = PerceptionDataset([toy.scene()], toy.config())
    assert [samples[i].ego for i in range(4)] == ["UAV_1", "UAV_2", "UAV_3", "UAV_4"]


def test_scenes_without_annotated_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="no annotated frame"):
        PerceptionDataset([RecordedScene("empty", [])], toy.config())


def test_the_map_lies_where_the_camera_looks_but_never_at_the_horizon() -> None:
    capture = toy.frame(0).captures["UAV_1"]
    assert map_centre(capture.geometry, toy.scene().ground, 32) == pytest.approx([0, 0], abs=1e-6)
    level = type(capture.geometry)(toy.CAMERA, look_at(np.array([0.0, 0, 30]), np.array([100.0, 0, 30])))
    assert map_centre(level, toy.scene().ground, 32) == pytest.approx([64, 0])


def test_an_object_counts_as_seen_if_any_platform_sees_it() -> None:
    boxes = toy.frame(0).annotations.boxes.select(np.arange(3))  # type: ignore[union-attr]
    shares = {"a": np.array([0, 0.2, 0]), "b": np.array([0, 0, np.nan])}
    annotations = Annotations(boxes, np.zeros((3, 2)), ("car",) * 3, ("x", "y", "z"), shares)
    assert visible_objects(annotations).tolist() == [False, True, True]
    nothing = Annotations(boxes, np.zeros((3, 2)), ("car",) * 3, ("x", "y", "z"))
    assert visible_objects(nothing).all()


@pytest.mark.parametrize("number", range(6))
def test_known_depths_move_with_their_pictures(number: int) -> None:
    augmentation = AugmentationConfig(zoom=1.5 if number % 2 else 1)
    sample = PerceptionDataset([toy.scene(8)], toy.config(), augmentation, seed=number, depth=True)[number]
    assert all(view.depth is None for view in sample.frames[0])
    for view in sample.frames[-1]:
        assert view.depth is not None
        expected = toy.ground_depth(view.geometry)
        assert view.depth.shape == view.observation.shape
        assert np.abs(view.depth / expected - 1).max() < (0.02 if number % 2 else 1e-4)
