"""One row of the proof table: a subject over its generated cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinycnn import kernels
from tinycnn.gradcheck import Report, gradcheck, gradgradcheck
from tinycnn.nn import Module
from tinycnn.proof.inputs import Example, Inputs
from tinycnn.proof.subjects import drawn

CASES = 200

# The same cases in every run; the number of cases is what limits the time, nothing else.
RULE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@dataclass
class Row:
    """What was found about one subject on one backend.

    Attributes:
        name: the subject's.
        backend: whose kernels.
        cases: how many were checked.
        method: how the independent derivatives were found, of both orders, how often.
        first: the worst error of first derivatives in float64, relative to the sum of the
            absolute values of the terms that the derivative adds up.
        second: the same of second derivatives.
        ulp: the worst error of float32 gradients, in units of the last place of that sum.
        kinks: elements that lay on a kink or a tie.
        unresolved: elements whose independent derivative was known to less than three digits.
        failures: cases with a wrong gradient.
        example: the smallest failing case and its report; "" without failures.
    """

    name: str
    backend: str
    cases: int
    method: dict[str, int]
    first: float
    second: float
    ulp: float
    kinks: int
    unresolved: int
    failures: int
    example: str

    @property
    def ok(self) -> bool:
        """Whether every gradient was right."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def prove(name: str, backend: str = "cpu", cases: int = CASES) -> Row:
    """Check the first and second derivatives of a subject over generated cases.

    Args:
        name: one of `subjects.SUBJECTS`.
        backend: "reference" or "cpu", whose kernels are used; "both" where they are the same.
        cases: how many.

    >>> row = prove("arithmetic.exp", "reference", cases=3)
    >>> row.ok, row.cases, row.first < 1e-12
    (True, 3, True)
    """
    row = Row(name, backend, 0, {}, 0.0, 0.0, 0.0, 0, 0, 0, "")
    methods: Counter[str] = Counter()

    def check(example: Example) -> None:
        first, second = _reports(example)
        row.cases += 1
        row.failures += not (first.ok and second.ok)
        row.kinks += first.kinks
        row.unresolved += first.unresolved + second.unresolved
        methods.update([first.method, second.method])
        if first.ulp is None:
            row.first, row.second = max(row.first, first.worst), max(row.second, second.worst)
        else:
            row.ulp = max(row.ulp, first.ulp)

    with kernels.use("reference" if backend == "both" else backend):
        _over_cases(name, cases, check)
        if row.failures:
            row.example = _smallest_failure(name, cases)
    row.method = dict(methods.most_common())
    return row


def _over_cases(
    name: str, cases: int, check: Callable[[Example], None], phases: tuple[Phase, ...] = ()
) -> None:
    """Call `check` with generated cases; if it raises, with smaller and smaller ones too."""

    @given(data=st.data())
    @settings(RULE, max_examples=cases, phases=[Phase.generate, *phases])
    def run(data: Any) -> None:
        check(drawn(name, Inputs(data)))

    run()


def _reports(example: Example) -> tuple[Report, Report]:
    """Of the first derivatives, and of the second."""
    return gradcheck(*example), gradgradcheck(*example)


def _smallest_failure(name: str, cases: int) -> str:
    """The failing case that Hypothesis can not make smaller, and its reports."""
    told = ""

    def check(example: Example) -> None:
        nonlocal told
        wrong = [report for report in _reports(example) if not report.ok]
        if wrong:
            told = "\n".join([f"{name}{_shown(example)}", *map(str, wrong)])
            raise AssertionError(told)

    try:
        _over_cases(name, cases, check, (Phase.shrink,))
    except AssertionError:
        return told
    return f"{name}: a failure that did not come again"


def _shown(example: Example) -> str:
    """The arguments: arrays by shape and dtype, the rest as they are."""
    function, arguments = example
    parts = [
        f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else str(x) for x in arguments
    ]
    return f"({', '.join(parts)})" + (f"\n{function}" if isinstance(function, Module) else "")
