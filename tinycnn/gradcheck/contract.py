"""What a derivative must keep besides its value: the inputs, shapes, memory, and itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tinycnn.gradcheck.report import Finding
from tinycnn.gradcheck.subject import Subject
from tinycnn.kernels.types import Array


def changed(subject: Subject, kept: Sequence[Array], by: str) -> list[Finding]:
    """The inputs that are no longer what they were; they are mended."""
    findings = []
    for name, x, before in zip(subject.names, subject.point, kept, strict=True):
        if not same(x, before):
            findings.append(Finding(name, "changed in place", told=f"by the {by} function"))
            x[...] = before
    return findings


def breaches(subject: Subject, g: Array) -> Iterator[Finding]:
    """Everything that calls of the backward function break."""
    kept, cotangent = [x.copy() for x in subject.point], g.copy()
    found = subject.backward(subject.point, g)
    in_place = changed(subject, kept, "backward")
    if not same(g, cotangent):
        g[...] = cotangent
        in_place.append(Finding("cotangent", "changed in place", told="by the backward function"))
    yield from in_place or _kept(subject, found, g)


def _kept(subject: Subject, found: tuple[Any, ...], g: Array) -> Iterator[Finding]:
    ill_formed = list(_ill_formed(subject, found))
    yield from ill_formed
    if not ill_formed:
        yield from _shared(subject, found)
        yield from _called_again(subject, [d.copy() for d in found], g)
    yield from _unasked(subject, g)


def accumulation(subject: Subject, g: Array) -> Iterator[Finding]:
    """Whether the gradient of f(x) + f(x) is twice that of f(x)."""
    if subject.doubled is None:
        return
    once, twice = subject.backward(subject.point, g), subject.doubled(subject.point, g)
    for name, one, two in zip(subject.names, once, twice, strict=True):
        if not np.allclose(two, 2 * one, rtol=1e-5, atol=0, equal_nan=True):
            yield Finding(
                name,
                "not accumulated",
                "not accumulated: an input is used twice, one use counted",
                told="the gradient of f(x) + f(x) is not twice that of f(x)",
            )


def same(one: Any, other: Any) -> bool:
    """Whether two arrays hold the same numbers; NaN is the same as NaN."""
    return np.array_equal(one, other, equal_nan=True)


def _ill_formed(subject: Subject, found: tuple[Any, ...]) -> Iterator[Finding]:
    for name, x, d in zip(subject.names, subject.point, found, strict=True):
        if d is None:
            yield Finding(name, "wrong shape", told=f"None instead of an array {x.shape}")
        elif np.shape(d) != x.shape:
            yield Finding(name, "wrong shape", told=_mismatch(np.shape(d), x.shape))
        elif np.asarray(d).dtype != x.dtype:
            yield Finding(name, "wrong dtype", told=_mismatch(np.asarray(d).dtype, x.dtype))


def _mismatch(got: Any, needed: Any) -> str:
    return f"{got} instead of {needed}"


def _shared(subject: Subject, found: tuple[Any, ...]) -> Iterator[Finding]:
    named = list(zip(subject.names, found, strict=True))
    for (one, d), (other, e) in combinations(named, 2):
        if d is not None and e is not None and np.shares_memory(d, e):
            yield Finding(one, "shares memory", told=f"with the gradient of {other}")
    for name, d in named:
        for other, x in zip(subject.names, subject.point, strict=True):
            if d is not None and np.shares_memory(d, x):
                yield Finding(name, "shares memory", told=f"with the input {other}")


def _called_again(subject: Subject, found: list[Array], g: Array) -> Iterator[Finding]:
    """The same call, one with twice the cotangent, and one with all arrays laid out anew."""
    anew = [np.array(x, order="C") for x in subject.point]
    calls = [  # copied, as the next call may use the same memory
        [np.array(d) for d in subject.backward(point, cotangent)]
        for point, cotangent in ((subject.point, g), (subject.point, 2 * g), (anew, g.copy()))
    ]
    for name, one, again, two, moved in zip(subject.names, found, *calls, strict=True):
        slack = 1e-3 * abs(one).max(initial=0)  # against mistakes; roundings are judged elsewhere
        if not same(one, again):
            yield Finding(name, "not the same twice", told="for the same inputs and cotangent")
        elif abs(two - 2 * one).max(initial=0) > slack:
            unused = "cotangent not used" if g.size and same(one, two) else ""
            yield Finding(name, "not linear", unused, told="twice the cotangent gives not twice it")
        elif abs(moved - one).max(initial=0) > slack:
            told = "another gradient for arrays that lie differently in memory"
            yield Finding(name, "depends on the layout", told=told)


def _unasked(subject: Subject, g: Array) -> Iterator[Finding]:
    if subject.unasked is None or len(subject.names) == 1:
        return
    for i, name in enumerate(subject.names):
        if subject.unasked(subject.point, g, i) is not None:
            yield Finding(name, "not asked for", told="it requires no gradient and got one")
