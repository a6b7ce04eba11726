from .folder import find_tasks, open_task
from .partitions import FRACTIONS
from .sample import read_sample
from .synthetic import fabricate
from .tasks import GeobenchTask, StoredSensor, get_task, list_tasks

__all__ = [
    "FRACTIONS",
    "GeobenchTask",
    "StoredSensor",
    "fabricate",
    "find_tasks",
    "get_task",
    "list_tasks",
    "open_task",
    "read_sample",
]
