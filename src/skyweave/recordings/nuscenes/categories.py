"""Names of categories: those of the nuScenes tables, and the short ones of its detection benchmark, which are ours.

The long names have more of them: what the benchmark counts as one class (four kinds of pedestrians, two of buses) is
one here, and what it does not count (animals, debris) keeps its long name.
"""

TABLE_NAMES = {  # by which the devkit's detection benchmark, and everything made for nuScenes, knows our classes
    "car": "vehicle.car",
    "van": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "construction_vehicle": "vehicle.construction",
    "motorcycle": "vehicle.motorcycle",
    "cyclist": "vehicle.bicycle",
    "bicycle": "vehicle.bicycle",
    "pedestrian": "human.pedestrian.adult",
    "barrier": "movable_object.barrier",
    "traffic_cone": "movable_object.trafficcone",
}
BENCHMARK_CLASSES = {  # of the published detection task, by the name in the tables
    "vehicle.car": "car",
    "vehicle.truck": "truck",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.trailer": "trailer",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
}


def table_name(category: str) -> str:
    """Return the name of a category in the tables of nuScenes.

    Args:
        category: as the recording calls it.
    """
    return TABLE_NAMES.get(category, category)


def benchmark_class(name: str) -> str:
    """Return the short name of a category, as the nuScenes detection benchmark calls it.

    Args:
        name: in the tables.
    """
    return BENCHMARK_CLASSES.get(name, name)
