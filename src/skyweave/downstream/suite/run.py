"""Run the suite: every task, source and method once, whatever was finished before."""

from collections.abc import Callable

from skyweave.core.errors import SkyweaveError, UnknownNameError, did_you_mean
from skyweave.data.globbing import glob_files
from skyweave.downstream.probing.config import ProbeConfig, load_probe_config
from skyweave.downstream.suite.cells import Cell, CellAddress, CellStore, failed_cell, score_cell
from skyweave.downstream.suite.config import SuiteConfig
from skyweave.downstream.suite.finetuned import METHOD, finetune_cell
from skyweave.downstream.suite.sources import (
    FeatureSource,
    TaskFeatures,
    UNetSource,
    baseline_sources,
    encoder_sources,
)
from skyweave.downstream.suite.summary import SuiteSummary, summarise
from skyweave.downstream.suite.task import SuiteTask


def run_suite(config: SuiteConfig, progress: Callable[[str], None] | None = None) -> SuiteSummary:
    """Run every cell that is not finished, and summarise all.

    Args:
        config: what is run.
        progress: called with a line about each cell that is computed.

    Raises:
        FileNotFoundError: no such configurations or weights, or no images of a task that is asked for by name.
        UnknownNameError: no such task.
        DataError: labels that do not fit, or too few groups.
    """
    report = progress or (lambda line: None)
    tasks = [task for task in load_tasks(config) if _has_data(config, task, report)]
    if not tasks:
        raise FileNotFoundError(
            f"{config.data} holds the images of none of the tasks in {config.configs}; check --data and --tasks"
        )
    sources = encoder_sources(config.weights, config.device, config.half_precision)
    sources += baseline_sources() if config.baselines else []
    sources += [UNetSource()] if METHOD in config.methods else []
    store = CellStore(config.output)
    cells: dict[str, list[Cell]] = {}
    for task in tasks:
        cells[task.name] = [cell for source in sources for cell in _run_source(config, store, task, source, report)]
        task.forget_images()
    return summarise(tasks, cells, config)


def load_tasks(config: SuiteConfig) -> list[SuiteTask]:
    """Return the tasks of a run, in the order of their names.

    Args:
        config: names folder and tasks.

    Raises:
        FileNotFoundError: the folder holds no configuration.
        UnknownNameError: no such task.
    """
    paths = {path.stem: path for path in glob_files(config.configs, "*.yaml")}
    if not paths:
        raise FileNotFoundError(f"no task (*.yaml) in {config.configs}; give the folder of the suite with --configs")
    names = list(paths) if config.tasks is None else list(config.tasks)
    for name in names:
        if name not in paths:
            raise UnknownNameError(f"no task {name!r}{did_you_mean(name, list(paths))}; there are {', '.join(paths)}")
    return [_task(config, load_probe_config(paths[name])) for name in names]


def _has_data(config: SuiteConfig, task: SuiteTask, report: Callable[[str], None]) -> bool:
    """Return whether the folders hold images of a task; one that is asked for by name must have them."""
    try:
        return bool(task.key)
    except FileNotFoundError as error:
        if config.tasks is not None:
            raise
        report(f"{task.name} is left out: {error}")
        return False


def _task(config: SuiteConfig, task: ProbeConfig) -> SuiteTask:
    return SuiteTask(task, config.data, config.test_data, config.seeds, config.output / "tasks")


def _run_source(
    config: SuiteConfig, store: CellStore, task: SuiteTask, source: FeatureSource, report: Callable[[str], None]
) -> list[Cell]:
    """Return the cells of one source on one task; its features are computed only if a cell is missing."""
    cells, features = [], _LazyFeatures(store, task, source)
    for address in _cell_addresses(config, task, source):
        path = store.cell_path(task, source, address)
        cell = store.load(path, address)
        if cell is None:
            cell = features.score(address)
            store.save(path, cell)
            report(_describe(cell))
        cells.append(cell)
    return cells


def _cell_addresses(config: SuiteConfig, task: SuiteTask, source: FeatureSource) -> list[CellAddress]:
    """Return the cells of one source on one task: each method at each share of the labels."""
    methods = [m for m in source.methods(task.scored) if source.role == "baseline" or m in config.methods]
    if METHOD in config.methods and source.finetuning is not None:
        methods.append(METHOD)
    return [CellAddress(task.name, source.name, source.role, m, share) for m in methods for share in config.shares]


class _LazyFeatures:
    """Features of a source on a task, computed when they are first needed."""

    def __init__(self, store: CellStore, task: SuiteTask, source: FeatureSource) -> None:
        self.store, self.task, self.source = store, task, source
        self.every: list[TaskFeatures] | None = None
        self.error: SkyweaveError | None = None
        self.about: dict[str, float] = {}

    def score(self, address: CellAddress) -> Cell:
        """Return the cell; one without predictions where the source cannot read the task."""
        if address.method == METHOD:
            return self._finetune(address)
        try:
            every = self._compute()
        except SkyweaveError as error:
            return failed_cell(address, error)
        cell = score_cell(self.task, address, every)
        cell.about.update(self.about)
        return cell

    def _compute(self) -> list[TaskFeatures]:
        """Return the features of each seed. Raises the same error again where the source could not read the task."""
        if self.error is not None:
            raise self.error
        if self.every is None:
            try:
                self.every, self.about = self.store.features(self.task, self.source)
            except SkyweaveError as error:
                self.error = error
                raise
        return self.every

    def _finetune(self, address: CellAddress) -> Cell:
        try:
            return finetune_cell(self.task, self.source, address)
        except SkyweaveError as error:
            return failed_cell(address, error)


def _describe(cell: Cell) -> str:
    address, about = cell.address, cell.about
    where = f"{address.task}: {address.source}, {address.method}"
    if address.share != 1:
        where += f", {address.share:.0%} of the labels"
    if not cell.is_scored:
        return f"{where}: cannot read it: {about['reason']}"
    speed = f", {about['images_a_cpu_second']:g} images a CPU second" if "images_a_cpu_second" in about else ""
    return f"{where}: fitted in {about['fit_cpu_seconds']:g} CPU s{speed}"
