"""A table of measured figures as the files of ``results/`` hold it: `Result` of ``scripts/result_tables.py``."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUSY_LOAD = 0.5  # a core


def write_result(path: Path, title: str, rows: Sequence[dict[str, Any]], note: str = "") -> None:
    """Write rows with the command, the commit and the machine.

    Args:
        path: of the file.
        title: what was measured.
        rows: cell by column, each with the same columns.
        note: protocol.
    """
    words = ["python", *(word for word in sys.argv if word != "--json" and word != str(path))]
    words[1] = str(Path(words[1]).resolve().relative_to(ROOT))
    result = {
        "title": title,
        "commands": [" ".join(words)],
        "commit": _git("rev-parse", "--short", "HEAD"),
        "date": _git("log", "-1", "--format=%cs"),
        "machine": _describe_machine(),
        "note": note,
        "columns": list(rows[0]),
        "rows": [[str(row[column]) for column in rows[0]] for row in rows],
    }
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def append_report(path: Path, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Add the report of a run, with commit and machine, to a file; return all reports in it.

    Args:
        path: of the file, a JSON array; made if there is none.
        report: of the run.
    """
    reports: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    reports.append({**report, "commit": _git("rev-parse", "--short", "HEAD"), "machine": _describe_machine()})
    path.write_text(json.dumps(reports, indent=1) + "\n")
    return reports


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _describe_machine() -> str:
    """Return the cores and whether others used them: the load was that when the work ended."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[2]
    machine = f"{cores} cores of an {platform.machine().replace('_', '-')} CPU"
    return machine if load < cores * (1 + BUSY_LOAD) else f"{machine} that others used too (load {load:.0f})"
