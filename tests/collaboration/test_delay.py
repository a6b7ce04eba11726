"""What is late counts for the moment it was captured at, and for the present by its age."""

from collections.abc import Callable

import numpy as np
import pytest

from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.evaluation import CollaborationEvaluator, EvaluationConditions
from skyweave.collaboration.model import CollaborativeModel

Make = Callable[[str], CollaborativeModel]


@pytest.mark.parametrize(
    ("delay", "past", "present"), [(0.0, 2, 3), (0.1, 2, 2), (0.5, 2, 2), (0.6, 1, 1), (9.0, None, None)]
)
def test_messages_come_when_they_come(
    make: Make, samples: CachedDataset, delay: float, past: int | None, present: int | None
) -> None:
    evaluator = CollaborationEvaluator(make("dual_branch"), samples, EvaluationConditions(delay=delay))
    times = [frame.time for frame in samples.scenes[0].frames]
    assert np.allclose(np.diff(times), 0.5e9)
    number = samples.index.index((0, 3))
    for step, expected in enumerate((past, present)):
        frame = evaluator.received_frame(number, "UAV_2", step, times[2 + step], 0)
        if expected is None:
            assert frame is None
            continue
        assert frame is not None and frame.time == times[expected]
