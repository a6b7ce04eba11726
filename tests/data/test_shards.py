import hashlib
import tarfile

import numpy as np
import pytest
import yaml

from skyweave.cli.main import main
from skyweave.core.errors import DataError
from skyweave.core.sensors import get_sensor
from skyweave.data.augment import RandomResizedCrop
from skyweave.data.command_shards import tile_starts
from skyweave.data.dataset import load_dataset
from skyweave.data.shards import ShardIndex, shard_pattern, write_shards
from skyweave.pretraining.mixing import MixedBatches


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))}


def test_images_survive_bit_for_bit(small, tmp_path):
    pairs = [(f"{index:03d}", small.observation(index)) for index in (5, 6)]
    paths = write_shards(pairs, tmp_path, "s2", max_bytes=1)
    assert [path.name for path in paths] == ["s2-000000.tar", "s2-000001.tar"]
    with tarfile.open(paths[0]) as tar:
        assert tar.getnames() == ["005.npy", "005.valid.npy", "005.json"]
    index = ShardIndex.open(tmp_path, "*.tar", get_sensor("sentinel2-l1c"), "here")
    for position, (_, written) in enumerate(pairs):
        image = index.image(position)
        read = image.window(0, 0, *image.shape)
        assert isinstance(image.pixels, np.memmap)
        assert np.array_equal(read.pixels, written.pixels) and np.array_equal(read.valid, written.valid)
        assert read.geometry == written.geometry and read.sensor == written.sensor
        assert read.ground_sample_distance == written.ground_sample_distance


def test_same_input_same_bytes_and_the_index_is_optional(small, tmp_path):
    pairs = [(f"{index:03d}", small.observation(index)) for index in range(5)]
    write_shards(pairs, tmp_path / "a", "rgb")
    write_shards(pairs, tmp_path / "b", "rgb")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    with_index = ShardIndex.open(tmp_path / "a", "*.tar", get_sensor("rgb"), "here")
    (tmp_path / "b" / "rgb-000000.index.npy").unlink()
    without = ShardIndex.open(tmp_path / "b", "*.tar", get_sensor("rgb"), "here")
    assert np.array_equal(with_index._offsets, without._offsets) and len(without) == 5


def test_a_cut_shard_is_an_error(small, tmp_path):
    (path,) = write_shards([(f"{i:03d}", small.observation(i)) for i in range(5)], tmp_path, "rgb")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"rgb-000000\.tar"):
        ShardIndex.open(tmp_path, "*.tar", get_sensor("rgb"), "here")
    with pytest.raises(FileNotFoundError, match=r"no shard matches 'x\*\.tar'"):
        ShardIndex.open(tmp_path, "x*.tar", get_sensor("rgb"), "here")


def test_a_failing_writer_leaves_nothing(small, tmp_path):
    def broken():
        yield "a", small.observation(0)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_shards(broken(), tmp_path, "rgb")
    assert list(tmp_path.iterdir()) == []


def test_shards_of_a_broken_off_run_and_of_other_names_are_not_mixed_in(small, tmp_path):
    for name in ("rgb-000007.tar", "rgb-000007.index.npy", "rgb-west-000000.tar"):
        (tmp_path / name).write_bytes(b"")
    (shard,) = write_shards([("a", small.observation(0))], tmp_path, "rgb")
    assert sorted(tmp_path.glob(shard_pattern("rgb"))) == [shard]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "rgb-000000.index.npy",
        "rgb-000000.tar",
        "rgb-west-000000.tar",
    ]


def test_tiles_cover_every_pixel_once_at_least():
    for length in (1, 31, 32, 33, 100):
        begun = tile_starts(length, 32)
        covered = {pixel for start in begun for pixel in range(start, min(start + 32, length))}
        assert covered == set(range(length)) and max(begun) + 32 <= max(length, 32)


def test_command_packs_and_its_yaml_reads_back(small_yaml, small_root, small_cache, tmp_path):
    arguments = ["shards", str(small_yaml), "--data", str(small_root), "-o", str(tmp_path), "--tile", "32"]
    assert main([*arguments, "--cache", str(small_cache)]) == 0
    entries = yaml.safe_load((tmp_path / "dataset.yaml").read_text())["sources"]
    assert [entry["name"] for entry in entries] == ["plots", "tiles", "coarse", "radar"]
    before = (tmp_path / "dataset.yaml").read_bytes()
    assert main(arguments) == 2, "a second run would leave shards of both"
    assert main(["shards", str(tmp_path / "dataset.yaml"), *arguments[2:]]) == 2, "the output is the input"
    assert (tmp_path / "dataset.yaml").read_bytes() == before
    packed = load_dataset(tmp_path / "dataset.yaml", tmp_path)
    assert [len(source) for source in packed.sources] == [2 * (2 + 2 + 3 + 3 + 3), 2 * 4, 4, 2 * 4]
    assert all(max(packed.open(index).shape) <= 32 for index in range(len(packed)))
    coarse = packed.sources[2]
    assert len(coarse.sensor) == 6 and packed.open(int(coarse.indices[0])).ground_sample_distance == 20
    one, two = (MixedBatches(packed, RandomResizedCrop(16), 6, 4)[2] for _ in range(2))
    assert all((a.pixels == b.pixels).all() for a, b in zip(one.batches, two.batches, strict=True))
