"""Workers as actors of a Ray cluster, each of which loads the model once."""

from types import TracebackType
from typing import Any

from skyweave.core.errors import ConfigError
from skyweave.inference.archive.job import ProcessScene, SceneJob, SceneOutcome, SceneWork, attempt_job
from skyweave.inference.archive.pools import WorkerReport

LOCAL = "local"


class RayPool:
    """Actors: one scene each at a time, so that no more is in flight than is worked on.

    Ray starts an actor anew where its process or its machine dies. Every machine of the cluster has Skyweave installed
    and sees the same folders.

    Args:
        work: to do.
        size: number of actors; None: as many as the cluster's processors have room for.
        address: of the cluster; ``local``: one on this machine, for as long as the work takes.
        cpus: that an actor takes.
        gpus: that an actor takes.
    """

    def __init__(self, work: SceneWork, size: int | None, address: str, cpus: int = 1, gpus: int = 0) -> None:
        self._work, self._size, self._address = work, size, address
        self._resources = {"num_cpus": cpus, "num_gpus": gpus}
        self._actors: list[Any] = []
        self._running: dict[Any, int] = {}
        self._starting: dict[Any, int] = {}

    def __enter__(self) -> "RayPool":
        import ray

        is_local = self._address == LOCAL
        options = {"include_dashboard": False} if is_local else {}
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level="error", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"--ray {self._address}: no cluster answers there ({_first_line(error)})") from error
        size = self._size or self._count_places(ray.cluster_resources())
        actor = ray.remote(_SceneActor).options(max_restarts=-1, max_task_retries=0, **self._resources)
        self._actors = [actor.remote(self._work) for _ in range(size)]
        for worker in range(size):
            self._await_start(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        ray.shutdown()
        self._actors.clear()
        self._running.clear()
        self._starting.clear()

    def idle(self) -> list[int]:
        """Return the actors that have loaded the model and have no scene; see `WorkerPool`."""
        busy = {*self._running.values(), *self._starting.values()}
        return [worker for worker in range(len(self._actors)) if worker not in busy]

    def start(self, worker: int, job: SceneJob) -> None:
        """Give an actor a scene; see `WorkerPool`.

        Args:
            worker: number.
            job: of the scene.
        """
        self._running[self._actors[worker].process.remote(job)] = worker

    def wait(self) -> list[tuple[int, WorkerReport]]:
        """Return what has become of scenes; see `WorkerPool`."""
        import ray

        done, _ = ray.wait([*self._running, *self._starting], num_returns=1)
        outcomes: list[tuple[int, WorkerReport]] = []
        for reference in done:
            outcome = self._take(reference)
            worker = self._running.pop(reference, None)
            if worker is None:
                worker = self._starting.pop(reference)
            else:
                outcomes.append((worker, outcome))
            if outcome is None:
                self._await_start(worker)
        return outcomes

    def _await_start(self, worker: int) -> None:
        """Let an actor load the model, where and when the cluster has room for it: until then it gets no scene."""
        self._starting[self._actors[worker].load.remote()] = worker

    def _take(self, reference: Any) -> Any:
        """Return what an actor returned; None where it died."""
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        try:
            return ray.get(reference)
        except RayTaskError as error:  # of loading the model: errors of scenes are outcomes
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except RayActorError:
            return None

    def _count_places(self, resources: dict[str, float]) -> int:
        """Return how many actors the cluster has room for now, at least one."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        rooms = [resources.get(names[name], 0) // share for name, share in self._resources.items() if share]
        return max(1, int(min(rooms)))


class _SceneActor:
    """Works on scenes in a process of the cluster."""

    def __init__(self, work: SceneWork) -> None:
        self._work = work
        self._process: ProcessScene | None = None

    def load(self) -> bool:
        """Load the model, and return that it is."""
        self._process = self._process or self._work.load()
        return True

    def process(self, job: SceneJob) -> SceneOutcome:
        """Work on a scene.

        Args:
            job: of the scene.
        """
        self.load()
        assert self._process is not None
        return attempt_job(self._process, job, lambda share: None)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
