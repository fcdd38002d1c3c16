"""Every mistake that a diagnosis knows is planted, and must be recognised by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tinycnn.gradcheck.diagnosis import diagnose
from tinycnn.gradcheck.evidence import Evidence

STEP = 1e-200


def seeded(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def evidence_of(
    forward: Callable[..., Any],
    wrong: Callable[..., Any],
    x: np.ndarray,
    earlier: np.ndarray | None = None,
    kinks: np.ndarray | None = None,
) -> Evidence:
    """What a check would find: `forward(x)`, and its derivative as `wrong(g, x)` has it."""
    y = forward(x)
    g = seeded(*y.shape, seed=1)

    def slopes(x):
        found = np.zeros((*x.shape, *y.shape))
        for at in np.ndindex(x.shape):
            unit = np.zeros(x.shape)
            unit[at] = STEP
            found[at] = forward(x + 1j * unit).imag / STEP
        return found

    def gradient(x):
        return (slopes(x) * g).sum(tuple(range(x.ndim, x.ndim + y.ndim)))

    rows = {}
    for at in np.ndindex(y.shape):
        unit = np.zeros(y.shape)
        unit[at] = 1
        rows[at] = wrong(unit, x)
    values = {
        "x": x,
        "cotangent": g,
        "result": y,
        "analytic": wrong(g, x),
        "numeric": gradient(x),
        "tolerance": 1e-12 * abs(slopes(x) * g).sum(tuple(range(x.ndim, x.ndim + y.ndim))),
        "slopes": slopes(x),
        "rows": rows,
        "earlier": () if earlier is None else (gradient(earlier),),
        "kinks": np.zeros(x.shape, bool) if kinks is None else kinks,
    }
    return Evidence(**{f.name: values[f.name] for f in fields(Evidence)})


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


def convolution(wrong: Callable[..., Any]) -> Evidence:
    return evidence_of(lambda x: correlate(x, WEIGHT), wrong, IMAGE)


def cube(wrong: Callable[..., Any]) -> Evidence:
    """x³ on (3, 4), whose derivative is 3x²."""
    return evidence_of(lambda x: x**3, wrong, seeded(3, 4))


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
    assert diagnose(cube(FACTORS[factor])) == f"wrong by a constant factor {factor}"


def test_the_sizes_of_a_mean_s_window_and_channel_are_known():
    def pool(x):
        return x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]

    def back(g, x):
        return g.repeat(2, 1).repeat(2, 2) / 4

    told = diagnose(evidence_of(pool, back, seeded(3, 6, 10)))
    assert told == "wrong by a constant factor 1/4 (4: the number of elements a result depends on)"


PLANTED: dict[str, tuple[str, Callable[[], Evidence]]] = {
    "sign": ("wrong sign", lambda: cube(lambda g, x: -right_cube(g, x))),
    "sign and factor": (
        "wrong sign, and wrong by a constant factor 2",
        lambda: cube(lambda g, x: -2 * right_cube(g, x)),
    ),
    "gradient transposed": (
        "transposed",
        lambda: evidence_of(lambda x: x**3, lambda g, x: right_cube(g, x).T, seeded(4, 4)),
    ),
    "transposed and reshaped": (
        "transposed",
        lambda: cube(lambda g, x: right_cube(g, x).T.reshape(3, 4)),
    ),
    "of another shape": ("transposed", lambda: cube(lambda g, x: right_cube(g, x).T)),
    "matrix instead of its transpose": (
        "transposed",
        lambda: evidence_of(lambda x: x @ SQUARE, lambda g, x: g @ SQUARE, seeded(3, 4)),
    ),
    "other matrix instead of its transpose": (
        "transposed",
        lambda: evidence_of(lambda x: SQUARE @ x, lambda g, x: SQUARE @ g, seeded(4, 3)),
    ),
    "image gradient, kernel not flipped": (
        "kernel not flipped",
        lambda: convolution(lambda g, x: correlate(g, WEIGHT.swapaxes(0, 1))),
    ),
    "row gradient, kernel not flipped": (
        "kernel not flipped",
        lambda: evidence_of(
            lambda x: np.convolve(x, [1, 2, 4]),
            lambda g, x: np.convolve(g, [1, 2, 4], "valid"),
            seeded(6),
        ),
    ),
    "weight gradient, flipped": (
        "kernel not flipped",
        lambda: evidence_of(
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(g)[..., ::-1, ::-1],
            WEIGHT,
        ),
    ),
    "shifted": ("shifted by one (axis 1)", lambda: cube(lambda g, x: shift(right_cube(g, x)))),
    "rolled": (
        "shifted by one (axis 0)",
        lambda: cube(lambda g, x: np.roll(right_cube(g, x), 1, 0)),
    ),
    "cotangent shifted": (
        "shifted by one (axis 1 of the cotangent)",
        lambda: cube(lambda g, x: right_cube(np.roll(g, -1, 1), x)),
    ),
    "shifted image gradient": (
        "shifted by one (axis 2)",
        lambda: convolution(lambda g, x: shift(right_convolution(g, x))),
    ),
    "only the first of the broadcast": (
        "missing the sum over a broadcast axis",
        lambda: evidence_of(lambda x: x * SCALE, lambda g, x: (g * SCALE)[0], seeded(4)),
    ),
    "only the last of the broadcast": (
        "missing the sum over a broadcast axis",
        lambda: evidence_of(lambda x: x * SCALE, lambda g, x: (g * SCALE)[:, -1:], seeded(3, 1)),
    ),
    "bias summed over positions alone": (
        "missing the sum over a broadcast axis",
        lambda: evidence_of(
            lambda b: seeded(2, 3, 2, 2) + b[:, None, None],
            lambda g, b: g[0].sum((1, 2)),
            seeded(3),
        ),
    ),
    "not summed, so of another shape": (
        "missing the sum over a broadcast axis",
        lambda: evidence_of(lambda x: x * SCALE, lambda g, x: g * SCALE, seeded(4)),
    ),
    "image's border zero": (
        "missing at the border: all sides",
        lambda: convolution(lambda g, x: border(right_convolution(g, x), 0)),
    ),
    "image's border twice": (
        "extra at the border: all sides, there by a factor 2",
        lambda: convolution(lambda g, x: border(right_convolution(g, x), 2)),
    ),
    "one side of the image": (
        "missing at the border: the left",
        lambda: convolution(lambda g, x: changed(right_convolution(g, x), (..., 0), 0)),
    ),
    "results at the border not counted": (
        "missing at the border: all sides of the result",
        lambda: evidence_of(
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(border(g, 0)),
            WEIGHT,
        ),
    ),
    "results at the border twice": (
        "extra at the border: all sides of the result",
        lambda: evidence_of(
            lambda w: correlate(IMAGE, w),
            lambda g, w: weight_gradient(border(g, 2)),
            WEIGHT,
        ),
    ),
    "all zero": ("zero where it should not be", lambda: cube(lambda g, x: 0 * x)),
    "zero where saturated": (
        "zero where it should not be",
        lambda: cube(lambda g, x: np.where(x > 0, right_cube(g, x), 0)),
    ),
    "one zero": (
        "zero where it should not be: at (1, 2)",
        lambda: cube(lambda g, x: changed(right_cube(g, x), (1, 2), 0)),
    ),
    "one element": (
        "wrong in one element only, at (1, 2), there by a factor 1.5",
        lambda: cube(lambda g, x: changed(right_cube(g, x), (1, 2), 1.5)),
    ),
    "one border pixel": (
        "wrong in one element only, at (1, 0, 3), at the border",
        lambda: convolution(lambda g, x: changed(right_convolution(g, x), (1, 0, 3), 1.5)),
    ),
    "one channel": (
        "wrong in one slice only (axis 0, index 1), there by a factor 0.5",
        lambda: convolution(lambda g, x: changed(right_convolution(g, x), 1, 0.5)),
    ),
    "one kernel element": (
        "wrong in one slice only (axis 2 and 3, index 0 and 1)",
        lambda: evidence_of(
            lambda w: correlate(IMAGE, w),
            lambda g, w: changed(weight_gradient(g), (..., 0, 1), 3),
            WEIGHT,
        ),
    ),
    "residual path lost": (
        "not accumulated",
        lambda: evidence_of(lambda x: x + x @ SQUARE, lambda g, x: g @ SQUARE.T, seeded(3, 4)),
    ),
    "only the residual path": (
        "not accumulated",
        lambda: evidence_of(lambda x: x + x @ SQUARE, lambda g, x: g, seeded(3, 4)),
    ),
    "a matrix times itself": (
        "not accumulated",
        lambda: evidence_of(lambda x: x @ x, lambda g, x: g @ x.T, seeded(4, 4)),
    ),
    "a Gram matrix": (
        "not accumulated",
        lambda: evidence_of(lambda x: x @ x.T, lambda g, x: g @ x, seeded(3, 4)),
    ),
    "one branch of a concatenation": (
        "not accumulated",
        lambda: evidence_of(
            lambda x: np.concatenate([x, x**3], 1), lambda g, x: g[:, :4], seeded(3, 4)
        ),
    ),
    "x·sin x, one use": (
        "not accumulated",
        lambda: evidence_of(lambda x: x * np.sin(x), lambda g, x: g * x * np.cos(x), seeded(3, 4)),
    ),
    "x·sin x, other use": (
        "not accumulated",
        lambda: evidence_of(lambda x: x * np.sin(x), lambda g, x: g * np.sin(x), seeded(3, 4)),
    ),
    "stale": (
        "stale: from an earlier call",
        lambda: evidence_of(
            lambda x: x**3,
            lambda g, x: right_cube(g, seeded(3, 4, seed=9)),
            seeded(3, 4),
            earlier=seeded(3, 4, seed=9),
        ),
    ),
    "cotangent not used": (
        "cotangent not used",
        lambda: cube(lambda g, x: right_cube(np.ones_like(g), x)),
    ),
    "ties": (
        "right except at ties",
        lambda: evidence_of(
            lambda x: x**3,
            lambda g, x: changed(right_cube(g, x), (0, [0, 1]), 2),
            seeded(3, 4),
            kinks=np.arange(12).reshape(3, 4) < 2,
        ),
    ),
}


def weight_gradient(g: np.ndarray) -> np.ndarray:
    padded = np.pad(IMAGE, ((0, 0), (1, 1), (1, 1)))
    h, width = g.shape[1:]
    dw = np.empty((2, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            dw[:, :, i, j] = np.einsum("ohw,chw->oc", g, padded[:, i : i + h, j : j + width])
    return dw


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_named(mistake):
    name, evidence = PLANTED[mistake]
    assert diagnose(evidence()).startswith(name)


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_named_as_well_when_the_truth_is_known_to_nine_digits(mistake):
    name, evidence = PLANTED[mistake]
    known = evidence()
    noise = 1e-10 * abs(known.numeric) * seeded(*known.x.shape, seed=7)
    values = {f.name: getattr(known, f.name) for f in fields(Evidence)}
    values |= {"numeric": known.numeric + noise, "tolerance": 1e-9 * abs(known.numeric)}
    assert diagnose(Evidence(**values)).startswith(name)


def test_an_unknown_mistake_has_no_name():
    assert diagnose(cube(lambda g, x: right_cube(g, x) + seeded(3, 4, seed=8))) == ""


def test_of_one_number_only_a_factor_with_a_meaning_is_named():
    def scalar(factor):
        return evidence_of(lambda x: x**3, lambda g, x: factor * g * 3 * x**2, seeded(1))

    assert diagnose(scalar(2)) == "wrong by a constant factor 2"
    assert diagnose(scalar(-1)) == "wrong sign"
    assert diagnose(scalar(1.37)) == ""


def test_a_factor_must_be_the_same_for_every_cotangent():
    wrong = evidence_of(
        lambda x: np.concatenate([x, x**2]),
        lambda g, x: 1.37 * g[:1] + g[1:] * 2 * x,
        seeded(1),
    )
    assert "factor" not in diagnose(wrong)


def test_without_the_slopes_the_gradient_alone_is_judged():
    whole = cube(lambda g, x: 2 * right_cube(g, x))
    values = {f.name: getattr(whole, f.name) for f in fields(Evidence)}
    values |= {"slopes": None, "rows": {}}
    assert diagnose(Evidence(**values)) == "wrong by a constant factor 2"


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
