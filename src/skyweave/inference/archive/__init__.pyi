from .job import SceneJob, SceneOutcome, SceneResult, SceneWork, hash_content
from .journal import ArchiveJournal, ListPart
from .pools import POOLS, WorkerPool
from .run import ArchiveReport, process_jobs, run_archive
from .scene_list import ListedScene, plan_jobs, read_scene_list

__all__ = [
    "POOLS",
    "ArchiveJournal",
    "ArchiveReport",
    "ListPart",
    "ListedScene",
    "SceneJob",
    "SceneOutcome",
    "SceneResult",
    "SceneWork",
    "WorkerPool",
    "hash_content",
    "plan_jobs",
    "process_jobs",
    "read_scene_list",
    "run_archive",
]
