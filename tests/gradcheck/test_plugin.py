"""The fixture `check_gradients` on right and wrong code, and what pytest then prints."""

import os
import re
import subprocess
import sys
import tomllib
import traceback
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tinycnn.gradcheck import assert_gradients
from tinycnn.gradcheck.strategies import (
    arrays,
    broadcast_pair,
    matmul,
    pool2d,
    reduction,
)

ROOT = Path(__file__).parents[2]


def run_pytest(file, *options):
    """What a student sees who runs pytest on a file."""
    installed = entry_points(group="pytest11", name="tinycnn")
    plugin = () if installed else ("-p", "tinycnn.gradcheck.pytest_plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, *options, file.name],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def failure_of(check, *arguments, **options):
    with pytest.raises(pytest.fail.Exception) as failed:
        check(*arguments, **options)
    return str(failed.value)


def affine(x, weight, bias):
    return x @ weight + bias


def affine_backward(g, x, weight, bias):
    return g @ weight.T, x.T @ g, g.sum(0)


@st.composite
def affine_cases(draw, dtype=np.float64):
    x, weight = draw(matmul(dtype=dtype))
    return x, weight, draw(arrays((weight.shape[1],), dtype))


def unbroadcast(g, x):
    g = g.sum(tuple(range(g.ndim - x.ndim)))
    return g.sum(tuple(i for i, n in enumerate(x.shape) if n == 1), keepdims=True)


def max_pool(x, kernel_size, stride, padding):
    edges = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    x = np.pad(x, edges, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel_size, kernel_size), (2, 3))
    return windows[:, :, ::stride, ::stride].max((4, 5))


def max_pool_backward(g, x, kernel_size, stride, padding):
    grad = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding), x.dtype)
    framed = np.full_like(grad, -np.inf)
    inside = np.s_[..., padding : padding + x.shape[2], padding : padding + x.shape[3]]
    framed[inside] = x
    for n, c, i, j in np.ndindex(g.shape):
        here = np.s_[n, c, i * stride :, j * stride :]
        window = framed[here][:kernel_size, :kernel_size]
        at = np.unravel_index(window.argmax(), window.shape)
        grad[here][at] += g[n, c, i, j]
    return grad[inside]


def largest(x, axis, keepdims):
    return x.max(axis, keepdims=keepdims)


def largest_backward(g, x, axis, keepdims):
    if not keepdims and axis is not None:
        g = np.expand_dims(g, axis)
    return g * (x == x.max(axis, keepdims=True))


# ---- right code ----


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_right_derivatives_pass(dtype, check_gradients):
    check_gradients(affine, affine_backward, affine_cases(dtype))
    check_gradients(max_pool, max_pool_backward, pool2d(dtype=dtype))
    check_gradients(largest, largest_backward, reduction(dtype=dtype))
    check_gradients(
        lambda x, y: x / y,
        lambda g, x, y: (unbroadcast(g / y, x), unbroadcast(-g * x / y**2, y)),
        broadcast_pair(dtype=dtype),
    )


def test_ill_scaled_values_raise_no_false_alarm(check_gradients):
    cases = st.tuples(*[arrays((3,), kind="ill_scaled")] * 2)
    check_gradients(lambda x, y: x * y, lambda g, x, y: (g * y, g * x), cases)


def test_as_many_cases_are_tried_as_asked_for_and_the_same_every_time(check_gradients):
    def tried():
        points = []

        def forward(x):
            if not points or points[-1] is not x:
                points.append(x)
            return x * 2

        check_gradients(forward, lambda g, x: g * 2, st.tuples(arrays((2, 2))), examples=30)
        return [float(x.real.sum()) for x in points]

    assert (first := tried()) == tried()
    assert len(set(first)) > 20


# ---- wrong code ----


def test_a_wrong_derivative_is_told_with_the_smallest_case(check_gradients):
    def backward(g, x, weight, bias):
        return g @ weight.T, x.T @ g, g.sum(0) / len(x)

    told = failure_of(check_gradients, affine, backward, affine_cases())
    assert told.startswith("backward is not the derivative of affine\n")
    assert re.search(r"\n  x +\(2, 1\) \[\[ ?-?\d\.\d+\], \[.*\]\]  \(float64\)\n", told)
    assert re.search(r"\n  bias +\(1,\) \[.*\]  \(float64\)\n", told)
    assert "\nbias: wrong gradient" in told
    assert "looks like: wrong by a constant factor" in told
    assert "\nx: " not in told


