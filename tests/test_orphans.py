"""A fleet that a test had started flew on for ever when the tests were killed."""

import subprocess
import sys
from pathlib import Path

from orphans import run_at_the_end
from waiting import until

TESTS = """
import sys, time
sys.path.append(sys.argv[1])
from orphans import run_at_the_end
with run_at_the_end(["touch", sys.argv[2]]):
    print("started", flush=True)
    time.sleep(60)
"""


def test_what_is_to_be_done_at_the_end_is_done_when_tests_are_killed(tmp_path: Path) -> None:
    done = tmp_path / "done"
    command = [sys.executable, "-c", TESTS, str(Path(__file__).parent), str(done)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None and tests.stdout.readline() == b"started\n" and not done.exists()
        tests.kill()
    until(done.exists, "it is done")


def test_it_is_done_when_the_context_ends(tmp_path: Path) -> None:
    with run_at_the_end(["touch", str(tmp_path / "done")]):
        assert not (tmp_path / "done").exists()
    assert (tmp_path / "done").exists()
