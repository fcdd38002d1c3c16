"""Time tinycnn beside PyTorch, JAX and MyGrad, in turns, and say how they compare.

    python -m benchmarks                        # all of it, under 10 minutes on two cores
    python -m benchmarks --quick --only training,inference
    python -m benchmarks --only "convolution 3x3, 8-16" processes

A row belongs to a group: training, inference, convolution, windows, operations, networks, engine,
batch, side, depth, processes (with their memory), threads (the same bits for any number). It

needs `pip install tinycnn[bench]` and, for torch.compile, a C++ compiler. A whole run is written
with `--out docs/benchmarks`; the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import machine, patches, processes
from benchmarks.cases import LIMITS, Case, all_cases
from benchmarks.compare import Effort, Players, Row
from benchmarks.results import OURS, Results, limits_of, speed_up_over_best, write_json
from benchmarks.table import UNITS, digits, page

EFFORT = Effort(5, 0.03)
HEADLINES = {"training": Effort(7, 0.12), "inference": Effort(7, 0.1), "networks": Effort(7, 0.1)}
QUICK = Effort(3, 0.05)
BEGAN = time.perf_counter()
WAITING = ("compiled", "JAX", "MyGrad")  # sides that take long to get ready, or altogether


def show(row: Row) -> Row:
    """Print a row as soon as it is there."""
    unit, scale = UNITS.get(row.case.group, ("ms", 1e3))
    times = ", ".join(f"{side} {digits(q.median * scale)}" for side, q in row.times.items())
    ratio = speed_up_over_best(row)
    elapsed = f"{time.perf_counter() - BEGAN:4.0f} s"
    told = f"{elapsed}  {row.case.group}: {row.case.name}: {times} {unit}"
    print(told + (f"; × {ratio:.2f}" if ratio else ""), flush=True)
    for side, trouble in row.troubles.items():
        print(f"  {side}: {trouble}")
    return row


def of_cases(players: Players, cases: list[Case], quick: bool) -> Iterator[Row]:
    """Time each case on all its sides."""
    for case in cases:
        sides = [side for side in case.sides if not (quick and side in WAITING)]
        effort = QUICK if quick else HEADLINES.get(case.group, EFFORT)
        yield show(players.measure(case, sides, effort))


def of_processes(wanted: list[str], quick: bool) -> tuple[list[Row], dict[int, str]]:
    """Rows of whole processes, and the weights with several numbers of threads."""
    rows: list[Row] = []
    weights: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "patches.npz")
        patches.write(file)
        if "processes" in wanted:
            for training in (processes.FIRST_STEP, processes.SHORT if quick else processes.WHOLE):
                rows += map(show, processes.rows(training, file))
        if "threads" in wanted:
            weights = processes.weights_by_threads(file)
    return rows, weights


def matches(case: Case, only: list[str]) -> bool:
    """Whether a row's group and name begin with one of these, × and → written as x and - or not."""
    name, *beginnings = (
        words.replace("×", "x").replace("→", "-") for words in (f"{case.group} {case.name}", *only)
    )
    return not only or name.startswith(tuple(beginnings))


def measure(only: list[str], quick: bool) -> Results:
    """Everything asked for. The machine's limits are taken at the beginning and at the end."""
    chosen = [case for case in all_cases() if matches(case, only)]
    wanted = [group for group in ("processes", "threads") if not only or group in only]
    described = machine.description()
    players = Players()
    try:
        limits = [players.measure(case, case.sides, EFFORT) for case in LIMITS]
        rows = list(of_cases(players, chosen, quick))
        limits += [players.measure(case, case.sides, EFFORT) for case in LIMITS]
    finally:
        players.close()
    more, weights = of_processes(wanted, quick) if wanted else ([], {})
    return Results(described, limits_of(limits), rows + more, weights)


def main() -> None:
    """Measure, print the page or write it with its pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of rows")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, PyTorch uncompiled")
    parser.add_argument("--out", type=Path, help="a folder for results.md, results.json, pictures")
    options = parser.parse_args()
    results = measure(options.only, options.quick)
    if options.out:
        from benchmarks import plots

        options.out.mkdir(parents=True, exist_ok=True)
        pictures = plots.draw(results, options.out)
        write_json(results, options.out / "results.json")
        (options.out / "results.md").write_text(page(results) + pictures, "utf-8")
    else:
        print(page(results))
    sys.exit(any(OURS in row.troubles for row in results.rows))


if __name__ == "__main__":
    main()
