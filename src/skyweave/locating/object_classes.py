"""What is known of objects by their class: sizes, and how they move. Names are those of COCO, VisDrone and nuScenes."""

from dataclasses import dataclass

from skyweave.core.errors import normalise_name


@dataclass(frozen=True)
class ObjectClass:
    """Sizes and motion of a class.

    Attributes:
        names: that detectors give it, the first is the usual one.
        size: mean length, width and height, metres.
        size_std: standard deviations of the three, metres.
        acceleration: standard deviation when it manoeuvres, m/s^2.
        speed: standard deviation of the speed of one of which nothing is known, m/s.
    """

    names: tuple[str, ...]
    size: tuple[float, float, float]
    size_std: tuple[float, float, float]
    acceleration: float
    speed: float


UNKNOWN_CLASS = ObjectClass(("object",), (2.5, 1.2, 1.5), (2.0, 0.8, 0.8), 2.5, 8.0)
OBJECT_CLASSES = (
    ObjectClass(("person", "pedestrian", "people", "human"), (0.5, 0.5, 1.7), (0.1, 0.1, 0.15), 1.0, 1.5),
    ObjectClass(("bicycle", "bike", "cyclist"), (1.8, 0.6, 1.6), (0.2, 0.1, 0.3), 1.2, 4.0),
    ObjectClass(("motorcycle", "motorbike", "motor", "tricycle"), (2.1, 0.8, 1.5), (0.3, 0.15, 0.3), 2.5, 8.0),
    ObjectClass(("car", "vehicle", "suv", "taxi"), (4.5, 1.8, 1.55), (0.5, 0.12, 0.15), 2.0, 9.0),
    ObjectClass(("van", "minibus", "other vehicle"), (5.2, 2.0, 2.1), (0.7, 0.15, 0.3), 2.0, 9.0),
    ObjectClass(("truck", "lorry"), (8.0, 2.5, 3.2), (2.5, 0.2, 0.5), 1.5, 8.0),
    ObjectClass(("bus", "coach"), (11.5, 2.55, 3.2), (1.5, 0.1, 0.2), 1.2, 7.0),
    ObjectClass(("trailer", "construction vehicle"), (9.0, 2.6, 3.3), (3.0, 0.3, 0.6), 1.2, 6.0),
    ObjectClass(("boat", "ship"), (8.0, 2.8, 2.0), (5.0, 1.2, 1.0), 0.8, 4.0),
    ObjectClass(("dog", "sheep", "goat"), (0.9, 0.35, 0.7), (0.25, 0.1, 0.15), 2.0, 2.0),
    ObjectClass(("horse", "cow", "cattle", "deer", "zebra"), (2.1, 0.65, 1.5), (0.3, 0.15, 0.2), 1.5, 2.0),
    ObjectClass(("elephant",), (5.5, 2.0, 2.9), (0.8, 0.3, 0.4), 0.8, 1.5),
    ObjectClass(("bear",), (1.8, 0.7, 1.0), (0.3, 0.15, 0.2), 1.5, 1.5),
    ObjectClass(("bird", "dolphin", "seal"), (1.0, 0.5, 0.4), (0.6, 0.3, 0.2), 1.5, 3.0),
)
_BY_NAME = {normalise_name(name): known for known in OBJECT_CLASSES for name in known.names}


def object_class(category: str) -> ObjectClass:
    """Return what is known of a class; of one that nobody knows, little.

    Args:
        category: as the detector names it.
    """
    return _BY_NAME.get(normalise_name(category.split(".")[-1])) or UNKNOWN_CLASS
