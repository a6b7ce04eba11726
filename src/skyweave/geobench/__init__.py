"""GEO-Bench v1.0: its twelve tasks as labelled data, read without trusting the files."""

from skyweave.geobench.fabricate import fabricate
from skyweave.geobench.folder import find_tasks, open_task
from skyweave.geobench.partitions import FRACTIONS
from skyweave.geobench.sample import read_sample
from skyweave.geobench.tasks import GeobenchTask, StoredSensor, task_named, tasks

__all__ = [
    "FRACTIONS",
    "GeobenchTask",
    "StoredSensor",
    "fabricate",
    "find_tasks",
    "open_task",
    "read_sample",
    "task_named",
    "tasks",
]
