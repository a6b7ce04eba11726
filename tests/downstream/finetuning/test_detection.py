"""Boxes: what is drawn is found again, and average precision is the field's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skyweave.downstream.finetuning.models.detection_head import (
    BOX_CHANNELS,
    STRIDE,
    decode_boxes,
    detection_loss,
)
from skyweave.downstream.labels.kinds.boxes import dihedral_boxes
from skyweave.downstream.scoring.average_precision import box_average_precision, box_iou


def perfect_answer(boxes: np.ndarray, classes: int, rows: int, columns: int) -> torch.Tensor:
    """An answer that says exactly these boxes."""
    answer = torch.zeros(1, classes + BOX_CHANNELS, rows, columns)
    answer[:, :classes] = -8
    for left, top, right, bottom, kind in boxes.tolist():
        x, y = (left + right) / 2 / STRIDE, (top + bottom) / 2 / STRIDE
        cell = (0, slice(None), slice(int(y) * STRIDE, (int(y) + 1) * STRIDE), slice(int(x) * STRIDE, (int(x) + 1) * 4))
        answer[cell][int(kind)] = 9
        places = [x - int(x) - 0.5, y - int(y) - 0.5, np.log((right - left) / STRIDE), np.log((bottom - top) / STRIDE)]
        answer[cell][classes:] = torch.tensor(places, dtype=torch.float32)[:, None, None]
    return answer


def test_a_perfect_answer_is_decoded_to_its_boxes_and_costs_little() -> None:
    boxes = np.array([[3, 5, 21, 17, 0], [30, 8, 42, 40, 1], [10, 30, 18, 36, 0]], np.float32)
    answer = perfect_answer(boxes, 2, 48, 48)
    found = decode_boxes(answer)[0]
    assert box_average_precision([found], [boxes], 2) == 1.0
    shared = box_iou(boxes, found).max(1)
    np.testing.assert_allclose(shared, 1, atol=1e-4)
    blank = torch.zeros_like(answer)
    assert float(detection_loss(answer, [torch.from_numpy(boxes)])) < 0.2 * float(
        detection_loss(blank, [torch.from_numpy(boxes)])
    )


def test_images_without_boxes_cost_and_are_decoded() -> None:
    answer = torch.zeros(1, 1 + BOX_CHANNELS, 10, 14)
    assert torch.isfinite(detection_loss(answer, [torch.zeros(0, 5)]))
    answer[:, 0] = -9
    assert decode_boxes(answer)[0].shape == (0, 6)
    assert box_average_precision([np.zeros((0, 6))], [np.array([[0, 0, 4, 4, 0]])], 1) == 0
    assert np.isnan(box_average_precision([np.zeros((0, 6))], [np.zeros((0, 5))], 1))


def test_average_precision_by_hand() -> None:
    """Three true boxes; hits at ranks 1 and 3, a miss at 2: 1/3 * 1 + 1/3 * 2/3."""
    truth = np.array([[0, 0, 10, 10, 0], [20, 0, 30, 10, 0], [40, 0, 50, 10, 0]], float)
    found = np.array([[0, 0, 10, 10, 0, 0.9], [60, 0, 70, 10, 0, 0.8], [20, 0, 30, 10, 0, 0.7]])
    assert box_average_precision([found], [truth], 1) == pytest.approx(1 / 3 + 2 / 9)
    doubled = np.vstack([found, [[0, 0, 10, 10, 0, 0.95]]])  # a double is a false alarm
    assert box_average_precision([doubled], [truth], 1) < box_average_precision([found], [truth], 1)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(4, 12), columns=st.integers(4, 12), mirrored=st.booleans(), turns=st.integers(0, 3), data=st.data()
)
def test_boxes_turn_with_their_image(rows: int, columns: int, mirrored: bool, turns: int, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, columns - 2)), data.draw(st.integers(0, rows - 2))
    right, bottom = data.draw(st.integers(left + 1, columns)), data.draw(st.integers(top + 1, rows))
    mask = np.zeros((rows, columns), bool)
    mask[top:bottom, left:right] = True
    image = np.rot90(mask[:, ::-1] if mirrored else mask, turns)
    box = dihedral_boxes(np.array([[left, top, right, bottom, 1]], np.float32), (rows, columns), mirrored, turns)[0]
    expected = np.zeros(image.shape, bool)
    expected[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    assert np.array_equal(image, expected)
    assert box[4] == 1
