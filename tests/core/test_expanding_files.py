"""Files of others of a few kilobytes that say, or expand to, gigabytes: refused before they take memory or minutes."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skyweave.backbone.state_dict import read_state_dict
from skyweave.core.errors import DataError, WeightsError
from skyweave.data import shards
from skyweave.data.products.members import list_members
from skyweave.recordings.nuscenes import rasters, write

HUGE = {"descr": "|u1", "fortran_order": False, "shape": (1, 60_000, 60_000)}


@pytest.mark.parametrize("name", ["pixels", "valid"])
def test_pixels_of_a_recording_are_bounded_before_they_are_read(tmp_path: Path, name: str) -> None:
    """3.5 MB took 3.5 GB, and then asked for 13."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, pixels=np.ones((2, 3, 4), np.uint8), valid=np.ones((2, 3, 4), bool))
    pixels, valid = rasters.read_pixels(path)
    assert pixels.dtype == np.float32 and pixels.shape == (2, 3, 4) and valid is not None and valid.all()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, HUGE)
    with zipfile.ZipFile(path) as archive:
        content = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in (content | {f"{name}.npy": header.getvalue()}).items():
            archive.writestr(member, data)
    with pytest.raises(
        DataError, match=rf"a.npz: {name} has shape \(1, 60000, 60000\), more than the 268435456 values"
    ):
        rasters.read_pixels(path)


def test_heights_of_a_recording_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "heights.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("heights.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, HUGE | {"shape": (60_000, 60_000)})
    known = write.SceneExtras("EPSG:32632", None, "heights.npz", 0.0, 0.0, 1.0)
    with pytest.raises(DataError, match="heights has shape"):
        rasters.read_ground(tmp_path, known)
    np.savez(path, heights=np.zeros(5))
    with pytest.raises(DataError, match="holds no heights"):
        rasters.read_ground(tmp_path, known)


def test_a_fragment_of_a_recording_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3.9 MB took 3.9 GB."""
    monkeypatch.setattr(write, "MAX_FRAGMENT_BYTES", 1 << 20)
    path = tmp_path / "scene.json.gz"
    path.write_bytes(gzip.compress(b"{}" + b" " * (1 << 20)))
    with pytest.raises(DataError, match="more than 1 MB"):
        write._read_fragment(path)
    path.write_bytes(gzip.compress(b"{}" + b" " * 1000))
    assert write._read_fragment(path) == {}


def test_weights_are_not_expanded(tmp_path: Path) -> None:
    """torch expands what it never compresses: 3.9 MB took 4.1 GB."""
    path, packed = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save({"weight": torch.zeros(1_000_000)}, path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in whole.namelist():
            archive.writestr(member, whole.read(member))
    assert packed.stat().st_size < 10_000 and len(torch.load(packed, weights_only=True)["weight"]) == 1_000_000
    with pytest.raises(WeightsError, match=r"an archive of 4\d{6} bytes that is compressed"):
        read_state_dict(packed)
    torch.save(torch.load(packed, weights_only=True), packed)  # the remedy
    assert len(read_state_dict(packed)["weight"]) == 1_000_000


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(1_000_000, 1_000_000),
        torch.sparse_coo_tensor(
            torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (10**6, 10**6), check_invariants=True
        ),
        torch.zeros(3, device="meta"),
    ],
    ids=["view", "sparse", "meta"],
)
def test_weights_are_tensors_whose_numbers_are_in_the_file(tmp_path: Path, tensor: torch.Tensor) -> None:
    """A kilobyte is a tensor of 4 TB as soon as anything computes with it."""
    path = tmp_path / "a.pth"
    torch.save({"good": torch.zeros(3), "bad": tensor}, path)
    with pytest.raises(WeightsError, match="bad is no plain tensor"):
        read_state_dict(path)
    both = torch.arange(6.0).reshape(2, 3)
    torch.save({"whole": both, "turned": both.T, "part": both[0]}, path)
    assert read_state_dict(path)["turned"].shape == (3, 2)
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)  # what the error says
    assert read_state_dict(path)["weight"].shape == (3, 2)


def test_a_product_is_no_compressed_tar(tmp_path: Path) -> None:
    """19 MB took seven minutes to list; GDAL does not open it, either."""
    path = tmp_path / "product.tar"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("manifest.safe"))
    assert list_members(path) is None
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("manifest.safe"))
    found = list_members(path)
    assert found is not None and found.names == ("manifest.safe",)


def test_an_index_of_a_shard_that_lies_is_not_believed(tmp_path: Path) -> None:
    """128 bytes asked for 29 TB."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in (("0.npy", _array((2, 3))), ("0.json", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with shards._index_path(path).open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<i8", "fortran_order": False, "shape": (10**12, 4)})
    index = shards._load_index(path)
    assert index.shape == (1, 4) and shards._mapped(path, index[0, 0]).shape == (2, 3)
    offset = int(index[0, 0])
    with path.open("r+b") as stream:
        stream.seek(offset)
        np.lib.format.write_array_header_1_0(stream, HUGE | {"shape": (10**6, 10**6)})
    with pytest.raises(DataError, match=r"a.tar: damaged"):
        shards._mapped(path, offset)


