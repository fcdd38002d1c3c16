"""Every mistake that a diagnosis knows is planted, and must be recognised by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinycnn.gradcheck import pair
from tinycnn.gradcheck.diagnosis import diagnose
from tinycnn.gradcheck.evidence import Evidence

STEP = 1e-200


def seeded(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def evidence_of(
    forward: Callable[..., Any],
    wrong: Callable[..., Any],
    x: np.ndarray,
) -> Evidence:
    """What a check would find: `forward(x)`, and its derivative as `wrong(g, x)` has it."""
    y = forward(x)
    g = seeded(*y.shape, seed=1)

    slopes = np.zeros((*x.shape, *y.shape))
    for at in np.ndindex(x.shape):
        slopes[at] = forward(x + 1j * STEP * unit(x.shape, at)).imag / STEP
    results = tuple(range(x.ndim, slopes.ndim))
    return Evidence(
        x=x,
        result=y,
        cotangent=g,
        analytic=wrong(g, x),
        numeric=(slopes * g).sum(results),
        tolerance=1e-12 * abs(slopes * g).sum(results),
        slopes=slopes,
        rows={at: wrong(unit(y.shape, at), x) for at in np.ndindex(y.shape)},
        earlier=(),
        kinks=np.zeros(x.shape, bool),
    )


def unit(shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    one = np.zeros(shape)
    one[at] = 1
    return one


def correlate(x, w):
    """(C, H, W) with (O, C, 3, 3) and a border of one zero: (O, H, W)."""
    h, width = x.shape[1:]
    padded = np.zeros((x.shape[0], h + 2, width + 2), np.result_type(x, w))
    padded[:, 1:-1, 1:-1] = x
    return sum(
        np.einsum("oc,chw->ohw", w[:, :, i, j], padded[:, i : i + h, j : j + width])
        for i in range(3)
        for j in range(3)
    )


def correlate_back(g, w):
    """The gradient of the image: a correlation with the kernel turned round."""
    return correlate(g, w[:, :, ::-1, ::-1].swapaxes(0, 1))


WEIGHT = seeded(2, 3, 3, 3, seed=2)
SQUARE = seeded(4, 4, seed=3)
IMAGE = seeded(3, 5, 6, seed=4)
SCALE = seeded(3, 4, seed=5)


def weight_gradient(g: np.ndarray) -> np.ndarray:
    padded = np.pad(IMAGE, ((0, 0), (1, 1), (1, 1)))
    h, width = g.shape[1:]
    dw = np.empty((2, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            dw[:, :, i, j] = np.einsum("ohw,chw->oc", g, padded[:, i : i + h, j : j + width])
    return dw


# A function, a wrong derivative of it, and where.
Planted = tuple[Callable[..., Any], Callable[..., Any], np.ndarray]


def convolution(wrong: Callable[..., Any]) -> Planted:
    return lambda x: correlate(x, WEIGHT), wrong, IMAGE


def cube(wrong: Callable[..., Any]) -> Planted:
    """x³ on (3, 4), whose derivative is 3x²."""
    return lambda x: x**3, wrong, seeded(3, 4)


def changed(gradient: np.ndarray, index: Any, by: float) -> np.ndarray:
    gradient = np.array(gradient)
    gradient[index] *= by
    return gradient


def border(gradient: np.ndarray, by: float) -> np.ndarray:
    inner = (Ellipsis, slice(1, -1), slice(1, -1))
    out = gradient * by
    out[inner] = gradient[inner]
    return out


def shift(a: np.ndarray) -> np.ndarray:
    out = np.zeros_like(a)
    out[..., 1:] = a[..., :-1]
    return out


def right_cube(g, x):
    return g * 3 * x**2


def right_convolution(g, x):
    return correlate_back(g, WEIGHT)


FACTORS = {
    "2": lambda g, x: 2 * right_cube(g, x),
    "1/2": lambda g, x: right_cube(g, x) / 2,
    "3 (3: the batch size, axis 0 of the result)": lambda g, x: 3 * right_cube(g, x),
    "1/3 (3: the batch size, axis 0 of the result)": lambda g, x: right_cube(g, x) / 3,
    "1/12 (12: the number of elements of the input)": lambda g, x: right_cube(g, x) / 12,
    "12/11 (12: the number of elements of the input)": lambda g, x: right_cube(g, x) * 12 / 11,
    "1.0001": lambda g, x: 1.0001 * right_cube(g, x),
    "1 + 1e-10": lambda g, x: (1 + 1e-10) * right_cube(g, x),
}


@pytest.mark.parametrize("factor", FACTORS)
def test_a_constant_factor_is_told_with_what_it_is_the_number_of(factor):
    assert diagnose(evidence_of(*cube(FACTORS[factor]))) == f"wrong by a constant factor {factor}"


def test_the_sizes_of_a_mean_s_window_and_channel_are_known():
    def pool(x):
        return x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]

    def back(g, x):
        return g.repeat(2, 1).repeat(2, 2) / 4

    told = diagnose(evidence_of(pool, back, seeded(3, 6, 10)))
    assert told == "wrong by a constant factor 1/4 (4: the number of elements a result depends on)"


PLANTED: dict[str, tuple[str, Planted]] = {
    "sign": ("wrong sign", cube(lambda g, x: -right_cube(g, x))),
    "sign and factor": (
        "wrong sign, and wrong by a constant factor 2",
        cube(lambda g, x: -2 * right_cube(g, x)),
    ),
    "gradient transposed": (
        "transposed",
        (lambda x: x**3, lambda g, x: right_cube(g, x).T, seeded(4, 4)),
    ),
    "transposed and reshaped": (
        "transposed",
        cube(lambda g, x: right_cube(g, x).T.reshape(3, 4)),
    ),
    "of another shape": ("transposed", cube(lambda g, x: right_cube(g, x).T)),
    "matrix instead of its transpose": (
        "transposed",
        (lambda x: x @ SQUARE, lambda g, x: g @ SQUARE, seeded(3, 4)),
    ),
    "other matrix instead of its transpose": (
        "transposed",
        (lambda x: SQUARE @ x, lambda g, x: SQUARE @ g, seeded(4, 3)),
    ),
    "image gradient, kernel not flipped": (
        "kernel not flipped",
        convolution(lambda g, x: correlate(g, WEIGHT.swapaxes(0, 1))),
    ),
    "row gradient, kernel not flipped": (
        "kernel not flipped",
        (
            lambda x: np.convolve(x, [1, 2, 4]),
            lambda g, x: np.convolve(g, [1, 2, 4], "valid"),
            seeded(6),
        ),
    ),
    "weight gradient, flipped": (
        "kernel not flipped",
        (
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(g)[..., ::-1, ::-1],
            WEIGHT,
        ),
    ),
    "shifted": ("shifted by one (axis 1)", cube(lambda g, x: shift(right_cube(g, x)))),
    "rolled": (
        "shifted by one (axis 0)",
        cube(lambda g, x: np.roll(right_cube(g, x), 1, 0)),
    ),
    "cotangent shifted": (
        "shifted by one (axis 1 of the cotangent)",
        cube(lambda g, x: right_cube(np.roll(g, -1, 1), x)),
    ),
    "shifted image gradient": (
        "shifted by one (axis 2)",
        convolution(lambda g, x: shift(right_convolution(g, x))),
    ),
    "only the first of the broadcast": (
        "missing the sum over a broadcast axis",
        (lambda x: x * SCALE, lambda g, x: (g * SCALE)[0], seeded(4)),
    ),
    "only the last of the broadcast": (
        "missing the sum over a broadcast axis",
        (lambda x: x * SCALE, lambda g, x: (g * SCALE)[:, -1:], seeded(3, 1)),
    ),
    "bias summed over positions alone": (
        "missing the sum over a broadcast axis",
        (
            lambda b: seeded(2, 3, 2, 2) + b[:, None, None],
            lambda g, b: g[0].sum((1, 2)),
            seeded(3),
        ),
    ),
    "not summed, so of another shape": (
        "missing the sum over a broadcast axis",
        (lambda x: x * SCALE, lambda g, x: g * SCALE, seeded(4)),
    ),
    "image's border zero": (
        "missing at the border: all sides",
        convolution(lambda g, x: border(right_convolution(g, x), 0)),
    ),
    "image's border twice": (
        "extra at the border: all sides, there by a factor 2",
        convolution(lambda g, x: border(right_convolution(g, x), 2)),
    ),
    "one side of the image": (
        "missing at the border: the left",
        convolution(lambda g, x: changed(right_convolution(g, x), (..., 0), 0)),
    ),
    "results at the border not counted": (
        "missing at the border: all sides of the result",
        (
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(border(g, 0)),
            WEIGHT,
        ),
    ),
    "results at the border twice": (
        "extra at the border: all sides of the result",
        (
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(border(g, 2)),
            WEIGHT,
        ),
    ),
    "all zero": ("zero where it should not be", cube(lambda g, x: 0 * x)),
    "zero where saturated": (
        "zero where it should not be",
        cube(lambda g, x: np.where(x > 0, right_cube(g, x), 0)),
    ),
    "one zero": (
        "zero where it should not be: at (1, 2)",
        cube(lambda g, x: changed(right_cube(g, x), (1, 2), 0)),
    ),
    "one element": (
        "wrong in one element only, at (1, 2), there by a factor 1.5",
        cube(lambda g, x: changed(right_cube(g, x), (1, 2), 1.5)),
    ),
    "one border pixel": (
        "wrong in one element only, at (1, 0, 3), at the border",
        convolution(lambda g, x: changed(right_convolution(g, x), (1, 0, 3), 1.5)),
    ),
    "one channel": (
        "wrong in one slice only (axis 0, index 1), there by a factor 0.5",
        convolution(lambda g, x: changed(right_convolution(g, x), 1, 0.5)),
    ),
    "one kernel element": (
        "wrong in one slice only (axis 2 and 3, index 0 and 1)",
        (
            lambda w: correlate(IMAGE, w),
            lambda g, w: changed(weight_gradient(g), (..., 0, 1), 3),
            WEIGHT,
        ),
    ),
    "residual path lost": (
        "not accumulated",
        (lambda x: x + x @ SQUARE, lambda g, x: g @ SQUARE.T, seeded(3, 4)),
    ),
    "only the residual path": (
        "not accumulated",
        (lambda x: x + x @ SQUARE, lambda g, x: g, seeded(3, 4)),
    ),
    "a matrix times itself": (
        "not accumulated",
        (lambda x: x @ x, lambda g, x: g @ x.T, seeded(4, 4)),
    ),
    "a Gram matrix": (
        "not accumulated",
        (lambda x: x @ x.T, lambda g, x: g @ x, seeded(3, 4)),
    ),
    "one branch of a concatenation": (
        "not accumulated",
        (lambda x: np.concatenate([x, x**3], 1), lambda g, x: g[:, :4], seeded(3, 4)),
    ),
    "x·sin x, one use": (
        "not accumulated",
        (lambda x: x * np.sin(x), lambda g, x: g * x * np.cos(x), seeded(3, 4)),
    ),
    "x·sin x, other use": (
        "not accumulated",
        (lambda x: x * np.sin(x), lambda g, x: g * np.sin(x), seeded(3, 4)),
    ),
    "cotangent not used": (
        "cotangent not used",
        cube(lambda g, x: right_cube(np.ones_like(g), x)),
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_named(mistake):
    name, planted = PLANTED[mistake]
    assert diagnose(evidence_of(*planted)).startswith(name)


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_check_of_the_pair_tells_the_mistake(mistake):
    name, (forward, wrong, x) = PLANTED[mistake]
    (finding,) = pair(forward, wrong, x).findings
    assert finding.looks_like.startswith(name)


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_named_as_well_when_the_truth_is_known_to_nine_digits(mistake):
    name, planted = PLANTED[mistake]
    known = evidence_of(*planted)
    noise = 1e-10 * abs(known.numeric) * seeded(*known.x.shape, seed=7)
    vague = replace(known, numeric=known.numeric + noise, tolerance=1e-9 * abs(known.numeric))
    assert diagnose(vague).startswith(name)


def test_what_an_earlier_call_left_behind_is_recognised():
    class Remembering:
        seen = None

        def forward(self, x):
            self.seen = x if self.seen is None else self.seen
            return x**3

        def backward(self, g, x):
            return g * 3 * self.seen**2

    made = Remembering()
    (finding,) = pair(made.forward, made.backward, seeded(3, 4)).findings
    assert finding.looks_like == "stale: from an earlier call"


def test_a_maximum_that_gives_every_tie_the_whole_is_right_except_at_ties():
    x = np.array([[1.0, 2.0, 2.0], [5.0, 3.0, 4.0]])
    wrong = pair(
        lambda x: x[np.arange(2), x.real.argmax(1)],
        lambda g, x: np.where(x == x.max(1, keepdims=True), g[:, None], 0),
        x,
    )
    assert wrong.findings[0].looks_like == "right except at ties"


def test_an_unknown_mistake_has_no_name():
    assert diagnose(evidence_of(*cube(lambda g, x: right_cube(g, x) + seeded(3, 4, seed=8)))) == ""


def test_of_one_number_only_a_factor_with_a_meaning_is_named():
    def scalar(factor):
        return evidence_of(lambda x: x**3, lambda g, x: factor * g * 3 * x**2, seeded(1))

    assert diagnose(scalar(2)) == "wrong by a constant factor 2"
    assert diagnose(scalar(-1)) == "wrong sign"
    assert diagnose(scalar(1.37)) == ""


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda g, x: g * x**3, ""),
        (lambda g, x: g * 6 * x**2, "wrong by a constant factor 2"),
        (lambda g, x: 0 * g, "zero where it should not be: everywhere"),
    ],
)
def test_a_number_without_axes_is_diagnosed_too(wrong, name):
    assert diagnose(evidence_of(lambda x: x**3, wrong, np.array(0.7))) == name


def test_a_factor_must_be_the_same_for_every_cotangent():
    wrong = evidence_of(
        lambda x: np.concatenate([x, x**2]),
        lambda g, x: 1.37 * g[:1] + g[1:] * 2 * x,
        seeded(1),
    )
    assert "factor" not in diagnose(wrong)


def test_without_the_slopes_the_gradient_alone_is_judged():
    whole = evidence_of(*cube(lambda g, x: 2 * right_cube(g, x)))
    assert diagnose(replace(whole, slopes=None, rows={})) == "wrong by a constant factor 2"


def test_a_gradient_that_only_has_another_shape_is_told_apart_from_one_not_summed():
    def of(wrong):
        return evidence_of(lambda x: x * SCALE, wrong, seeded(4))

    kept = of(lambda g, x: (g * SCALE).sum(0, keepdims=True))
    assert diagnose(kept) == "right but for its shape"
    assert diagnose(of(lambda g, x: g * SCALE)).startswith("missing the sum")


LARGE = {
    "transposed": lambda d: d.swapaxes(1, 2),
    "shifted by one (axis 0)": lambda d: np.roll(d, 1, 0),
    "wrong by a constant factor 3": lambda d: 3 * d,
    "missing at the border: all sides": lambda d: border(d, 0),
    "wrong in one slice only (axis 0, index 2)": lambda d: changed(d, 2, 1.5),
}


@pytest.mark.parametrize("name", LARGE)
def test_of_a_large_input_some_elements_are_enough(name):
    x = seeded(5, 8, 8)
    g, true = seeded(5, 8, 8, seed=1), 3 * x**2 * seeded(5, 8, 8, seed=1)
    wrong = LARGE[name](true)
    looked_at = seeded(5, 8, 8, seed=2) > 0
    tolerance = np.where(looked_at, 1e-12 * abs(true), np.inf)
    numeric, no_kinks = np.where(looked_at, true, wrong), np.zeros(x.shape, bool)
    evidence = Evidence(x, x**3, g, wrong, numeric, tolerance, None, {}, (), no_kinks)
    assert diagnose(evidence).startswith(name)
