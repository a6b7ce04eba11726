"""Every object of a scene is taken once, from whichever window, and lies where it lies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyweave.core.observation import Observation
from skyweave.core.sensors import get_sensor
from skyweave.inference import InferenceConfig, ObjectJob, compute_objects
from skyweave.inference.windows import Window, WindowPlan

RED = get_sensor("rgb").select(["red"])


class MemorySource:
    """Pixels in memory; where ``mask`` is false nothing is wanted."""

    def __init__(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> None:
        self.pixels, self.wanted = pixels, mask

    def read(self, windows: Sequence[Window]) -> list[tuple[Observation, ...]]:
        parts = [self.pixels[None, w.row : w.bottom, w.column : w.right] for w in windows]
        return [(Observation.from_pixels(part, RED),) for part in parts]

    def mask(self, window: Window) -> np.ndarray | None:
        whole = self.wanted
        return None if whole is None else whole[window.row : window.bottom, window.column : window.right]


def bright_pixels(windows: Sequence[tuple[Observation, ...]]) -> list[np.ndarray]:
    """A box of a pixel around each that is bright, with its value as score."""
    boxes = []
    for (observation,) in windows:
        rows, columns = np.nonzero(observation.pixels[0])
        sides = [columns, rows, columns + 1, rows + 1, 0 * rows, observation.pixels[0][rows, columns]]
        boxes.append(np.stack(sides, axis=1).astype(np.float32))
    return boxes


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.data())
def test_objects_are_taken_once(tmp_path: Path, rows: int, columns: int, size: int, data: st.DataObject) -> None:
    random = np.random.default_rng(rows * 100 + columns)
    pixels = np.where(random.random((rows, columns)) < 0.2, random.integers(1, 999, (rows, columns)), 0)
    mask = data.draw(st.sampled_from([None, random.random((rows, columns)) < 0.5]))
    plan = WindowPlan(rows, columns, size, data.draw(st.integers(0, size - 1)))
    job = ObjectJob(plan, MemorySource(pixels, mask), bright_pixels, "k", "cpu", InferenceConfig(workers=2, batch=3))
    with compute_objects(job, tmp_path / "boxes.geojson") as (boxes, failures):
        expected = np.argwhere((pixels > 0) & (True if mask is None else mask))
        taken = boxes.reshape(-1, 6)[:, [1, 0]]
        assert failures == () and sorted(map(tuple, taken)) == sorted(map(tuple, expected.astype(float)))
        assert all(pixels[int(box[1]), int(box[0])] == box[5] for box in boxes.reshape(-1, 6))
