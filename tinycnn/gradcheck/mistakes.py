"""The mistakes that are made in derivatives, each carried out on the true one.

What comes out is what the code under check would have given, had it made that mistake alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, product
from typing import Any

import numpy as np

from tinycnn.gradcheck.evidence import Evidence
from tinycnn.kernels.types import Array

# What is wrong, in words, the gradient that this would give, and where to look (None: everywhere).
Guess = tuple[str, Array, Array | None]

NOT_ACCUMULATED = "not accumulated: an input is used twice, one use counted"
NO_SUM = "missing the sum over a broadcast axis"
NOT_FLIPPED = "kernel not flipped"


def guesses(e: Evidence) -> Iterator[Guess]:
    """Every mistake whose outcome can be worked out, the more telling first."""
    true = np.where(looked_at(e), e.numeric, np.nan)
    yield from _turned(true)
    yield from _shifted(true)
    if e.slopes is not None:
        yield from _transposed_jacobian(e, e.slopes)
        yield from _not_summed(e, e.slopes)
        yield from _one_use(e, e.slopes)
        yield from _border_of_results(e, e.slopes)
        yield from _shifted_cotangent(e, e.slopes)
        yield "cotangent not used: as if it were all ones", sums(e, e.slopes), None


def looked_at(e: Evidence) -> Array:
    """X, false for those elements of a large input whose true gradient is not known."""
    return np.isfinite(e.tolerance)


def sums(e: Evidence, terms: Array) -> Array:
    """Over the result's axes: what is left has the input's shape."""
    return np.asarray(terms.sum(tuple(range(e.x.ndim, terms.ndim))))


# ---- the gradient, rearranged ------------------------------------------------------------------


def _turned(n: Array) -> Iterator[Guess]:
    """Axes exchanged, or run through from the end."""
    for i, j in combinations(range(n.ndim), 2):
        if min(n.shape[i], n.shape[j]) > 1:
            swapped = n.swapaxes(i, j).reshape(n.shape)
            yield f"transposed (axes {i} and {j})", swapped, None
    for axes in ((-1, -2), (-1,), (-2,)):
        if n.ndim >= len(axes) and n.ndim >= -axes[0]:
            told = f"{NOT_FLIPPED}: in reverse order along axis {' and '.join(map(str, axes))}"
            yield told, np.flip(n, axes), None


def _shifted(n: Array) -> Iterator[Guess]:
    """Every element from its neighbour; what came in at the edge may be anything."""
    for count in (1, 2):
        for axes in combinations(range(n.ndim)[-2:] if count == 2 else range(n.ndim), count):
            if min(n.shape[a] for a in axes) < 3:
                continue
            for steps in product((1, -1), repeat=count):
                inside = np.ones(n.shape, bool)
                for axis, step in zip(axes, steps, strict=True):
                    np.moveaxis(inside, axis, 0)[0 if step == 1 else -1] = False
                yield f"shifted by one (axis {listed(axes)})", np.roll(n, steps, axes), inside


def listed(numbers: Any) -> str:
    """1, or 1 and 2."""
    return " and ".join(map(str, numbers))


# ---- the sum over the results, gone wrong ------------------------------------------------------


def _transposed_jacobian(e: Evidence, slopes: Array) -> Iterator[Guess]:
    """A matrix used where its transpose belongs: an axis of x and one of y have changed places."""
    nx, ny = e.x.ndim, e.cotangent.ndim
    told = "transposed: a matrix is used instead of its transpose"
    for i, j in product(range(nx), range(ny)):
        if e.x.shape[i] == e.cotangent.shape[j] > 1:
            yield told, sums(e, slopes.swapaxes(i, nx + j) * e.cotangent), None
    if e.x.shape == e.cotangent.shape:
        yield told, sums(e, np.moveaxis(slopes, range(nx), range(nx, 2 * nx)) * e.cotangent), None


def _not_summed(e: Evidence, slopes: Array) -> Iterator[Guess]:
    """Only the first, or last, of the results along some axes counted."""
    terms, nx, ny = slopes * e.cotangent, e.x.ndim, e.cotangent.ndim
    long = [a for a in range(ny) if e.cotangent.shape[a] > 1]
    for axes in chain.from_iterable(combinations(long, k) for k in range(1, len(long) + 1)):
        for end, index in (("first", 0), ("last", -1)):
            kept = [index if a in axes else slice(None) for a in range(ny)]
            told = f"{NO_SUM}: of axis {listed(axes)} of the result only the {end} index counts"
            yield told, sums(e, terms[(slice(None),) * nx + tuple(kept)]), None


def _one_use(e: Evidence, slopes: Array) -> Iterator[Guess]:
    """y = x + f(x), y = x·f(x), or a concatenation of several functions of x."""
    g, terms = e.cotangent, slopes * e.cotangent
    if e.x.shape == g.shape:
        yield NOT_ACCUMULATED + " (x itself in a sum is not)", e.numeric - g, None
        yield NOT_ACCUMULATED + " (only x itself in a sum is)", g, None
        other = g * e.result / np.where(e.x == 0, np.nan, e.x)
        yield NOT_ACCUMULATED + " (only x itself in a product is)", other, None
        yield NOT_ACCUMULATED + " (x itself in a product is not)", e.numeric - other, None
    for axis in range(g.ndim):
        by_index = np.moveaxis(terms, e.x.ndim + axis, 0)  # this axis, *X, the others
        before = by_index.sum(tuple(range(1 + e.x.ndim, by_index.ndim))).cumsum(0)
        for cut in range(1, g.shape[axis]):
            where, first = f"{cut} along axis {axis}", before[cut - 1]
            yield f"{NOT_ACCUMULATED} (the results from {where} on do not count)", first, None
            rest = before[-1] - first
            yield f"{NOT_ACCUMULATED} (the results before {where} do not count)", rest, None


def _border_of_results(e: Evidence, slopes: Array) -> Iterator[Guess]:
    """The results along some sides of the image left out, or counted twice."""
    for told, border in borders(e.cotangent.shape, 1):
        at_border = sums(e, slopes * np.where(border, e.cotangent, 0))
        yield f"missing at the border: {told} of the result", e.numeric - at_border, None
        yield f"extra at the border: {told} of the result", e.numeric + at_border, None


def borders(shape: tuple[int, ...], width: int) -> Iterator[tuple[str, Array]]:
    """Every choice of sides of an image, the fewest first, as a mask; an inside must be left."""
    axes = range(len(shape))[-2:]
    if not axes or any(shape[a] <= 2 * width for a in axes):
        return
    names = ("the top", "the bottom", "the left", "the right")[-2 * len(axes) :]
    sides = list(zip(names, product(axes, (slice(width), slice(-width, None))), strict=True))
    for count in range(1, len(sides) + 1):
        for chosen in combinations(sides, count):
            border = np.zeros(shape, bool)
            for _, (axis, part) in chosen:
                np.moveaxis(border, axis, 0)[part] = True
            yield "all sides" if count == len(sides) else listed(n for n, _ in chosen), border


def _shifted_cotangent(e: Evidence, slopes: Array) -> Iterator[Guess]:
    for axis, n in enumerate(e.cotangent.shape):
        for step in (1, -1) if n > 2 else ():
            moved = np.roll(e.cotangent, step, axis)
            told = f"shifted by one (axis {axis} of the cotangent)"
            yield told, sums(e, slopes * moved), None


# ---- what only the Jacobian's rows tell --------------------------------------------------------


def rows_tell(e: Evidence) -> str:
    """The mistakes that show in the gradients for single outputs, and not in their sum."""
    if e.slopes is None:
        return ""
    for axes in ((-2, -1), (-1,)):
        if e.x.ndim >= len(axes) and _windows_turned(e, e.slopes, axes):
            return f"{NOT_FLIPPED}: every window of the input is turned round"
    return NOT_ACCUMULATED + " (of a product)" if _half_a_product(e, e.slopes) else ""


def of_one(slopes: Array, index: tuple[int, ...]) -> Array:
    """X, the slopes of the single output with this index."""
    at: Any = (..., *index)
    return np.asarray(slopes[at])


def _windows_turned(e: Evidence, slopes: Array, axes: tuple[int, ...]) -> bool:
    """Whether each result gives back to its window the other way round.

    The border cuts windows off, and the far end of those is not known: only whole ones count.
    """
    found: list[tuple[Array, Array, list[slice]]] = []
    for index, row in e.rows.items():
        true = of_one(slopes, index)
        at = np.nonzero(true)
        if at[0].size:
            found.append((true, row, [slice(at[a].min(), at[a].max() + 1) for a in axes]))
    sizes = [tuple(s.stop - s.start for s in box) for _, _, box in found]
    whole = [f for f, size in zip(found, sizes, strict=True) if size == max(sizes)]
    changed = False
    for true, row, box in whole:
        window: Any = (..., *box)
        turned = true.copy()
        turned[window] = np.flip(true[window], axes)
        if not np.allclose(row, turned, rtol=1e-6, atol=1e-6 * abs(true).max()):
            return False
        changed |= not np.allclose(row, true, rtol=1e-4, atol=1e-4 * abs(true).max())
    return changed


def _half_a_product(e: Evidence, slopes: Array) -> bool:
    """For y = B(x, x), linear in each, either use has the slope y along x, and both 2y."""
    pairs = [
        (float((row * e.x).sum()), float((of_one(slopes, i) * e.x).sum()))
        for i, row in e.rows.items()
    ]
    given, true = np.array(pairs).reshape(-1, 2).T
    scale = max((abs(row * e.x).sum() for row in e.rows.values()), default=0.0)
    return bool(
        np.count_nonzero(true) > 1 and np.allclose(given, true / 2, rtol=1e-6, atol=1e-9 * scale)
    )
