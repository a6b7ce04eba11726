"""Our figures against those that nuscenes-devkit 1.2 gave for the same cases (``benchmarks/metric_parity.py``)."""

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "golden.json").read_text())


@pytest.fixture(scope="module")
def parity(repository: Path) -> ModuleType:
    path = repository / "benchmarks" / "metric_parity.py"
    spec = importlib.util.spec_from_file_location("metric_parity", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']} {case['name']}" for case in CASES])
def test_figures_are_those_of_the_devkit(case: dict[str, Any], parity: ModuleType) -> None:
    ours = parity.OURS[case["kind"]](case)
    for name, value in case["figures"].items():
        assert ours[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    for name in ours.keys() - case["figures"].keys():  # left out where it is a whole number or none
        assert math.isnan(ours[name]) or ours[name] == pytest.approx(round(ours[name]), abs=1e-6), name


def test_the_cases_say_something() -> None:
    kinds = [case["kind"] for case in CASES]
    assert kinds.count("detection") >= 20
    assert kinds.count("tracking") >= 10
    scores = [case["figures"]["NDS"] for case in CASES if case["kind"] == "detection"]
    assert sum(0.1 < score < 0.9 for score in scores) >= 8
    assert sum(case["figures"].get("amota", 0) > 0.2 for case in CASES) >= 6


def test_new_cases_agree_with_the_plain_definition(parity: ModuleType) -> None:
    """The makers of cases work without the devkit; what they make is scored without a warning."""
    for make in parity.MAKERS:
        for seed in range(900, 915):
            case = make(seed)
            figures = parity.OURS[case["kind"]](case)
            assert all(math.isnan(value) or value >= 0 for value in figures.values())