def test_what_matters_of_the_memory_is_told(check_gradients):
    def backward(g, x):
        return g * (2 if x.flags.c_contiguous else 3)

    told = failure_of(check_gradients, lambda x: x * 2, backward, arrays((2,)))
    assert re.search(r"\n  x  \(2,\) \[.*\]  \(float64, not contiguous\)\n", told)

    def choosy(g, x):
        return g * (2 if x.flags.writeable else 3)

    told = failure_of(check_gradients, lambda x: x * 2, choosy, arrays((2,)))
    assert re.search(r"\n  x  \(2,\) \[.*\]  \(float64, read-only\)\n", told)


def test_settings_are_told_as_they_are(check_gradients):
    def backward(g, x, kernel_size, stride, padding):
        return max_pool_backward(g, x, kernel_size, stride, padding) * (1 + 1e-9 * (padding > 0))

    told = failure_of(check_gradients, max_pool, backward, pool2d())
    for line in ("kernel_size  2", "stride       1", "padding      1"):
        assert f"\n  {line}\n" in told


def test_a_case_may_be_the_only_argument(check_gradients):
    check_gradients(np.exp, lambda g, x: g * np.exp(x), arrays(), examples=20)
    told = failure_of(check_gradients, np.exp, lambda g, x: g * x, arrays(), examples=20)
    assert "(1,) [0.126]  (float64)" in told or "() 0.126  (float64)" in told


def test_an_input_changed_in_place_is_shown_as_it_was(check_gradients):
    def forward(x):
        if x.flags.writeable:
            x *= 1.5
        raise ArithmeticError

    with pytest.raises(ArithmeticError) as raised:
        check_gradients(forward, lambda g, x: g, arrays((1,)))
    assert "[0.126]" in raised.value.__notes__[0]


def test_an_input_changed_in_place_is_told(check_gradients):
    def backward(g, x):
        if x.flags.writeable:
            x *= 1.5
        return g * 2

    assert "changed in place" in failure_of(check_gradients, lambda x: x * 2, backward, arrays())


def test_a_result_that_is_never_the_same_is_a_failure(check_gradients):
    rng = np.random.default_rng(0)
    told = failure_of(
        check_gradients,
        lambda x: x * 2,
        lambda g, x: g * 2 * rng.choice([1, 1 + 1e-9]),
        st.tuples(arrays((2,))),
    )
    assert "not the same twice" in told or "wrong gradient" in told


def test_a_mistake_that_the_smallest_case_is_too_small_to_name_is_named_by_others(
    check_gradients,
):
    def backward(g, x):
        return g * np.exp(x) * 1.0001

    told = failure_of(check_gradients, np.exp, backward, arrays_2d())
    assert re.search(r"\n  x  \(1, 1\) ", told)
    assert "\n  looks like" not in told  # of one number, the factor is no sign of anything
    last = told.splitlines()[-1]
    assert re.match(r"x: \d+ of \d+ other failing cases look like: wrong by a constant", last)
    assert last.endswith("factor 1.0001")


def test_what_all_failing_cases_look_like_is_told_once(check_gradients):
    told = failure_of(check_gradients, np.exp, lambda g, x: -g * np.exp(x), arrays_2d())
    assert told.count("wrong sign") == 1
    assert "failing cases look like" not in told


def arrays_2d():
    return st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(arrays)


def test_an_exception_in_the_code_under_check_is_shown_where_it_happened(check_gradients):
    def forward(x):
        return x * 2 if x.size < 3 else x[x.size + 1]

    with pytest.raises(IndexError) as raised:
        check_gradients(forward, lambda g, x: g * 2, st.tuples(arrays()))
    frames = traceback.extract_tb(raised.tb)
    assert [frame.name for frame in frames][-1] == "forward"
    assert not any("hypothesis" in frame.filename for frame in frames)
    (note,) = raised.value.__notes__
    assert re.search(r"\n  x  \(3,\) \[ 0.126, -0.132,  0.64 \]  \(float64\)$", note)


