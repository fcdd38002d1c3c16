"""Activations and their derivatives on two million float32 points: all signs and exponents, the
subnormal numbers, ±0, ±∞, and the neighbours of every point where something saturates.
"""

import math
import os
import runpy
import subprocess
import sys
from decimal import Context, Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest

import tinycnn as tc
from tinycnn import kernels
from tinycnn.kernels import cpu, reference

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "activation_range.py"
measure = runpy.run_path(str(BENCHMARK))
points, truth, ulps, TRUTH = (measure[name] for name in ("points", "truth", "ulps", "TRUTH"))
ULPS = 4

backends = pytest.mark.parametrize("backend", ["reference", "cpu"])
functions = pytest.mark.parametrize("name", TRUTH)


# ---- the measure itself ----


def test_the_points_are_those_that_were_promised():
    x = points()
    assert x.dtype == np.float32
    assert len(np.unique(x.view(np.uint32))) > 2_000_000
    _, exponents = np.frexp(x[np.isfinite(x) & (x != 0)])
    assert set(range(-148, 129)) == set(exponents.tolist())  # -148: the smallest subnormal number
    assert (abs(x[x != 0]) < 2.0**-126).sum() > 8000
    special = np.array([0.0, -0.0, np.inf, -np.inf], np.float32)
    assert np.isin(special.view(np.uint32), x.view(np.uint32)).all()


def test_the_last_points_before_saturation_and_their_neighbours_are_among_the_points():
    x = np.unique(points())
    for name in ("sigmoid", "tanh", "elu"):
        derivative = TRUTH[name].derivative
        lasting = x[derivative(x.astype(np.float64)).astype(np.float32) > 0]
        for last, outward in ((lasting.min(), -np.inf), (lasting.max(), np.inf)):
            beyond = np.nextafter(last, np.float32(outward))
            assert beyond in x
            assert derivative(np.float64(beyond)).astype(np.float32) == 0 or np.isinf(beyond)


def exactly(x):
    """Values and derivatives to 60 digits, from the exponential of the standard library alone."""
    e = x.exp()
    log1p = (1 + e).ln()
    return {
        "sigmoid": (e / (1 + e), e / (1 + e) ** 2),
        "tanh": ((e**2 - 1) / (e**2 + 1), 4 * e**2 / (1 + e**2) ** 2),
        "softplus": (log1p, e / (1 + e)),
        "elu": (x if x > 0 else e - 1, 1 if x > 0 else e),
    }


def test_the_truth_is_true_to_fifteen_digits():
    rng = np.random.default_rng(0)
    size = np.exp2(rng.uniform(-20, math.log2(250), 200))
    for x in (size * rng.choice([-1, 1], 200)).astype(np.float32).tolist():
        with localcontext(Context(prec=250)):
            exact = exactly(Decimal(x))
        for name, pair in exact.items():
            for true, expected in zip(TRUTH[name], pair, strict=True):
                assert float(true(np.float64(x))) == pytest.approx(
                    float(expected), rel=3e-14, abs=0
                )


def test_the_measure_tells_a_neighbour_a_zero_and_a_nan():
    true = np.array([1.0, 1.0, 1e-40, 1.0, 1.0, np.inf])
    found = np.array([1 + 2**-23, 1 - 2**-24, 0, 0, np.nan, np.inf], np.float32)
    np.testing.assert_allclose(
        ulps(found, true), [1, 0.5, 1e-40 * 2.0**149, 2**23, np.inf, 0], rtol=1e-12
    )


def test_the_textbook_derivatives_are_found_to_be_wrong():
    y = tc.sigmoid(tc.tensor(points())).array
    assert ulps(y * (1 - y), truth("sigmoid")[1]).max() > 1e6
    y = tc.tanh(tc.tensor(points())).array
    assert ulps(1 - y * y, truth("tanh")[1]).max() > 1e6


# ---- the library ----


@functions
@backends
def test_values_and_derivatives_are_right_to_a_few_units_in_the_last_place(backend, name):
    found = measure["by_tinycnn"](name, backend)
    for what, array, true in zip(("value", "derivative"), found, truth(name), strict=True):
        assert array.dtype == np.float32
        errors = ulps(array, true)
        i = errors.argmax()
        at = f"{what} at {points()[i]!r}: {array[i]!r}, should be {true[i]!r}"
        assert errors[i] <= ULPS, f"{name}: {errors[i]:.3g} ulp off: {at}"


@functions
@backends
def test_nan_is_neither_lost_nor_a_reason_to_complain(backend, name):
    x = tc.tensor([math.nan, -math.nan, 1.0], dtype=np.float32, requires_grad=True)
    with kernels.use(backend):
        y = getattr(tc, name)(x)
        y.backward(tc.tensor([math.nan, math.nan, 1.0]))
    for array in (y.array, x.grad.array):
        np.testing.assert_array_equal(np.isnan(array), [True, True, False])


# ---- the sigmoid of the CPU, which all of these derivatives are made of ----


def test_the_fast_sigmoid_is_the_definition_but_for_the_last_bit_of_very_few():
    fast, defined = (module.sigmoid(points()) for module in (cpu, reference))
    assert ulps(fast, defined.astype(np.float64)).max() <= 1
    assert (fast != defined).mean() < 1e-5


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_fast_sigmoid_takes_every_shape_and_leaves_other_types_to_the_definition(shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype).T
    y = cpu.sigmoid(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(y, reference.sigmoid(x), rtol=2e-7)


def test_threads_do_not_show_in_the_bits_of_the_sigmoid(monkeypatch):
    x = points()[:300_001]
    results = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr("tinycnn.kernels.threads._number", threads)
        results.append(cpu.sigmoid(x).tobytes())
    assert len(set(results)) == 1


PLAIN = """
import numpy as np
from tinycnn.kernels import cpu, reference
x = np.array([-np.inf, -110, -90, -1, -0.0, 0, 1, 20, np.inf, np.nan], np.float32)
np.testing.assert_allclose(cpu.sigmoid(x), reference.sigmoid(x), 2e-7, 0)
assert type(cpu.sigmoid.__globals__["_sigmoid"]).__name__ == "function"
"""


def test_the_sigmoid_also_runs_as_plain_python():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", PLAIN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
