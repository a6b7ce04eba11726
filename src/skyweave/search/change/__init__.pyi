from .change_map import ChangeMap, detect_change, write_change_geojson, write_change_map
from .null_distribution import BulkNull, EmpiricalNull, control_false_discoveries

__all__ = [
    "BulkNull",
    "ChangeMap",
    "EmpiricalNull",
    "control_false_discoveries",
    "detect_change",
    "write_change_geojson",
    "write_change_map",
]
