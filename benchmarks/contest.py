"""Fair rounds: every contender is a process of its own, rounds alternate, the median counts."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def measure(contenders: Sequence[tuple[str, str]], rounds: int, images: int) -> list[dict[str, str | float]]:
    """Median images a second, images a CPU second (steadier on a busy machine) and peak memory of each contender.

    Runs this same script once a contender with ``--worker CODE PRECISION`` added; there it must call ``serve``.

    Args:
        contenders: (code, precision) of each.
        rounds: measured rounds; one more warms up.
        images: images a round.
    """
    command = [sys.executable, "-W", "ignore", *sys.argv, "--worker"]
    workers = [
        subprocess.Popen([*command, *contender], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for contender in contenders
    ]
    answers: list[list[dict[str, float]]] = [[] for _ in workers]
    try:
        for _ in range(rounds + 1):
            for worker, contender, answer in zip(workers, contenders, answers, strict=True):
                answer.append(_play(worker, contender))
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    rows: list[dict[str, str | float]] = []
    for (code, precision), answer in zip(contenders, answers, strict=True):
        seconds = [reply["seconds"] for reply in answer[1:]]
        rows.append(
            {
                "code": code,
                "precision": precision,
                "images_per_second": images / statistics.median(seconds),
                "images_per_cpu_second": images / statistics.median(reply["cpu_seconds"] for reply in answer[1:]),
                "slowest_round": images / max(seconds),
                "fastest_round": images / min(seconds),
                "peak_mib": max(reply["peak_mib"] for reply in answer),
            }
        )
    return rows


def _play(worker: subprocess.Popen[str], contender: tuple[str, str]) -> dict[str, float]:
    assert worker.stdin and worker.stdout
    try:
        worker.stdin.write("round\n")
        worker.stdin.flush()
    except BrokenPipeError:
        pass
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(contender)} failed; its error is above")
    reply: dict[str, float] = json.loads(line)
    return reply


def serve(play: Callable[[], None]) -> None:
    """Be a contender: play one round for each line on standard input, and say how long it took."""
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        play()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}), flush=True)


def table(rows: Sequence[dict[str, str | float]], reference: str) -> str:
    """A Markdown table, with ratios to ``reference`` at the same precision and at fp32."""
    speeds = {(str(row["code"]), str(row["precision"])): float(row["images_per_second"]) for row in rows}
    lines = [
        f"| code | precision | images/s | rounds, slowest to fastest | per CPU second | of {reference}, same precision "
        f"| of {reference}, fp32 | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        speed = float(row["images_per_second"])
        ratios = [
            f"{speed / base:.2f}x" if (base := speeds.get((reference, precision))) else "-"
            for precision in (str(row["precision"]), "fp32")
        ]
        spread = f"{row['slowest_round']:.2f} to {row['fastest_round']:.2f}"
        busy = f"{row['images_per_cpu_second']:.2f}"
        cells = [row["code"], row["precision"], f"{speed:.2f}", spread, busy, *ratios, f"{row['peak_mib']:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
