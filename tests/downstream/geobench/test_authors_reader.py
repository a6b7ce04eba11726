"""The authors' own reader accepts the miniatures, and finds the pixels and labels that ours finds.

Needs their package (``pip install --no-deps geobench`` beside h5py, rasterio, scipy and tqdm).
"""

import os
from pathlib import Path

import numpy as np
import pytest

from fabricated_geobench import miniature
from skyweave.downstream.geobench import get_task, list_tasks, open_task

pytestmark = pytest.mark.interop


@pytest.mark.filterwarnings("ignore")
def test_all_twelve_pass_their_integrity_check_and_read_the_same(tmp_path: Path) -> None:
    os.environ["GEO_BENCH_DIR"] = str(miniature(tmp_path))  # read when the package is imported
    check_dataset_integrity = pytest.importorskip("geobench.dataset").check_dataset_integrity
    import geobench

    seen = []
    for collection in ("classification_v1.0", "segmentation_v1.0"):
        for theirs in geobench.task_iterator(benchmark_dir=tmp_path / collection):
            data = geobench.GeobenchDataset(tmp_path / collection / theirs.dataset_name, split="train")
            check_dataset_integrity(data, [data[i] for i in range(3)])
            ours, stored = open_task(tmp_path, theirs.dataset_name), get_task(theirs.dataset_name).sensors[0]
            for sample, own in zip((data[i] for i in range(3)), ours.train, strict=False):
                label = sample.label.data if isinstance(sample.label, geobench.Band) else sample.label
                assert np.array_equal(label, own.label)
                bands = [sample.band_array[0, sample.band_name_map[name]].data for _, name in stored.bands]
                decoded = stored.encoding.decode(np.stack(bands).astype(np.float32))
                assert np.array_equal(decoded, own.observations[0].pixels)
            seen.append(theirs.dataset_name)
    assert sorted(seen) == sorted(list_tasks())
