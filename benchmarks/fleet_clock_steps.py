"""Clocks that are set while a fleet flies: how long until every node fuses the frames of all others again.

    OMP_NUM_THREADS=1 python benchmarks/fleet_clock_steps.py --json results/fleet/clock_steps.json

Three nodes over emulated links, two frames a second, with a system clock each that is set by a step at some instant
between two frames, of one node or of all; or with a quartz that is fast. A scene is whole when it has the frames of all
others of the same instant; it is wrong when anything in it is placed at another time than it was captured.
"""

import argparse
import importlib
import random
import sys
from pathlib import Path
from typing import Any

from result_file import write_result

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
clocks: Any = importlib.import_module("flight_with_clocks")
STEPS_S = (0.4, -0.4, 5.0, -5.0, 3600.0, -3600.0)
RATES = (1.0001, 1.001)  # of a quartz: seconds that it counts in one
SET_AT, FRAMES = 8, 24
DRIFT_FRAMES = 1200


def measure_step(step: float, who: tuple[str, ...], times: int, generator: random.Random) -> dict[str, Any]:
    """Set clocks once in each of several flights."""
    lost, wrong = [], 0
    for _ in range(times):
        exact = step + generator.uniform(-0.1, 0.1)  # no multiple of the time between frames
        flight = clocks.Flight()

        def set_clocks(number: int, flight: Any = flight, exact: float = exact) -> None:
            for name in who if number == SET_AT else ():
                flight.set_clock(name, exact)

        try:
            flight.fly(FRAMES, set_clocks)
        except AssertionError:  # something was fused at a wrong time
            wrong += 1
        after = flight.whole[SET_AT:]
        lost.append(len(after) - after[::-1].index(False) if False in after else 0)
    whose = "all" if len(who) > 1 else "one node"
    return row(f"{step:+g} s", whose, times, lost, wrong)


def measure_drift(rate: float) -> dict[str, Any]:
    """Fly for ten minutes with a quartz that is fast."""
    flight, wrong = clocks.Flight(rates={clocks.NAMES[1]: rate}), 0
    try:
        flight.fly(DRIFT_FRAMES)
    except AssertionError:
        wrong += 1
    missed = sum(not whole for whole in flight.whole[SET_AT:])
    return row(f"drift of {1000 * (rate - 1):g} ms a second, 10 min", "one node", 1, [missed], wrong)


def row(step: str, whose: str, times: int, lost: list[int], wrong: int) -> dict[str, Any]:
    return {
        "clock set by": step,
        "of": whose,
        "times": times,
        "frame periods until all is whole, mean": f"{sum(lost) / len(lost):.2f}",
        "most": max(lost),
        "most (s)": f"{max(lost) * clocks.PERIOD_S:.1f}",
        "flights with a wrong scene": wrong,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="flights for each step")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    generator = random.Random(0)
    rows = []
    for step in STEPS_S:
        for who in (clocks.NAMES[1:2], clocks.NAMES):
            rows.append(measure_step(step, who, args.times, generator))
            print(rows[-1], flush=True)
    for rate in RATES:
        rows.append(measure_drift(rate))
        print(rows[-1], flush=True)
    if args.json:
        write_result(
            args.json, "Clocks that are set", rows, "Three nodes, two frames a second, emulated links and clocks."
        )


if __name__ == "__main__":
    main()
