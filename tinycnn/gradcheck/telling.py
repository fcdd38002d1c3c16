"""From a gradient that is wrong to a finding: the evidence, the worst elements, the diagnosis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tinycnn.gradcheck.diagnosis import diagnose
from tinycnn.gradcheck.elements import Jacobian, Truth, between, jacobian
from tinycnn.gradcheck.evidence import Evidence
from tinycnn.gradcheck.oracle import Index
from tinycnn.gradcheck.report import Entry, Finding
from tinycnn.gradcheck.witness import Witness
from tinycnn.kernels.types import Array

WORST = 5  # elements shown
ROWS, NUMBERS = 16, 10_000  # gradients for single outputs to diagnose by: so many at least, or
# as many as hold so many numbers
LOOKED_AT = 256  # elements of a large input, once it is known to be wrong


class Elsewhere(NamedTuple):
    """Another point at which the code under check was called before, and the cotangent there."""

    point: list[Array]
    cotangent: Array


def finding(
    witness: Witness,
    i: int,
    analytic: Array,
    known: Jacobian,
    g: Array,
    rtol: float,
    elsewhere: Elsewhere | None,
) -> Finding:
    """What there is to say of the wrong gradient of a small input i."""
    truth = known.gradient(g)
    rows = max(ROWS, NUMBERS // max(analytic.size, 1))
    earlier = () if elsewhere is None else tuple(_remembered(witness, known, i, g, elsewhere))
    evidence = Evidence(
        witness.subject.point[i],
        witness.output,
        g,
        analytic,
        _nearest(analytic, known, truth, g),
        truth.tolerance(rtol),
        known.slopes,
        {at: witness.gradients(unit)[i] for at, unit in witness.units(rows).items()},
        earlier,
        known.kinks,
    )
    return _told(witness.subject.names[i], evidence)


def finding_in_large(witness: Witness, i: int, g: Array, rtol: float) -> Finding:
    """The same of a large input, by some of its elements; the rest counts as right."""
    analytic = witness.gradients(g)[i]
    numeric, tolerance = analytic.astype(np.float64), np.full(analytic.shape, np.inf)
    chosen = witness.rng.permutation(analytic.size)[:LOOKED_AT]
    for at in _indexes([_most_wrong(witness, i, analytic, g), *chosen], analytic.shape):
        along, error = witness.oracle.slope(witness.oracle.unit(i, at))
        numeric[at] = (along * g).sum()
        tolerance[at] = (rtol * abs(along * g) + error * abs(g)).sum()
    x, nowhere = witness.subject.point[i], np.zeros(analytic.shape, bool)
    evidence = Evidence(x, witness.output, g, analytic, numeric, tolerance, None, {}, (), nowhere)
    return _told(witness.subject.names[i], evidence)


def of_another_shape(witness: Witness, i: int, analytic: Array, g: Array, rtol: float) -> str:
    """What a gradient looks like that has not the shape of the input."""
    known = jacobian(witness.oracle, i)
    truth = known.gradient(g)
    x, tolerance = witness.subject.point[i], truth.tolerance(rtol)
    return diagnose(
        Evidence(
            x, witness.output, g, analytic, truth.low, tolerance, known.slopes, {}, (), known.kinks
        )
    )


def _most_wrong(witness: Witness, i: int, analytic: Array, g: Array) -> int:
    """An element that is wrong, found by halving: of each two halves the one further off."""
    flat = analytic.ravel().astype(np.float64)
    candidates = np.arange(flat.size)
    while len(candidates) > 1:
        halves = np.array_split(candidates, 2)
        apart = []
        for half in halves:
            v = np.zeros(flat.size)
            v[half] = witness.rng.standard_normal(len(half))
            direction = [np.zeros(x.shape) for x in witness.oracle.point]
            direction[i] = v.reshape(analytic.shape)
            along, _ = witness.oracle.slope(direction)
            apart.append(abs((along * g).sum() - v @ flat))
        candidates = halves[int(np.argmax(apart))]
    return int(candidates[0])


def _nearest(analytic: Array, known: Jacobian, truth: Truth, g: Array) -> Array:
    """What is right and comes nearest to a claimed gradient."""
    numeric = truth.nearest(analytic)
    for tied, sides in known.ties:
        low, high, _, _ = between(sides, g)
        total = sum(analytic[at] for at in tied)
        for at in tied:  # what is too much or too little is spread evenly
            numeric[at] += (np.clip(total, low, high) - total) / len(tied)
    return numeric


def _remembered(
    witness: Witness, known: Jacobian, i: int, g: Array, elsewhere: Elsewhere
) -> Iterator[Array]:
    """The gradients that a call would give which remembers the other point or its cotangent."""
    there = np.zeros_like(known.slopes)
    exact = [x.astype(np.float64) for x in elsewhere.point]
    for at in np.ndindex(known.kinks.shape):
        there[at], _ = witness.oracle.slope(witness.oracle.unit(i, at), exact)
    before = elsewhere.cotangent
    yield np.tensordot(there, g, g.ndim)
    yield np.tensordot(there, before, g.ndim)
    if not known.kinks.any():  # on a kink the slopes are not known
        yield np.tensordot(known.slopes, before, g.ndim)


def _told(name: str, evidence: Evidence) -> Finding:
    wrong = evidence.wrong
    apart = np.where(wrong, abs(evidence.analytic - evidence.numeric), -1)
    worst = np.argsort(-np.nan_to_num(apart, nan=np.inf), axis=None)[: min(WORST, wrong.sum())]
    columns = evidence.analytic, evidence.numeric, evidence.tolerance
    entries = tuple(
        Entry(at, *(float(column[at]) for column in columns)) for at in _indexes(worst, apart.shape)
    )
    looked_at = int(np.isfinite(evidence.tolerance).sum())
    told = f"{int(wrong.sum())} of {looked_at} elements"
    if looked_at < evidence.x.size:
        told += " looked at"
    return Finding(name, "wrong gradient", diagnose(evidence), entries, told)


def _indexes(flat: Iterable[int], shape: tuple[int, ...]) -> list[Index]:
    return [tuple(int(k) for k in np.unravel_index(n, shape)) for n in flat]
