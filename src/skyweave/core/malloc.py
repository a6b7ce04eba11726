"""Freed memory is kept for the next tensor instead of being handed back to the kernel at every step."""

import ctypes
import os

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD, ARENA_MAX = -3, -1, -2, -8  # numbers of mallopt(3)
MAX_MMAP_THRESHOLD_BYTES = 32 << 20  # the largest that glibc takes; larger blocks are mapped by themselves
MAX_FREE_BYTES = 1 << 29  # freed memory that a process keeps
GROWTH_BYTES = 1 << 26  # that it asks the kernel for at a time


def keep_freed_memory() -> bool:
    """Make glibc's allocator keep what is freed; the same as ``MALLOC_TRIM_THRESHOLD_`` and the like.

    By default large blocks, and the top of the heap, go back to the kernel as soon as a tensor is gone, and the next
    one has its pages mapped and zeroed anew: on virtual machines that takes a tenth to a fifth of a model's time. A
    matter of the whole process, so commands call it and functions do not.

    Returns:
        Whether it was done: not with other allocators, nor where one of the variables is set by who runs the process.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "LD_PRELOAD" in os.environ:
        return False
    library = _load_glibc()
    if library is None:
        return False
    options = {MMAP_THRESHOLD: MAX_MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD: MAX_FREE_BYTES, TOP_PAD: GROWTH_BYTES}
    return {library.mallopt(name, value) for name, value in options.items()} == {1}


def share_freed_memory() -> bool:
    """Let all threads take memory from one heap, before there are any; the same as ``MALLOC_ARENA_MAX=1``.

    By default each thread has a heap of its own, and what one has freed is no other's: where some threads read what
    others compute with, a process keeps several times what it needs.

    Returns:
        Whether it was done, as of `keep_freed_memory`.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "LD_PRELOAD" in os.environ:
        return False
    library = _load_glibc()
    return library is not None and library.mallopt(ARENA_MAX, 1) == 1


def _load_glibc() -> ctypes.CDLL | None:
    """Return the C library of this process; None where it is not glibc."""
    try:
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version
    except (OSError, AttributeError, TypeError):
        return None
    return library
