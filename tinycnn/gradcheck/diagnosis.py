"""What a wrong gradient looks like: the mistake that would give just these numbers.

Every known mistake is a hypothesis. It is carried out on the true derivative, and if the result is
what the code under check gave, at every element, the mistake has its name. The most telling come
first: a stale cache reproduces every digit of another gradient, while "wrong in one slice only"
says where and not why.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np

from tinycnn.gradcheck.evidence import Evidence
from tinycnn.gradcheck.mistakes import (
    NO_SUM,
    borders,
    guesses,
    listed,
    looked_at,
    of_one,
    rows_tell,
    sums,
)
from tinycnn.kernels.types import Array


def diagnose(evidence: Evidence) -> str:
    """Name the mistake that a wrong gradient looks like; "" if it looks like none that is known.

    Returns:
        A few words that begin with one of: "stale: from an earlier call", "right except at ties",
        "zero where it should not be", "wrong sign", "wrong by a constant factor …", "transposed",
        "kernel not flipped", "shifted by one", "missing the sum over a broadcast axis",
        "not accumulated: an input is used twice, one use counted", "cotangent not used",
        "missing at the border", "extra at the border", "wrong in one element only",
        "wrong in one slice only", "right but for its shape".

    >>> x = np.array([1.0, 2.0, 3.0])
    >>> slopes = np.diag(2 * x)
    >>> e = Evidence(x, x**2, np.ones(3), 4 * x, 2 * x, 1e-12 * x, slopes, {}, (), x < 0)
    >>> diagnose(e)
    'wrong by a constant factor 2'
    """
    judge = Judge(evidence)
    if evidence.analytic.shape != evidence.x.shape:
        return _another_shape(evidence, judge)
    wrong = evidence.wrong
    if not np.isfinite(evidence.analytic).all() or not wrong.any():
        return ""
    if any(judge.explains(old) for old in evidence.earlier):
        return "stale: from an earlier call"
    if (wrong <= evidence.kinks).all() and not wrong.all():
        return "right except at ties"
    if (evidence.analytic[wrong] == 0).all():
        return _zero(evidence, wrong)
    scaled = _factor(evidence, judge)
    if scaled:
        return scaled
    for words, guess, where in guesses(evidence):
        if judge.explains(guess, where):
            return words
    return rows_tell(evidence) or _place(evidence, wrong)


class Judge:
    """Tells whether a hypothesis fits, to as many digits as the true gradient is known."""

    def __init__(self, e: Evidence) -> None:
        self.e = e
        known = (e.numeric != 0) & looked_at(e)
        digits = np.median(e.tolerance[known] / abs(e.numeric[known])) if known.any() else 0.0
        self.relative = 4 * float(digits) + 1e-10
        terms = sums(e, abs(e.slopes * e.cotangent)) if e.slopes is not None else 0.0
        self.absolute = 4 * e.tolerance + self.relative * terms

    def equal(self, given: Array, guess: Array) -> Array:
        """X, where the two are the same."""
        return np.asarray(abs(given - guess) <= self.absolute + self.relative * abs(guess))

    def explains(self, guess: Array, where: Array | None = None) -> bool:
        """Whether the guess is what the code gave, and much nearer to it than the truth is."""
        e, there = self.e, looked_at(self.e) & ~np.isnan(guess) & (True if where is None else where)
        wrong = e.wrong & there
        if not wrong.any() or not self.equal(e.analytic, guess)[there].all():
            return False
        gap = abs(e.analytic - e.numeric)
        return bool(np.mean(abs(e.analytic - guess)[wrong] / gap[wrong]) < 0.1)


# ---- a constant factor -------------------------------------------------------------------------


def _factor(e: Evidence, judge: Judge) -> str:
    """A factor, the same at every element and for every cotangent."""
    digits = abs(e.numeric) / (e.tolerance + np.finfo(float).tiny)
    at = np.unravel_index(np.argmax(digits), e.x.shape)
    c = float(e.analytic[at] / e.numeric[at]) if e.numeric[at] else 0.0
    if not c or not judge.explains(c * e.numeric):
        return ""
    told, numbers = _in_words(e, c), np.count_nonzero(e.numeric)
    if e.slopes is not None:
        for index, row in e.rows.items():
            slope = of_one(e.slopes, index)
            if (abs(row - c * slope) > 1e-2 * abs(row).max() * abs(c - 1)).any():
                return ""
            numbers += np.count_nonzero(slope) - (e.cotangent.size == 1)
    # of a single number everything is a factor: only one that has a meaning is worth naming
    return told if numbers > 1 or "." not in told else ""


def _in_words(e: Evidence, c: float) -> str:
    if np.isclose(c, -1, rtol=1e-7):
        return "wrong sign"
    sign = "wrong sign, and wrong" if c < 0 else "wrong"
    return f"{sign} by a constant factor {_number(e, abs(c))}"


def _number(e: Evidence, c: float) -> str:
    """2, or 1/12 (12: the number of elements of the input), or 1.0001."""
    plain = [(n, "") for n in range(3, 17)]
    for n, what in chain([(2, "")], _sizes(e), plain):
        values = {f"{n}": n, f"1/{n}": 1 / n}
        if what:
            values |= {f"{n}/{n - 1}": n / max(n - 1, 1), f"{n - 1}/{n}": (n - 1) / n}
        for text, value in values.items():
            if n > 1 and np.isclose(c, value, rtol=1e-7, atol=0):
                return f"{text} ({n}: {what})" if what and (n > 4 or value in (n, 1 / n)) else text
    return f"{c:.6g}" if f"{c:.6g}" != "1" else f"1 {'+' if c > 1 else '−'} {abs(c - 1):.2g}"


def _sizes(e: Evidence) -> Iterator[tuple[int, str]]:
    """The numbers that a mean divides by."""
    x, y = e.x.shape, e.cotangent.shape
    for shape, of in ((y, "result"), (x, "input")):
        if len(shape) > 1:
            yield shape[0], f"the batch size, axis 0 of the {of}"
    yield e.x.size, "the number of elements of the input"
    yield e.cotangent.size, "the number of elements of the result"
    if e.slopes is not None:
        met = np.count_nonzero(e.slopes, axis=tuple(range(e.x.ndim)))
        yield int(np.max(met)), "the number of elements a result depends on"
    for shape, of in ((x, "input"), (y, "result")):
        if len(shape) > 2:
            yield _per_index(shape, 1), f"the number of elements of a channel of the {of}"
            yield shape[-1] * shape[-2], f"the number of elements of an image of the {of}"
        for axis, n in enumerate(shape):
            yield n, f"the size of axis {axis} of the {of}"


def _per_index(shape: tuple[int, ...], axis: int) -> int:
    """The number of elements at one index of an axis."""
    return int(np.prod(shape)) // shape[axis]


# ---- where, if not why -------------------------------------------------------------------------


def _zero(e: Evidence, wrong: Array) -> str:
    """The gradient is zero wherever it is wrong."""
    zero, count = "zero where it should not be", np.count_nonzero(wrong)
    if (e.analytic == 0).all():
        return f"{zero}: everywhere"
    if count == 1:
        return f"{zero}: at {_element(e, wrong)}"
    return _place(e, wrong) or f"{zero}: {count} of {e.x.size} elements"


def _place(e: Evidence, wrong: Array) -> str:
    """A single element is wrong, or those at the border, or in one slice."""
    if e.x.size == 1:
        return ""
    if np.count_nonzero(wrong) == 1:
        return f"wrong in one element only, at {_element(e, wrong)}{_there(e, wrong)}"
    return _border(e, wrong) or _slice(e, wrong)


def _element(e: Evidence, wrong: Array) -> str:
    at = tuple(int(i[0]) for i in np.nonzero(wrong))
    outermost = any(i in (0, n - 1) for i, n in list(zip(at, e.x.shape, strict=True))[-2:])
    return f"{at}, at the border" if outermost else f"{at}"


def _there(e: Evidence, wrong: Array) -> str:
    """The factor by which these elements are wrong, if they have one in common."""
    factors = (e.analytic / np.where(e.numeric == 0, np.nan, e.numeric))[wrong]
    same = factors[0] and np.allclose(factors, factors[0], rtol=1e-7)
    return f", there by a factor {factors[0]:.6g}" if same else ""


def _border(e: Evidence, wrong: Array) -> str:
    """Whole sides of the last two axes are wrong, and nothing else is."""
    for width in (1, 2, 3):
        for told, border in borders(e.x.shape, width):
            if not _fills(e, wrong, border):
                continue
            factor = _there(e, wrong)
            if factor and told.count("the") == 1:
                return ""  # a row that is scaled, as any other might be
            fewer = (e.analytic[wrong] ** 2).sum() < (e.numeric[wrong] ** 2).sum()
            return f"{'missing' if fewer else 'extra'} at the border: {told}{factor}"
    return ""


def _slice(e: Evidence, wrong: Array) -> str:
    """All wrong elements have the same index along some axes, and fill that slice."""
    at = np.nonzero(wrong)
    axes = [a for a in range(e.x.ndim) if e.x.shape[a] > 1 and len(set(at[a])) == 1]
    inside = np.zeros(e.x.shape, bool)
    inside[tuple(int(at[a][0]) if a in axes else slice(None) for a in range(e.x.ndim))] = True
    if not axes or not _fills(e, wrong, inside):
        return ""
    index = listed(int(at[a][0]) for a in axes)
    return f"wrong in one slice only (axis {listed(axes)}, index {index}){_there(e, wrong)}"


def _fills(e: Evidence, wrong: Array, region: Array) -> bool:
    """Whether the wrong elements are those of a region, but for some where the gradient is 0."""
    some = region & (wrong | (e.numeric != 0)) & looked_at(e)
    return not (wrong & ~region).any() and wrong[some].mean() > 0.9


def _another_shape(e: Evidence, judge: Judge) -> str:
    """A transposed gradient, or one not summed over the axes along which x was stretched."""
    a, shape = e.analytic, e.x.shape
    if a.size == e.x.size and judge.equal(a.reshape(shape), e.numeric).all():
        return "right but for its shape"
    if a.ndim == 2 and a.T.shape == shape and judge.equal(a.T, e.numeric).all():
        return "transposed"
    for axes in chain.from_iterable(combinations(range(a.ndim), k) for k in range(1, a.ndim + 1)):
        summed = np.asarray(a.sum(axes))
        if summed.size == e.x.size and judge.equal(summed.reshape(shape), e.numeric).all():
            return f"{NO_SUM}: axis {listed(axes)} of the gradient is left over"
    return ""
