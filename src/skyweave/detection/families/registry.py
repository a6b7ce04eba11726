"""The families by name; an installed package adds its own as an entry point of ``skyweave.detector_families``."""

from skyweave.core.errors import DataError
from skyweave.core.registry import Registry
from skyweave.detection.families.base import DetectorFamily, Shapes

DETECTOR_FAMILIES: Registry[DetectorFamily] = Registry(
    "detector_families",
    "family of detectors",
    {
        "yolox": "skyweave.detection.families.yolox:YOLOX",
        "nanodet": "skyweave.detection.families.nanodet:NANODET",
        "nanodet-plus": "skyweave.detection.families.nanodet:NANODET_PLUS",
        "rtdetr": "skyweave.detection.families.detr:RTDETR",
        "rfdetr": "skyweave.detection.families.detr:RFDETR",
        "yolo": "skyweave.detection.families.yolo:YOLO",
        "yolo-end-to-end": "skyweave.detection.families.yolo:YOLO_END_TO_END",
        "fastestdet": "skyweave.detection.families.fastestdet:FASTESTDET",
    },
)


def family_of(shapes: Shapes, size: tuple[int, int], source: str) -> str:
    """Return the name of the family whose outputs a model has.

    Args:
        shapes: of the outputs by name.
        size: (rows, columns) of the input.
        source: of the model, for messages.

    Raises:
        DataError: none, which names the outputs and the option that says it.
    """
    for name in DETECTOR_FAMILIES:
        if DETECTOR_FAMILIES[name].matches(shapes, size):
            return name
    outputs = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    raise DataError(
        f"{source}: outputs {outputs} for an input of {size[0]} x {size[1]} are those of no detector known here; say "
        f"which it is with --family ({', '.join(DETECTOR_FAMILIES)}), or give its boxes as a file"
    )
