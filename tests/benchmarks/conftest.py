import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmark is not installed


@pytest.fixture
def results():
    """A run in which each side takes twice as long as the one before it."""
    from benchmarks import processes
    from benchmarks.cases import Case, all_cases
    from benchmarks.compare import Quartiles, Row
    from benchmarks.results import Limits, Results

    def row(case, scale):
        medians = {side: scale * 2.0**i for i, side in enumerate(case.sides)}
        return Row(case, {s: Quartiles(0.9 * m, m, 1.1 * m) for s, m in medians.items()}, {})

    whole = processes.WHOLE.name
    rows = [row(case, 1e-3) for case in all_cases()]
    for state in ("warm", "cold"):
        case = Case("processes", f"{whole}, {state}", "", {}, processes.BOTH, 1e12)
        rows.append(row(case, 10.0))
    rows.append(row(Case("memory", whole, "", {}, processes.BOTH), 2e8))
    machine = {"CPU": "a machine"}
    return Results(machine, Limits(1e12, 1e11), rows, {1: "a", 2: "a", 4: "a"})