def test_too_few_gradients_are_told(check_gradients):
    with pytest.raises(ValueError, match="backward returned 1 gradients for 3 inputs"):
        check_gradients(affine, lambda g, x, weight, bias: (g @ weight.T,), affine_cases())


def test_cases_without_anything_to_differentiate_are_an_error(check_gradients):
    with pytest.raises(ValueError, match="none of the inputs is an array of float32 or float64"):
        check_gradients(lambda n: n, lambda g, n: (), st.tuples(st.integers()))


def test_assert_gradients_in_a_hypothesis_test_shows_the_report_and_the_smallest_case():
    @given(affine_cases())
    @settings(database=None, derandomize=True, phases=(Phase.generate, Phase.shrink))
    def check(case):
        assert_gradients(affine, case, backward=lambda g, *case: affine_backward(2 * g, *case))

    with pytest.raises(AssertionError, match="gradients WRONG") as failed:
        check()
    assert "wrong by a constant factor" in str(failed.value)
    assert "case=(array([[0.126]])" in "".join(failed.value.__notes__)


# ---- in pytest ----


def test_the_example_passes_and_says_what_was_checked():
    code, printed = run_pytest(ROOT / "examples/check_your_own_conv.py")
    assert code == 0, printed
    assert re.search(
        r"test_my_convolution: conv_backward: 100 cases, \d+ numbers by complex step, "
        r"worst error \d\.\de-1[67]\n",
        printed,
    )


def test_the_wrong_example_fails_with_the_smallest_case_and_the_cause():
    code, printed = run_pytest(ROOT / "examples/check_a_wrong_conv.py")
    assert code == 1
    assert "conv_backward is not the derivative of conv_forward\n" in printed
    assert re.search(r"\n  x +\(1, 1, 1, 2\) \[\[\[\[.*\]\]\]\]  \(float64\)\n", printed)
    assert "x: wrong gradient, 2 of 2 elements\n  looks like: kernel not flipped" in printed
    assert "weight: wrong" not in printed
    assert "other failing cases" not in printed  # they look the same
    assert "Traceback" not in printed
    failures = printed.partition("FAILURES")[2].partition("short test summary")[0]
    assert "hypothesis" not in failures
    assert len(failures.splitlines()) < 20


def test_kinks_are_told_at_the_end_and_neither_failed_nor_passed_over(tmp_path):
    file = tmp_path / "test_relu.py"
    file.write_text(
        "import numpy as np\n"
        "from hypothesis import strategies as st\n"
        "def test_relu(check_gradients):\n"
        "    cases = st.tuples(st.sampled_from([np.array([0.0, 1.5]), np.array([-2.0, 1.0])]))\n"
        "    check_gradients(lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), cases)\n"
    )
    code, printed = run_pytest(file)
    assert code == 0, printed
    assert re.search(r"<lambda>: 2 cases, .*; 1 on a kink or tie, where any slope", printed)


def test_an_exception_is_shown_with_the_case_and_without_the_checkers_inside(tmp_path):
    file = tmp_path / "test_mine.py"
    file.write_text(
        "from tinycnn.gradcheck.strategies import matmul\n"
        "def forward(x, y):\n"
        "    return x @ y[: x.shape[0]]\n"
        "def test_mine(check_gradients):\n"
        "    check_gradients(forward, lambda g, x, y: (g @ y.T, x.T @ g), matmul())\n"
    )
    code, printed = run_pytest(file)
    assert code == 1
    assert re.search(r"\n> +return x @ y\[: x.shape\[0\]\]\n", printed)
    assert re.search(r"\nE +x  \(1, 2\) \[\[.*\]\]  \(float64\)\n", printed)
    assert "pytest_plugin.py" not in printed


def test_the_plugin_is_registered_and_light():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert declared["project"]["entry-points"]["pytest11"] == {
        "tinycnn": "tinycnn.gradcheck.pytest_plugin"
    }
    heavy = "{'hypothesis', 'numba', 'matplotlib', 'scipy', 'torch', 'sklearn', 'PIL'}"
    code = f"import sys, tinycnn.gradcheck.pytest_plugin; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
