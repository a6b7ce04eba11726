"""A detector in an ONNX file, small enough to know what it must say."""

from pathlib import Path

import numpy as np
import pytest

from skyweave.core.errors import DataError, WeightsError
from skyweave.detection.class_names import COCO_NAMES, class_names
from skyweave.detection.image_detections import ImageDetections
from skyweave.detection.input_image import InputConfig, prepare_input
from skyweave.detection.onnx_detector import DetectorConfig, OnnxDetector
from skyweave.detection.slices import slices_of
from skyweave.detection.suppression import suppress_overlaps

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_model(path: Path, boxes: np.ndarray, logits: np.ndarray, side: int = 64) -> Path:
    """Write a transformer whose boxes are the same for any image, but for one logit: the mean red of the image."""
    from onnx import TensorProto, helper, numpy_helper

    starts, ends, axes = (np.array(values, np.int64) for values in ([0], [1], [1]))
    constants = {"boxes": boxes, "base": logits, "starts": starts, "ends": ends, "axes": axes}
    nodes = [
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["mean"], keepdims=0),
        helper.make_node("Add", ["base", "mean"], ["logits"]),
        helper.make_node("Identity", ["boxes"], ["pred_boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [
            helper.make_tensor_value_info("pred_boxes", TensorProto.FLOAT, boxes.shape),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits.shape),
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'car', 1: 'person'}"
    onnx.save(model, path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    boxes = np.array([[[0.5, 0.5, 0.25, 0.5], [0.25, 0.25, 0.1, 0.1]]], np.float32)
    logits = np.array([[[-8.0, 1.0], [0.5, -8.0]]], np.float32)
    return write_model(tmp_path / "detector.onnx", boxes, logits)


def test_boxes_come_in_pixels_of_the_image_with_the_names_of_the_model(model: Path) -> None:
    detections = OnnxDetector(model).detect(np.zeros((200, 400, 3), np.uint8), 0)
    assert detections.categories == ("person", "car")
    assert np.allclose(detections.boxes, [[150, 50, 250, 150], [80, 40, 120, 60]])
    assert np.allclose(detections.scores, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-0.5))])


def test_scores_and_classes_choose(model: Path) -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    assert OnnxDetector(model, DetectorConfig(min_score=0.7)).detect(image, 0).categories == ("person",)
    assert OnnxDetector(model, DetectorConfig(classes=("car",))).detect(image, 0).categories == ("car",)


def test_slices_are_seen_beside_the_whole_and_placed(model: Path) -> None:
    detections = OnnxDetector(model, DetectorConfig(slice=100, slice_overlap=0.0)).detect(
        np.zeros((100, 300, 3), np.uint8), 0
    )
    people = detections.boxes[[name == "person" for name in detections.categories]]
    assert {tuple(box) for box in people.tolist()} >= {(37.5, 25, 62.5, 75), (237.5, 25, 262.5, 75)}


def test_windows_cover_an_image_and_end_with_it() -> None:
    windows = slices_of(100, 250, 100, 0.2)
    assert windows == [(0, 0, 100, 100), (0, 80, 100, 100), (0, 150, 100, 100)]
    assert slices_of(80, 90, 100, 0.2) == []


def test_suppression_keeps_the_best_of_each_class() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [40, 0, 50, 10], [42, 2, 46, 6.0]])
    detections = ImageDetections(boxes, np.array([0.8, 0.9, 0.7, 0.6, 0.5]), ("car", "car", "bus", "car", "car"))
    assert suppress_overlaps(detections).tolist() == [1, 2, 3, 4]
    assert suppress_overlaps(detections, by_smaller=True).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("fit", "offset"), [("corner", 0), ("centre", 16)])
def test_images_keep_their_shape_where_the_model_wants_it(fit: str, offset: int) -> None:
    image = np.full((50, 100, 3), (200, 100, 50), np.uint8)
    pixels, placement = prepare_input(image, 64, 64, InputConfig(fit=fit, channels="bgr"))  # type: ignore[arg-type]
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels[0, :, offset + 5, 5].tolist() == [50, 100, 200] and pixels[0, 0, 63, 0] == 114
    assert np.allclose(placement.to_image(np.array([[0, offset, 64, offset + 32]])), [[0, 0, 100, 50]])


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(WeightsError, match=r"text\.onnx is no ONNX model"):
        OnnxDetector(tmp_path / "text.onnx")
    with pytest.raises(FileNotFoundError, match="no model"):
        OnnxDetector(tmp_path / "missing.onnx")


def test_names_of_classes(tmp_path: Path) -> None:
    assert class_names(80) == COCO_NAMES
    assert class_names(91)[90] == "toothbrush" and class_names(91)[1] == "person"
    assert class_names(2, "nonsense {") == ("class 0", "class 1")
    (tmp_path / "names.txt").write_text("tree\n")
    with pytest.raises(DataError, match="names 1 classes, the model has 2"):
        class_names(2, file=tmp_path / "names.txt")


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["yolox_nano_416", "nanodet_m_320", "fastestdet"])
def test_published_models_see_the_person_on_the_treadmill(name: str, data_dir: Path) -> None:
    av = pytest.importorskip("av")
    weights = data_dir.parent / "weights" / f"{name}.onnx"
    if not weights.exists():
        pytest.skip("no published weights")
    with av.open(str(data_dir / "multiview_pose2sim/videos/cam01.mp4")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
    detections = OnnxDetector(weights, DetectorConfig(min_score=0.5)).detect(image, 0)
    best = detections.select(np.argsort(-detections.scores)[:1])
    assert best.categories == ("person",)
    assert np.abs(best.boxes[0] - [255, 360, 570, 1155]).max() < 50
