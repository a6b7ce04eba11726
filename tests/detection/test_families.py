"""Outputs of families of detectors, made by hand, are read to the boxes they stand for."""

import numpy as np
import pytest

from skyweave.core.errors import DataError
from skyweave.detection.families.base import DecodedOutputs
from skyweave.detection.families.registry import DETECTOR_FAMILIES, family_of

SIZE = (64, 96)  # rows, columns of the input
CELLS = 8 * 12 + 4 * 6 + 2 * 3
BOX = np.array([40.0, 24.0, 56.0, 40.0])  # about the cell (6, 4) of stride 8, whose middle is (52, 36)


def best(name: str, outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, int, float]:
    assert family_of({key: value.shape for key, value in outputs.items()}, SIZE, "model") == name
    decoded: DecodedOutputs = DETECTOR_FAMILIES[name].decode(outputs, SIZE)
    row, label = np.unravel_index(decoded.scores.argmax(), decoded.scores.shape)
    return decoded.boxes[row], int(label), float(decoded.scores[row, label])


def test_yolox() -> None:
    values = np.full((1, CELLS, 5 + 3), 1e-3, np.float32)
    cell = 4 * 12 + 6
    values[0, cell] = [48 / 8 - 6, 32 / 8 - 4, np.log(16 / 8), np.log(16 / 8), 0.9, 0.1, 0.2, 0.8]
    box, label, score = best("yolox", {"output": values})
    assert np.allclose(box, BOX, atol=1e-4) and label == 2 and score == pytest.approx(0.72)


def test_nanodet_distances_are_means_of_distributions() -> None:
    outputs = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) * (96 // stride)
        outputs[f"cls_pred_stride_{stride}"] = np.full((1, cells, 3), 1e-3, np.float32)
        outputs[f"dis_pred_stride_{stride}"] = np.zeros((1, cells, 32), np.float32)
    cell = 4 * 12 + 6
    outputs["cls_pred_stride_8"][0, cell] = [0.1, 0.7, 0.2]
    logits = np.full((4, 8), -50.0)
    logits[:, 1] = logits[:, 2] = 0.0  # one and a half strides to each side
    outputs["dis_pred_stride_8"][0, cell] = logits.ravel()
    box, label, score = best("nanodet", outputs)
    middle = np.array([6 * 8 + 3.5, 4 * 8 + 3.5])
    assert np.allclose(box, [*(middle - 12), *(middle + 12)], atol=1e-4)
    assert label == 1 and score == pytest.approx(0.7)


def test_fastestdet() -> None:
    values = np.full((1, 5 + 3, 4, 6), 1e-3, np.float32)
    values[0, :, 2, 3] = [0.9, np.arctanh(0.25), 0.0, -np.log(6 - 1), -np.log(4 - 1), 0.1, 0.2, 0.8]
    box, label, score = best("fastestdet", {"758": values})
    middle, extent = np.array([3.25 * 16, 2 * 16]), np.array([96 / 6, 64 / 4])
    assert np.allclose(box, [*(middle - extent / 2), *(middle + extent / 2)], atol=1e-4)
    assert label == 2 and score == pytest.approx(0.9**0.6 * 0.8**0.4)


@pytest.mark.parametrize(("name", "keys"), [("rtdetr", ("pred_boxes", "logits")), ("rfdetr", ("dets", "labels"))])
def test_transformers(name: str, keys: tuple[str, str]) -> None:
    boxes = np.full((1, 10, 4), 0.1, np.float32)
    boxes[0, 7] = [48 / 96, 32 / 64, 16 / 96, 16 / 64]
    logits = np.full((1, 10, 5), -9.0, np.float32)
    logits[0, 7, 3] = 2.0
    box, label, score = best(name, {keys[0]: boxes, keys[1]: logits})
    assert np.allclose(box, BOX, atol=1e-4) and label == 3 and score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)


def test_yolo_and_its_end_to_end_form() -> None:
    values = np.zeros((1, 4 + 3, CELLS), np.float32)
    values[0, :, 11] = [48, 32, 16, 16, 0.1, 0.2, 0.8]
    assert np.allclose(best("yolo", {"output0": values})[0], BOX)
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 5] = [*BOX, 0.8, 2]
    box, label, score = best("yolo-end-to-end", {"output0": rows})
    assert np.allclose(box, BOX) and label == 2 and score == pytest.approx(0.8)


def test_an_unknown_model_is_answered_with_its_outputs_and_the_option() -> None:
    with pytest.raises(DataError, match=r"features \[1, 512\].*--family"):
        family_of({"features": (1, 512)}, SIZE, "encoder.onnx")
