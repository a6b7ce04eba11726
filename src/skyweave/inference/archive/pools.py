"""Where scenes are worked on: processes of this machine, or actors of a Ray cluster."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from skyweave.core.registry import Registry
from skyweave.inference.archive.job import SceneJob, SceneOutcome, SceneWork

WorkerReport = SceneOutcome | float | None
"""What became of a worker's scene; the share of it that is done, 0 to 1; or that the worker died."""


class WorkerPool(Protocol):
    """Workers that have each loaded the model and work on one scene at a time."""

    def __enter__(self) -> "WorkerPool": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def idle(self) -> list[int]:
        """Return the numbers of the workers that could begin a scene now."""
        ...

    def start(self, worker: int, job: SceneJob) -> None:
        """Give an idle worker a scene.

        Args:
            worker: its number.
            job: of the scene.
        """
        ...

    def wait(self) -> list[tuple[int, WorkerReport]]:
        """Wait until workers report something, or become idle; a worker that died is replaced.

        Raises:
            SkyweaveError: the model cannot be loaded, or all workers are lost for ever.
        """
        ...


OpenPool = Callable[[SceneWork, int | None, str, int, int], WorkerPool]
"""From the work, the number of workers (None: as many as there is room for), an address, and the processors and
accelerators that each takes."""
POOLS: Registry[OpenPool] = Registry(
    "worker_pools",
    "kind of workers",
    {
        "processes": "skyweave.inference.archive.process_pool:ProcessPool",
        "ray": "skyweave.inference.archive.ray_pool:RayPool",
    },
)
