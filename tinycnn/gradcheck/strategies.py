"""Hypothesis strategies: arrays and whole cases to check derivatives on.

A case is a tuple of positional arguments, ready for `forward(*case)`. Shapes and settings are drawn
by Hypothesis, smallest first, so a failing case shrinks to the smallest shape that still fails.
Values come from a generator whose seed is drawn: were each a choice of its own, they would shrink
to zeros, which hide what is wrong, and checking would be slow. They have few digits, so that a
report can print them in full.

>>> from hypothesis import find
>>> x, weight, bias, stride, padding = find(conv2d(), lambda case: case[3] == 2)
>>> x.shape, weight.shape, bias.shape, stride, padding
((1, 1, 1, 1), (1, 1, 1, 1), (1,), 2, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from tinycnn.kernels.types import Array

Kind: TypeAlias = Literal["normal", "tie_free", "kink_free", "ill_scaled", "positive"]
Layout: TypeAlias = Literal["contiguous", "transposed", "strided", "reversed", "read-only"]
Shape: TypeAlias = tuple[int, ...]
Case: TypeAlias = tuple[Any, ...]

LAYOUTS: tuple[Layout, ...] = ("contiguous", "transposed", "strided", "reversed", "read-only")


# ---- arrays ----


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | None = None,
    dtype: DTypeLike = np.float64,
    kind: Kind = "normal",
    *,
    min_side: int = 1,
    layout: Layout | None = None,
) -> Array:
    """One array.

    Args:
        draw: given by Hypothesis.
        shape: by default drawn: no to three axes, each at most 4 long.
        dtype: float32 or float64.
        kind: of values:
            "normal": standard normal;
            "tie_free": no two nearer than 0.06, for maxima and sorting;
            "kink_free": also at least 0.03 away from every whole number, where the kinks of ReLU,
            |x|, ReLU6 and their like lie;
            "ill_scaled": of both signs, magnitudes from 1e-12 to 1e12;
            "positive": at least 0.001.
        min_side: of a drawn shape; 0 for arrays that may be empty.
        layout: in memory; by default drawn: contiguous, transposed, every second number of a larger
            array (NaN between), with negative strides, or read-only.

    >>> from hypothesis import find
    >>> find(arrays(kind="positive"), lambda x: x.size > 1)
    array([1.134, 0.876])
    """
    if shape is None:
        shape = tuple(draw(st.lists(st.integers(min_side, 4), max_size=3)))
    (values,) = _filled(draw, [shape], dtype, kind, layout)
    return values


def _filled(
    draw: st.DrawFn,
    shapes: Sequence[Shape],
    dtype: DTypeLike,
    kind: Kind,
    layout: Layout | None = None,
) -> list[Array]:
    """Arrays of one case, of one kind together: no number of one ties with one of another."""
    chosen = draw(st.sampled_from(LAYOUTS)) if layout is None else layout
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    ends = np.cumsum([prod(shape) for shape in shapes])
    row = _values(rng, int(ends[-1]), kind).astype(dtype)
    parts = zip(np.split(row, ends[:-1]), shapes, strict=True)
    return [laid_out(part.reshape(shape), chosen) for part, shape in parts]


def _values(rng: np.random.Generator, count: int, kind: Kind) -> Array:
    """A row of numbers of a kind."""
    if kind == "normal":
        return rng.standard_normal(count).round(3)
    if kind == "positive":
        return np.exp(rng.standard_normal(count)).round(3).clip(0.001)
    if kind == "ill_scaled":
        signs = rng.choice([-1.0, 1.0], count)
        return np.array([float(f"{v:.3g}") for v in signs * 10 ** rng.uniform(-12, 12, count)])
    # 0.1 apart and halfway between the multiples of 0.1, then moved a little
    places = (rng.permutation(count) - count // 2 + 0.5) / 10
    spaced = places + rng.uniform(-0.02, 0.02, count)
    return (spaced if kind == "kink_free" else spaced + rng.uniform(-1, 1)).round(3)


def laid_out(x: Array, layout: Layout) -> Array:
    """The same numbers, laid out in memory as wanted.

    >>> laid_out(np.arange(3.0), "reversed")
    array([0., 1., 2.])
    >>> laid_out(np.arange(3.0), "reversed").strides
    (-8,)
    """
    x = x.copy()
    if not x.ndim or layout in ("contiguous", "read-only"):
        x.flags.writeable = layout != "read-only"
        return x
    if layout == "transposed":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return np.flip(np.flip(x).copy())


# ---- cases ----


@st.composite
def conv2d(
    draw: st.DrawFn,
    *,
    stride: bool = True,
    padding: bool = True,
    dilation: bool = False,
    groups: bool = False,
    bias: bool = True,
    dtype: DTypeLike = np.float64,
) -> Case:
    """A convolution: (x, weight, bias, stride, padding, dilation, groups).

    x is (batch, channels, height, width) and weight (channels out, channels / groups, kernel
    height, kernel width), both not always square; the settings are whole numbers. What is set to
    False is left out of the tuple, as `dilation` and `groups` are by default. The kernel may be
    larger than the image before padding, the padding wider than the kernel, and the stride may
    leave pixels over.

    >>> from hypothesis import find
    >>> x, weight = find(conv2d(bias=False, stride=False, padding=False), lambda case: True)
    >>> x, weight
    (array([[[[0.126]]]]), array([[[[-0.132]]]]))
    """
    step = draw(st.integers(1, 3)) if stride else 1
    border = draw(st.integers(0, 2)) if padding else 0
    gap = draw(st.integers(1, 2)) if dilation else 1
    parts = draw(st.integers(1, 2)) if groups else 1
    n = draw(st.integers(1, 4 - parts))
    c, o = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    taps = st.integers(1, 4 - gap)
    kernel = (draw(taps), draw(taps))
    size = tuple(_side(draw, gap * (k - 1) + 1, border) for k in kernel)
    shapes = [(n, parts * c, *size), (parts * o, c, *kernel), (parts * o,)]
    made = _filled(draw, shapes if bias else shapes[:2], dtype, "normal")
    settings = ((stride, step), (padding, border), (dilation, gap), (groups, parts))
    return (*made, *(value for wanted, value in settings if wanted))


def _side(draw: st.DrawFn, window: int, border: int) -> int:
    """A side of an image on which at least one window finds room."""
    return max(1, window - 2 * border) + draw(st.integers(0, 2))


@st.composite
def pool2d(
    draw: st.DrawFn,
    *,
    stride: bool = True,
    padding: bool = True,
    dtype: DTypeLike = np.float64,
) -> Case:
    """Pooling: (x, kernel_size, stride, padding), no ties in x, nor of x with a padded 0.

    x is (batch, channels, height, width); windows are square, and the padding is at most half of
    one. What is set to False is left out of the tuple; without `stride` the windows lie side by
    side, stride = kernel_size.

    >>> from hypothesis import find
    >>> x, kernel_size, stride, padding = find(pool2d(), lambda case: case[1] == 2)
    >>> x.shape, stride, padding
    ((1, 1, 2, 2), 1, 0)
    """
    window = draw(st.integers(1, 3))
    step = draw(st.integers(1, 3)) if stride else window
    border = draw(st.integers(0, window // 2)) if padding else 0
    n, c = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size = (_side(draw, window, border), _side(draw, window, border))
    (x,) = _filled(draw, [(n, c, *size)], dtype, "kink_free")
    settings = ((True, window), (stride, step), (padding, border))
    return (x, *(value for wanted, value in settings if wanted))


@st.composite
def broadcast_pair(draw: st.DrawFn, *, dtype: DTypeLike = np.float64) -> Case:
    """Two arrays (x, y) of up to three axes that broadcast with each other; no ties, no zeros.

    >>> from hypothesis import find
    >>> x, y = find(broadcast_pair(), lambda case: case[0].shape != case[1].shape)
    >>> x.shape, y.shape
    ((1,), ())
    """
    whole = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    shapes = [_broadcast_part(draw, whole), _broadcast_part(draw, whole)]
    return tuple(_filled(draw, shapes, dtype, "kink_free"))


def _broadcast_part(draw: st.DrawFn, whole: Shape) -> Shape:
    """A shape that broadcasts to the whole: some axes 1, some leading ones left out."""
    kept = tuple(draw(st.sampled_from((1, n))) for n in whole)
    return kept[draw(st.integers(0, len(whole))) :]


@st.composite
def reduction(draw: st.DrawFn, *, dtype: DTypeLike = np.float64) -> Case:
    """A reduction (x, axis, keepdims): axis None, a whole number or several; no ties in x.

    >>> from hypothesis import find
    >>> x, axis, keepdims = find(reduction(), lambda case: case[1] == -1)
    >>> x.shape, keepdims
    ((1,), False)
    """
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(0, 3))))
    (x,) = _filled(draw, [shape], dtype, "kink_free")
    axes = st.none()
    if shape:
        one = st.integers(-len(shape), len(shape) - 1)
        several = st.lists(one, min_size=1, unique_by=lambda i: i % len(shape)).map(tuple)
        axes = st.one_of(st.none(), one, several)
    return x, draw(axes), draw(st.booleans())


@st.composite
def matmul(draw: st.DrawFn, *, batch: bool = False, dtype: DTypeLike = np.float64) -> Case:
    """Two matrices (x, y) for x @ y; with `batch`, stacks of matrices that broadcast.

    >>> from hypothesis import find
    >>> x, y = find(matmul(), lambda case: (case[0] @ case[1]).size > 1)
    >>> x.shape, y.shape
    ((1, 1), (1, 2))
    """
    n, k, m = (draw(st.integers(1, 4)) for _ in range(3))
    whole = tuple(draw(st.lists(st.integers(1, 3), max_size=2))) if batch else ()
    lead = [_broadcast_part(draw, whole), _broadcast_part(draw, whole)]
    return tuple(_filled(draw, [(*lead[0], n, k), (*lead[1], k, m)], dtype, "normal"))
