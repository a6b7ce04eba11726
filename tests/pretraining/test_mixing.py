from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fabricated_dataset import write_raster
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.data.augment import RandomResizedCrop
from skyweave.data.dataset import load_dataset
from skyweave.data.memory_mapped import load_stored_image
from skyweave.pretraining.config import PatchView
from skyweave.pretraining.mixing import MixedBatches, _whole_counts

VIEW = RandomResizedCrop(16)


def same(one, two):
    assert len(one.batches) == len(two.batches) and one.pairs == two.pairs
    for a, b in zip(one.batches, two.batches, strict=True):
        assert a.sensor == b.sensor and torch.equal(a.pixels, b.pixels) and torch.equal(a.valid, b.valid)
        assert torch.equal(a.ground_sample_distance, b.ground_sample_distance)
    return True


def test_sensors_are_balanced_whatever_their_number_of_images(small):
    mixed = MixedBatches(small, VIEW, 9, 40)
    counts = Counter(source.sensor.name for step in range(40) for source, _ in mixed.draw(step))
    assert counts == {"rgb": 120, "sentinel2-l1c": 120, "sentinel1-grd": 120}
    natural = MixedBatches(small, VIEW, 10, 40, balance=1.0)
    counts = Counter(source.sensor.name for step in range(40) for source, _ in natural.draw(step))
    assert counts == {"rgb": 200, "sentinel2-l1c": 120, "sentinel1-grd": 80}


def test_band_subsets_go_in_batches_of_their_own(small):
    batches = [batch for step in range(6) for batch in MixedBatches(small, VIEW, 12, 6)[step].batches]
    assert {len(batch.sensor) for batch in batches if batch.sensor.name == "sentinel2-l1c"} == {6, 13}
    for batch in batches:
        assert batch.pixels.shape[1:] == (len(batch.sensor), 16, 16) and batch.pixels.dtype == torch.float32
        assert batch.valid.dtype == torch.bool and batch.ground_sample_distance.shape == (len(batch),)


def test_every_image_once_before_any_twice(small):
    mixed = MixedBatches(small, VIEW, {"plots": 1, "radar": 1}, 20)
    for turn in range(4):
        seen = [index for step in range(5 * turn, 5 * turn + 5) for s, index in mixed.draw(step) if s.name == "plots"]
        assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("total", [3, 7, 16])
def test_counts_are_whole_and_right_on_average(total):
    exact = total * np.array([0.5, 0.3, 0.2])
    drawn = np.array([_whole_counts(exact, np.random.default_rng(seed)) for seed in range(3000)])
    assert (drawn.sum(1) == total).all() and (np.abs(drawn - exact) < 1 + 1e-9).all()
    np.testing.assert_allclose(drawn.mean(0), exact, atol=0.03)


def test_a_step_depends_on_nothing_but_its_number(small):
    mixed = MixedBatches(small, VIEW, 8, 30, seed=3)
    late = mixed[17]
    for step in range(5):
        mixed[step]
    assert same(late, mixed[17])
    assert same(late, MixedBatches(small, VIEW, 8, 30, seed=3)[17])
    assert not torch.equal(late.batches[0].pixels, MixedBatches(small, VIEW, 8, 30, seed=4)[17].batches[0].pixels)


def test_ranks_see_different_images(small):
    ranks = [MixedBatches(small, VIEW, {"plots": 1}, 5, rank=rank, world_size=5) for rank in range(5)]
    for step in range(5):
        assert sorted(index for mixed in ranks for _, index in mixed.draw(step)) == [0, 1, 2, 3, 4]


def test_workers_change_nothing(small):
    mixed = MixedBatches(small, VIEW, 8, 6)
    alone = list(mixed.loader(0))
    shared = list(mixed.loader(2))
    assert len(alone) == len(shared) == 6
    assert all(same(one, two) for one, two in zip(alone, shared, strict=True))
    resumed = list(mixed.loader(1, start=4))
    assert all(same(one, two) for one, two in zip(alone[4:], resumed, strict=True))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's account of memory")
def test_views_of_a_large_image_take_no_memory_of_its_size(tmp_path):
    def anonymous():
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous")) / 1024

    sensor = get_sensor("rgb")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2000, 2000)).astype(np.float32)
    load_stored_image(tmp_path, "large", sensor, lambda: Observation.from_pixels(pixels, sensor))
    image = load_stored_image(tmp_path, "large", sensor, lambda: pytest.fail("it is there already"))
    assert np.array_equal(image.window(5, 6, 7, 8).pixels, pixels[:, 5:12, 6:14])
    before = anonymous()
    for seed in range(30):
        VIEW(image, np.random.default_rng(seed))
    copies = [load_stored_image(tmp_path, "large", sensor, lambda: pytest.fail("again")) for _ in range(20)]
    assert sum(int(copy.pixels[0].max()) for copy in copies) == 20 * 255
    assert anonymous() - before < 10  # MB; one image is 12, as float 48


