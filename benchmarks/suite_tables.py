"""The tables of docs/results/suite.md from the JSON of a run of the suite.

skyweave suite tiny efficientnet-lite0 GALILEO PRESTO --data DATA -o runs/suite
python benchmarks/suite_tables.py runs/suite/suite.json
python scripts/result_tables.py --write
"""

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "backbone"
STRONGEST = "strongest baseline"


def main() -> None:
    """Write the results files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summary", type=Path, help="suite.json of a run")
    parser.add_argument("--weights", default="tiny", help="the row whose leads are shown")
    parser.add_argument("--command", default="skyweave suite tiny --data DATA -o runs/suite")
    parser.add_argument("--machine", default="2 cores of an x86-64 CPU")
    parser.add_argument("--name", default="suite", help="first part of the names of the files")
    args = parser.parse_args()
    summary = json.loads(args.summary.read_text())
    origin = {"commands": [args.command], "machine": args.machine, **_commit()}
    tables = {"tasks": task_table(summary, args.weights), "means": mean_table(summary)}
    for name, table in tables.items():
        path = RESULTS / f"{args.name}-{name}.json"
        path.write_text(json.dumps({**origin, **table}, indent=1, ensure_ascii=False) + "\n")
        print(f"wrote {path.relative_to(ROOT)}")


def task_table(summary: dict[str, Any], weights: str) -> dict[str, Any]:
    """Return the scores of each task, by linear model and strongest baseline."""
    sources = list(dict.fromkeys(row["source"] for task in summary["tasks"].values() for row in task["rows"]))
    encoders = [name for name in sources if _role(summary, name) in ("weights", "peer", "untrained")]
    columns = [
        "task",
        "metric",
        "groups",
        *(f"`{name}`" for name in encoders),
        STRONGEST,
        f"lead of `{weights}`, detectable",
    ]
    rows = []
    for name, task in summary["tasks"].items():
        scores = {(r["source"], r["method"]): r["score"] for r in task["rows"] if r["share"] == 1 and r["score"]}
        baselines = [r for r in task["rows"] if r["role"] == "baseline" and r["score"] and r["share"] == 1]
        best = max(baselines, key=lambda row: row["score"]["mean"])
        lead = _comparison(task, weights)
        cells = [_number(scores.get((encoder, "linear"))) for encoder in encoders]
        strongest = f"{best['source']}, {best['method']} {best['score']['mean']:.3f}"
        text = f"{lead['mean']:+.3f} [{lead['low']:+.3f}, {lead['high']:+.3f}], {lead['detectable']:.3f}"
        rows.append([f"`{name}`", task["metric"].replace("_", " "), str(task["groups"]), *cells, strongest, text])
    note = (
        "Linear models on frozen features; the lead is that over the strongest baseline with its 95 % interval and the "
        "smallest difference that the task can show. A dash: the encoder cannot read the sensor."
    )
    return {"title": "Suite: scores", "columns": columns, "rows": rows, "note": note}


def mean_table(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the mean differences over tasks."""
    columns = ["encoder", "minus", "difference [95 % interval]", "tasks above", "tasks below", "tasks"]
    rows = [
        [
            f"`{one['source']}`",
            one["opponent"],
            f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]",
            *(str(one[key]) for key in ("above", "below", "tasks")),
        ]
        for one in summary["means"]
        if one["share"] == 1 and one["method"] == "linear"
    ]
    note = "Linear models. Means over the tasks that both read; above and below: the whole interval of the task is."
    return {"title": "Suite: mean differences", "columns": columns, "rows": rows, "note": note}


def _comparison(task: dict[str, Any], weights: str) -> dict[str, float]:
    keys = {"source": weights, "method": "linear", "opponent": STRONGEST, "share": 1.0}
    found: dict[str, float] = next(c for c in task["comparisons"] if all(c[key] == keys[key] for key in keys))
    return found


def _role(summary: dict[str, Any], name: str) -> str:
    return next(str(r["role"]) for task in summary["tasks"].values() for r in task["rows"] if r["source"] == name)


def _number(score: dict[str, float] | None) -> str:
    return "-" if score is None else f"{score['mean']:.3f}"


def _commit() -> dict[str, str]:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return {"commit": git("rev-parse", "--short", "HEAD"), "date": git("log", "-1", "--format=%cs")}


if __name__ == "__main__":
    main()
