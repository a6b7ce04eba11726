"""Reading, computing and what follows, overlapped in threads; results come in order."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Input = TypeVar("Input")
Output = TypeVar("Output")

READERS = 2
"""Threads that read: one waits for the disk or the network while another decodes."""
AHEAD = 2
"""Items that are read and not yet computed, beside those that are being computed."""


def map_overlapped(
    items: Iterable[Item], read: Callable[[Item], Input], compute: Callable[[Input], Output], workers: int
) -> Iterator[tuple[Item, Output]]:
    """Yield each item and its result in order, while the next are read and computed in other threads.

    Each worker computes with one thread of PyTorch's: several batches at once keep more cores busy than one batch on
    all of them, and a result does not depend on how many there are.

    Args:
        items: what is read; taken as they are needed.
        read: from an item to an input, in threads of its own.
        compute: from an input to a result.
        workers: inputs that are computed at once.
    """
    threads = _set_threads(1)
    readers, computers = (
        ThreadPoolExecutor(READERS),
        ThreadPoolExecutor(workers, initializer=_set_threads, initargs=(1,)),
    )
    waiting: deque[tuple[Item, Future[Output]]] = deque()
    try:
        for item in items:
            source = readers.submit(read, item)
            waiting.append((item, computers.submit(_compute, compute, source)))
            if len(waiting) >= workers + AHEAD:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    finally:
        for pool in (readers, computers):
            pool.shutdown(cancel_futures=True)
        _set_threads(threads)


def _compute(compute: Callable[[Input], Output], source: "Future[Input]") -> Output:
    """Return the result of an input when it is read."""
    return compute(source.result())


def _set_threads(count: int) -> int:
    """Set the threads that PyTorch computes with in this thread, where it is what computes; return how many it had."""
    torch = sys.modules.get("torch")
    if torch is None:
        return count
    before: int = torch.get_num_threads()
    torch.set_num_threads(count)
    return before