def test_weights_inside_a_group(small):
    from dataclasses import replace

    small.sources = [replace(s, weight=4.0) if s.name == "coarse" else s for s in small.sources]
    mixed = MixedBatches(small, VIEW, {"sentinel2-l1c": 10}, 100)
    counts = Counter(source.name for step in range(100) for source, _ in mixed.draw(step))
    assert abs(counts["coarse"] / 1000 - 4 / 6) < 0.05


def test_views_by_sensor(small):
    mixed = MixedBatches(small, {"rgb": RandomResizedCrop(24), "default": VIEW}, 6, 3)
    assert {batch.sensor.name: batch.pixels.shape[-1] for batch in mixed[0].batches}["rgb"] == 24
    with pytest.raises(ValueError, match="no view for source 'tiles'"):
        MixedBatches(small, {"rgb": VIEW}, 6, 3)


def test_wrong_numbers_and_names(small):
    with pytest.raises(ValueError, match="2 images per step cannot hold 3 groups"):
        MixedBatches(small, VIEW, 2, 3)
    with pytest.raises(ValueError, match=r"no source or sensor .*'naip'; valid names: rgb, plots"):
        MixedBatches(small, VIEW, {"naip": 2}, 3)
    with pytest.raises(ValueError, match="at least 1"):
        MixedBatches(small, VIEW, {"rgb": 0}, 3)
    with pytest.raises(IndexError, match="step 3 of a training of 3"):
        MixedBatches(small, VIEW, 3, 3)[3]


def paired(tmp_path, columns=32, place=r"(\d)\.tif"):
    rows, column = np.mgrid[:32, :columns]
    for number in range(3):
        truth = (100 * number + 3 * rows + column).astype(np.uint16)
        write_raster(tmp_path / "optical" / f"{number}.tif", np.stack([truth] * 12) + 1000, 10.0)
        write_raster(tmp_path / "radar" / f"{number}.tif", np.stack([truth[:, :32]] * 2).astype("f4") / 50 - 20, 10.0)
    sources = [
        {"name": "optical", "sensor": "sentinel2-l2a", "files": "optical/*.tif", "bands": "sensor", "unit": "dn"},
        {"name": "radar", "sensor": "sentinel1-rtc", "files": "radar/*.tif", "bands": "sensor", "unit": "db"},
    ]
    for source in sources:
        source["place"] = place
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"sources": sources}))
    return load_dataset(tmp_path / "data.yaml", tmp_path, cache=tmp_path / "cache")


def test_partners_show_the_same_ground_in_the_same_view(tmp_path):
    mixed = MixedBatches(paired(tmp_path), RandomResizedCrop(16, (0.8, 1.25)), {"radar": 4}, 3, seed=1)
    for step in range(3):
        images = mixed[step]
        assert [len(batch) for batch in images.batches] == [4, 4]
        assert [pair.batches for pair in images.pairs] == [(0, 1)] * 4
        for pair in images.pairs:
            radar, optical = (images.batches[n].pixels[row, 0] for n, row in zip(pair.batches, pair.rows, strict=True))
            assert torch.allclose((radar + 20) * 50, optical * 10000 - 1000, atol=0.05)
    assert same(
        mixed[1], MixedBatches(paired(tmp_path), RandomResizedCrop(16, (0.8, 1.25)), {"radar": 4}, 3, seed=1)[1]
    )


def test_a_pair_that_shares_no_grid_is_named(tmp_path):
    with pytest.raises(DataError, match=r"do not share a grid of pixels \(32 x 32 of 10 m, 40 x 32 of 10 m\)"):
        MixedBatches(paired(tmp_path, columns=40), VIEW, {"radar": 4}, 3)[0]


@pytest.mark.parametrize(("place", "message"), [("(", "is no regular expression"), (r"\d", "has no group")])
def test_a_place_that_names_nothing_is_refused(tmp_path, place, message):
    with pytest.raises(ConfigError, match=message):
        paired(tmp_path, place=place)


def test_small_groups_come_in_turns_with_more_images(small):
    counts = {"rgb": 6, "radar": 2, "coarse": 1}
    mixed = MixedBatches(small, VIEW, counts, 30, minimum_batch=6)
    drawn = [
        [sum(source in mixed.groups[name] for source, _ in mixed.draw(step)) for name in counts] for step in range(30)
    ]
    assert [sum(column) for column in zip(*drawn, strict=True)] == [180, 60, 30]
    assert {column[1] for column in drawn} == {0, 6} and {column[2] for column in drawn} == {0, 6}
    order = [index for step in range(12) for source, index in mixed.draw(step) if source in mixed.groups["coarse"]]
    length = sum(len(source) for source in mixed.groups["coarse"])
    assert len(set(order[:length])) == length  # each once before any twice, whatever the turn


def test_images_of_a_source_have_one_size_in_a_step(small):
    mixed = MixedBatches(small, PatchView([2, 4], (0.75, 1.5), patches=4), {"rgb": 5}, 12)
    sizes = [[batch.pixels.shape[-1] for batch in mixed[step].batches] for step in range(12)]
    assert all(len(of_step) == 1 for of_step in sizes)
    assert {size for (size,) in sizes} == {8, 16}
    assert same(mixed[3], MixedBatches(small, PatchView([2, 4], (0.75, 1.5), patches=4), {"rgb": 5}, 12)[3])
