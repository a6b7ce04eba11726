"""Freed memory stays with the process, where it can."""

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from skyweave.core.malloc import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)
def once():
    np.ones(16 << 20, np.uint8)
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> int:
    """Pages that the kernel hands out while 16 MiB are made and freed twenty times."""
    path = {"PATH": "/usr/bin:/bin", **environment}
    found = subprocess.run([sys.executable, "-c", FAULTS, how], env=path, capture_output=True, text=True, timeout=60)
    assert found.returncode in (0, 3), found.stderr
    return int(found.stdout) if found.returncode == 0 else -1


def test_memory_that_is_freed_is_used_again() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("not glibc")
    assert faults("kept") < 50 < faults("as it is")


def test_who_runs_the_process_has_the_last_word() -> None:
    assert faults("kept", MALLOC_TRIM_THRESHOLD_="1000000") == -1