def test_a_sample_of_geobench_has_chunks_of_its_size(tmp_path: Path) -> None:
    """One of 10 x 10 values took 3.2 GB: HDF5 reads the chunk that they are in."""
    h5py = pytest.importorskip("h5py", reason="needs skyweave[geobench]")
    from skyweave.downstream.geobench.hdf5 import open_sample, read_dataset

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        for name, side in (("bad", 20_000), ("good", 64)):
            file.create_dataset(name, (10, 10), "f8", maxshape=(None, None), chunks=(side, side), compression="gzip")
    with open_sample(path) as file:
        with pytest.raises(DataError, match="'bad' has chunks of"):
            read_dataset(file, "bad", path)
        assert read_dataset(file, "good", path).shape == (10, 10)


def _array(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(shape))
    return stream.getvalue()


def _fix_bag(path: Path, writer: Any, ros_2: bool) -> None:
    """Write a bag with one fix, whose frame has a name of four megabytes."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE if ros_2 else Stores.ROS1_NOETIC)
    types, fix = store.types, "sensor_msgs/msg/NavSatFix"
    stamp = types["builtin_interfaces/msg/Time"](sec=1_760_000_000, nanosec=0)
    sequence = () if ros_2 else (0,)
    header = types["std_msgs/msg/Header"](*sequence, stamp, "x" * (4 << 20))
    status = types["sensor_msgs/msg/NavSatStatus"](status=0, service=1)
    message = types[fix](header, status, 48.0, 11.0, 500.0, np.eye(3).ravel(), 2)
    with writer:
        connection = writer.add_connection("/fix", fix, typestore=store)
        data = store.serialize_cdr(message, fix) if ros_2 else store.serialize_ros1(message, fix)
        writer.write(connection, 10**18, data)


@pytest.mark.parametrize("way", ["bz2", "lz4", "mcap", "message", "file"])
def test_a_bag_does_not_expand_without_bound(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 kB of a bag of ROS 1 took 3.9 GB."""
    pytest.importorskip("rosbags", reason="needs skyweave[ros]")
    from rosbags import rosbag1, rosbag2
    from rosbags.rosbag2 import storage_mcap

    from skyweave.telemetry.formats import bag_bounds
    from skyweave.telemetry.formats.ros_bag import BagContent, _read_messages

    path, ros_2 = tmp_path / ("bag" if way in ("mcap", "message", "file") else "a.bag"), True
    if way in ("bz2", "lz4"):
        ros_1, ros_2 = rosbag1.Writer(path), False
        ros_1.set_compression(rosbag1.Writer.CompressionFormat[way.upper()])
        _fix_bag(path, ros_1, ros_2)
    else:
        storage = rosbag2.StoragePlugin.MCAP if way == "mcap" else rosbag2.StoragePlugin.SQLITE3
        writer = rosbag2.Writer(path, version=9, storage_plugin=storage)
        mode = {"mcap": "STORAGE", "message": "MESSAGE", "file": "FILE"}[way]
        writer.set_compression(rosbag2.CompressionMode[mode], rosbag2.CompressionFormat.ZSTD)
        _fix_bag(path, writer, ros_2)
    whole = BagContent()
    _read_messages(path, "", whole)
    assert len(whole.fixes["/fix"]) == 1
    monkeypatch.setattr(bag_bounds, "MAX_CHUNK_BYTES", 1 << 20)
    monkeypatch.setattr(bag_bounds, "MIN_FILE_BYTES", 1 << 20)
    with pytest.raises(
        DataError, match="bag: it is compressed to less" if way == "file" else "a chunk of more than 1 MB"
    ):
        _read_messages(path, "", BagContent())
    if way == "file":  # the remedy
        packed = next(path.glob("*.zstd"))
        unpacked = tmp_path / "unpacked.db3"
        unpacked.write_bytes(storage_mcap.zstd.decompress(packed.read_bytes()))
        _read_messages(unpacked, "", whole)
        assert len(whole.fixes["/fix"]) == 2
