"""The mistakes that are planted, and the names by which they are to be recognised.

A mutant is made anew for every check, since one of them remembers what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from operations import Array, Operation, backward

Pair = tuple[Callable[..., Array], Callable[..., Any]]


@dataclass(frozen=True)
class Mutant:
    """An operation with a wrong gradient of one input."""

    kind: str
    names: tuple[str, ...]  # what a diagnosis of it may begin with
    operation: Operation
    input: int
    make: Callable[[], Pair]


FACTOR = ("wrong by a constant factor",)
# What each kind may be called. Where a mistake makes the same numbers as another, both are right.
NAMES = {
    "factor 2": FACTOR,
    "factor 1/2": FACTOR,
    "factor N": FACTOR,
    "factor 1/N": FACTOR,
    "factor 1.0001": FACTOR,
    "wrong sign": ("wrong sign",),
    "transposed": ("transposed",),
    "matrix not transposed": ("transposed",),
    "kernel not flipped": ("kernel not flipped",),
    "weight gradient flipped": ("kernel not flipped",),
    "shifted by one": ("shifted by one",),
    "sum over a broadcast axis missing": ("missing the sum over a broadcast axis",),
    "missing at the border": ("missing at the border",),
    "extra at the border": ("extra at the border",),
    "results at the border missing": ("missing at the border",),
    "whole cotangent to each tie": ("right except at ties",),
    "zero everywhere": ("zero where it should not be",),
    "zero where the input is large": ("zero where it should not be",),
    "not accumulated": ("not accumulated",),
    "stale": ("stale",),
    "one element": ("wrong in one element only",),
    "one channel": ("wrong in one slice only",),
    "cotangent not used": ("cotangent not used",),
}


def mutants(op: Operation) -> Iterator[Mutant]:
    """All that are applicable; among them some that change nothing (see `changes_nothing`)."""
    for kind, k, change in _changes(op):
        names = NAMES[kind]
        if kind == "one channel" and _nonzero(op, k, (slice(None), 0)) == 1:
            names = NAMES["one element"]
        yield Mutant(kind, names, op, k, lambda k=k, change=change: _pair(op, k, change))
    for k in range(len(op.inputs)):
        yield Mutant("stale", NAMES["stale"], op, k, lambda k=k: _forgetful(op, k))


def changes_nothing(mutant: Mutant) -> bool:
    """Whether its gradient is the right one for the inputs at hand.

    One that remembers others is right for the first: it is judged where each input has the same
    values in another order.
    """
    op, rng = mutant.operation, np.random.default_rng(1)
    forward, wrong = mutant.make()
    y = forward(*op.inputs)
    for step in (1, -1) if mutant.kind == "stale" else (1,):
        inputs = [np.ravel(x)[::step].reshape(x.shape) for x in op.inputs]
        g = rng.standard_normal(y.shape)
        given, right = wrong(g, *inputs)[mutant.input], op.backward(g, *inputs)[mutant.input]
        if given.shape != right.shape or abs(given - right).max() > 1e-13 * abs(right).max():
            return False
    return True


Change = Callable[[Array, Array, tuple[Array, ...]], Array]  # (right gradient, g, inputs) -> wrong


def _pair(op: Operation, k: int, change: Change) -> Pair:
    def wrong(g: Array, *inputs: Array) -> list[Array]:
        gradients = list(op.backward(g, *inputs))
        gradients[k] = np.ascontiguousarray(change(gradients[k], g, inputs))
        return gradients

    return op.forward, wrong


def _forgetful(op: Operation, k: int) -> Pair:
    """Keeps what its first forward pass saw, and never looks again."""
    seen: list[tuple[Array, ...]] = []

    def forward(*inputs: Array) -> Array:
        if not seen:
            seen.append(tuple(np.array(x) for x in inputs))
        return op.forward(*inputs)

    def wrong(g: Array, *inputs: Array) -> list[Array]:
        gradients = list(op.backward(g, *inputs))
        gradients[k] = op.backward(g, *(x.real for x in seen[0]))[k]
        return gradients

    return forward, wrong


def _changes(op: Operation) -> Iterator[tuple[str, int, Change]]:
    """(kind, input, change) of each applicable mistake."""
    for kind, k, wrong in op.wrong:
        yield kind, k, lambda d, g, inputs, wrong=wrong: wrong(g, *inputs)
    for k, x in enumerate([] if op.tied else op.inputs):
        yield from ((kind, k, change) for kind, change in _everywhere(x))
        yield from ((kind, k, change) for kind, change in _somewhere(op, k, x))
        again = _with_cotangent(op, k)
        yield "cotangent not used", k, again(np.ones_like)
        for axes in (axes for stretched, axes in op.stretched if stretched == k):
            yield "sum over a broadcast axis missing", k, again(lambda g, a=axes: _first(g, a))
        if k not in op.images and op.images and op.forward(*op.inputs).ndim == 4:
            yield "results at the border missing", k, again(lambda g: _bordered(g, 0))
    if op.uses is not None:
        for use in (0, 1):
            yield "not accumulated", 0, lambda d, g, x, use=use: _one_use(op, use, g, x[0])


def _everywhere(x: Array) -> Iterator[tuple[str, Change]]:
    """What happens to the whole gradient."""
    n = x.shape[0]
    yield "factor 2", lambda d, g, inputs: 2 * d
    yield "factor 1/2", lambda d, g, inputs: d / 2
    if n > 2:
        yield "factor N", lambda d, g, inputs: n * d
        yield "factor 1/N", lambda d, g, inputs: d / n
    yield "factor 1.0001", lambda d, g, inputs: 1.0001 * d
    yield "wrong sign", lambda d, g, inputs: -d
    yield "zero everywhere", lambda d, g, inputs: 0 * d
    if min(x.shape[-2:]) > 1 and x.ndim > 1:
        yield "transposed", lambda d, g, inputs: d.swapaxes(-1, -2).reshape(d.shape)
    if x.shape[-1] > 2:
        yield "shifted by one", lambda d, g, inputs: _shifted(d)


def _somewhere(op: Operation, k: int, x: Array) -> Iterator[tuple[str, Change]]:
    """What happens to parts of it."""
    if k in op.images and min(x.shape[-2:]) > 2:
        yield "missing at the border", lambda d, g, inputs: _bordered(d, 0)
        yield "extra at the border", lambda d, g, inputs: _bordered(d, 2)
    if k in op.filters:
        yield "weight gradient flipped", lambda d, g, inputs: d[..., ::-1, ::-1]
    large = x > np.median(x)
    yield "zero where the input is large", lambda d, g, inputs: np.where(large, 0, d)
    at = _heaviest(op, k, border=k in op.images)
    yield "one element", lambda d, g, inputs: _scaled(d, at)
    if x.ndim > 1 and x.shape[1] > 1 and x.size > x.shape[1]:
        yield "one channel", lambda d, g, inputs: _scaled(d, (slice(None), 0))


def _with_cotangent(op: Operation, k: int) -> Callable[[Callable[[Array], Array]], Change]:
    """The right gradient, for a cotangent that was changed."""

    def of(change: Callable[[Array], Array]) -> Change:
        return lambda d, g, inputs: op.backward(change(g), *inputs)[k]

    return of


def _sizes(op: Operation, k: int) -> Array:
    """The absolute values of a gradient."""
    y = op.forward(*op.inputs)
    return abs(op.backward(np.random.default_rng(2).standard_normal(y.shape), *op.inputs)[k])


def _nonzero(op: Operation, k: int, part: Any) -> int:
    return int(np.count_nonzero(_sizes(op, k)[part]))


def _heaviest(op: Operation, k: int, border: bool) -> tuple[Any, ...]:
    """Where the gradient is largest; of an image, at the border."""
    size = _sizes(op, k)
    if border:
        size[..., 1:-1, 1:-1] = 0
    return np.unravel_index(int(size.argmax()), size.shape)


def _scaled(d: Array, at: Any) -> Array:
    d = d.copy()
    d[at] *= 1.5
    return d


def _shifted(d: Array) -> Array:
    out = np.zeros_like(d)
    out[..., 1:] = d[..., :-1]
    return out


def _bordered(d: Array, factor: float) -> Array:
    """The border of images times a factor."""
    out = factor * d
    inside = (..., slice(1, -1), slice(1, -1))
    out[inside] = d[inside]
    return out


def _first(g: Array, axes: tuple[int, ...]) -> Array:
    """All but the first index along some axes left out."""
    kept = tuple(slice(1) if a in axes else slice(None) for a in range(g.ndim))
    out = np.zeros_like(g)
    out[kept] = g[kept]
    return out


def _one_use(op: Operation, use: int, g: Array, x: Array) -> Array:
    assert op.uses is not None
    return backward(op.uses, g, (x, x))[use]
