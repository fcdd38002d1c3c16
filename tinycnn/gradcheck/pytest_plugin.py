"""pytest plugin: the fixture `check_gradients` checks backward functions written by hand.

It comes with the package, so that a test file needs no more than

    from tinycnn.gradcheck.strategies import conv2d

    def test_my_convolution(check_gradients):
        check_gradients(conv_forward, conv_backward, conv2d())

A failure shows the smallest case that still fails, and what the mistake looks like. What passed is
told at the end of pytest's output.

pytest loads this in every run, also of tests that have no gradients, so what it needs is imported
where it is used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from tinycnn.gradcheck import Finding, Report

Function: TypeAlias = Callable[..., Any]

PROPERTY = "gradients"  # of a test, where it keeps what is told at the end
OTHERS = 20  # cases tried after the smallest failing one is found


@pytest.fixture
def check_gradients(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`check_gradients(forward, backward, cases, examples=100)` fails if a gradient is wrong.

    Args of the function:
        forward: `forward(*case)` returns an array.
        backward: `backward(g, *case)` returns a tuple of gradients, for g the cotangent of that
            array; see `tinycnn.gradcheck.pair`.
        cases: a Hypothesis strategy of tuples of arguments, or of the only argument; see
            `tinycnn.gradcheck.strategies`.
        examples: how many cases are tried; the same ones in every run.
    """

    def check(
        forward: Function, backward: Function, cases: SearchStrategy[Any], examples: int = 100
    ) -> None:
        __tracebackhide__ = True  # pytest shows the test's line, not this one
        trials = Trials(forward, backward)
        trials.run(cases, examples)
        if trials.smallest is None:
            record_property(PROPERTY, trials.passing())
            return
        outcome = trials.smallest.outcome
        if isinstance(outcome, Exception):
            outcome.add_note(trials.case_text(trials.smallest))
            raise outcome.with_traceback(_outside(outcome.__traceback__)) from None
        pytest.fail(trials.failure_text(trials.smallest, outcome), pytrace=False)

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was checked, and what lay on kinks and so was not."""
    told = [
        f"{report.nodeid}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if told:
        terminalreporter.section("gradients")
        for line in told:
            terminalreporter.write_line(line)


class Failure(NamedTuple):
    """A case that failed, as it was before the call too, and the report or the exception."""

    case: tuple[Any, ...]
    before: tuple[Any, ...]
    outcome: Report | Exception


class Trials:
    """Cases that were tried.

    Attributes:
        passed: the reports of those that passed.
        failed: all others.
        smallest: of these.
        others: failing ones that were tried after it was found.
    """

    def __init__(self, forward: Function, backward: Function) -> None:
        self.forward, self.backward = forward, backward
        self.passed: list[Report] = []
        self.failed: list[Failure] = []
        self.smallest: Failure | None = None
        self.others: list[Failure] = []

    def run(self, cases: SearchStrategy[Any], examples: int) -> None:
        """Try cases until one fails, then ever smaller ones, then others that may tell more."""
        from hypothesis import Phase, errors, find, settings

        rule = settings(deadline=None, database=None)
        search = settings(rule, max_examples=examples, phases=(Phase.generate, Phase.shrink))
        others = settings(rule, max_examples=OTHERS, phases=(Phase.generate,))
        try:
            find(cases, self.fails, settings=search, random=Random(0))
        except errors.NoSuchExample:
            return
        except errors.Flaky:
            pass  # it failed, and with the same numbers it did not: that is a failure too
        self.smallest = self.failed[-1]
        found = len(self.failed)
        with suppress(errors.NoSuchExample):
            find(cases, lambda case: self.fails(case) and False, settings=others, random=Random(1))
        self.others = self.failed[found:]

    def fails(self, case: Any) -> bool:
        """Try one case."""
        from tinycnn.gradcheck import pair

        case = case if isinstance(case, tuple) else (case,)
        before = deepcopy(case)
        try:
            report = pair(self.forward, self.backward, case)
        except Exception as error:  # whatever is wrong with the code under check
            self.failed.append(Failure(case, before, error))
            return True
        if report.ok:
            self.passed.append(report)
        else:
            self.failed.append(Failure(case, before, report))
        return not report.ok

    # ---- what is told ----------------------------------------------------------------------

    def passing(self) -> str:
        """One line on cases that all passed."""
        methods = " and ".join(sorted({report.method for report in self.passed}))
        numbers = sum(report.compared for report in self.passed)
        kinks = sum(report.kinks for report in self.passed)
        unresolved = sum(report.unresolved for report in self.passed)
        ulp = [report.ulp for report in self.passed if report.ulp is not None]
        worst = f"{max(ulp):.1f} ulp" if ulp else f"{max(r.worst for r in self.passed):.1e}"
        return (
            f"{_name(self.backward)}: {len(self.passed)} cases, {numbers} numbers by {methods}, "
            f"worst error {worst}"
            + (f"; {kinks} on a kink or tie, where any slope between is right" if kinks else "")
            + (f"; {unresolved} could not be resolved" if unresolved else "")
        )

    def failure_text(self, smallest: Failure, report: Report) -> str:
        """The report of the smallest failing case, and what others look like."""
        head = f"{_name(self.backward)} is not the derivative of {_name(self.forward)}"
        others = [line for finding in report.findings for line in self._elsewhere(finding)]
        return "\n".join([head, "", self.case_text(smallest), "", str(report), *others])

    def case_text(self, smallest: Failure) -> str:
        """The smallest failing case, argument by argument."""
        from tinycnn.gradcheck.subject import names_of

        names = names_of(self.forward, smallest.case)
        width = max(map(len, names), default=0)
        tried = len(self.passed) + len(self.failed)
        lines = [f"the smallest of {len(self.failed)} failing cases, {tried} tried:"]
        for name, value, before in zip(names, smallest.case, smallest.before, strict=True):
            lines.append(f"  {name:{width}}  {_shown(value, before)}")
        return "\n".join(lines)

    def _elsewhere(self, smallest: Finding) -> Iterator[str]:
        """What most other cases look like, if the smallest looks otherwise, being so small."""
        alike = [
            found.looks_like
            for other in self.others
            if not isinstance(other.outcome, Exception)
            for found in other.outcome.findings
            if (found.input, found.trouble) == (smallest.input, smallest.trouble)
        ]
        kinds = Counter(map(_kind, alike))
        for kind, count in kinds.most_common(1):
            texts = Counter(text for text in alike if _kind(text) == kind)
            (text, _), *different = texts.most_common()
            if text.partition(":")[0] != smallest.looks_like.partition(":")[0]:
                yield (
                    f"{smallest.input}: {count} of {len(alike)} other failing cases look like: "
                    f"{text or 'no mistake that is known'}{' or similar' if different else ''}"
                )


def _kind(looks_like: str) -> str:
    """A diagnosis without its numbers and particulars."""
    return re.split("[:(0-9]", looks_like)[0]


def _name(function: Function) -> str:
    return getattr(function, "__name__", repr(function))


def _shown(value: Any, before: Any) -> str:
    """An argument: what it holds, and for an array its shape, dtype and place in memory."""
    import numpy as np

    if not isinstance(value, np.ndarray):
        return repr(before)
    text = np.array2string(before, separator=", ", threshold=24).replace("\n", "")
    places = {
        "not contiguous": not value.flags.c_contiguous,
        "read-only": not value.flags.writeable,
    }
    told = [str(value.dtype), *(name for name, so in places.items() if so)]
    return f"{value.shape} {text}  ({', '.join(told)})"


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that lies in the code under check."""
    while trace and trace.tb_frame.f_globals.get("__name__", "").startswith("tinycnn.gradcheck"):
        trace = trace.tb_next
    return trace
