"""The reference kernels are for the arrays of any library: what they use beyond the array API
standard are a few of NumPy's methods, which CuPy's have too. `standard.py` says them in the
standard's words.
"""

import inspect

import numpy as np
import pytest

from tinycnn.kernels import reference
from tinycnn.kernels.types import Geometry

from . import standard
from .device import cupy_or_skip

POOLING = (3, 2), (2, 1), (1, 0, 1, 1), (1, 2)
GEOMETRY = Geometry((2, 1), (1, 0, 0, 2), (1, 2), 2)
NO_KERNELS = {"are_classes", "index_type", "namespace", "output_size", "taps"}


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


def calls(dtype):
    """One call of each kernel; of some another one."""
    x, w, b = random(2, 4, 7, 6), random(6, 2, 3, 2), random(6)
    x[0, 0, :2] = 0  # ties
    y = reference.conv2d(x, w, b, GEOMETRY)
    _, index = reference.max_pool2d(x, *POOLING)
    vectors = random(4, 4)
    p, g, v = random(3, 5, 3)
    found = [
        *((name, x * 9) for name in ("sigmoid", "softplus", "relu")),
        ("elu", x, 1.3),
        ("elu_grad", x[::-1], x, 1.3),
        ("relu_grad", x[::-1], x),
        ("add_relu", x[::-1], x),
        ("matmul", x, np.swapaxes(x, 2, 3)),
        ("matmul", x[0, 0], x[0, 0].T),
        ("log_softmax", x * 5, 1),
        ("log_softmax", x * 5, -1),
        ("pad", x, (1, 2, 0, 3), 0.5),
        ("conv2d", x, w, b, GEOMETRY),
        ("conv2d_input_grad", y, w, x.shape, GEOMETRY),
        ("conv2d_weight_grad", y, x, w.shape, GEOMETRY),
        ("max_pool2d", np.where(random(2, 4, 7, 6) > 1, np.nan, x), *POOLING),
        ("max_pool2d_scatter", random(*index.shape), index, x.shape, *POOLING),
        ("max_pool2d_gather", x, index, *POOLING),
        ("sum_pool2d", x, *POOLING[:3]),
        ("sum_pool2d_input_grad", random(2, 4, 3, 7), x.shape, *POOLING[:3]),
        ("moments", x),
        ("batch_norm", x, *vectors),
        ("batch_norm_grad", x[::-1], x, *vectors[:3]),
        ("dropout_mask", 2**40, (3, 5), 0.4, x),
        ("sgd_step", p, g, v, 0.1, 0.9, 0.8, 0.01, True),
        ("sgd_step", p, g, None, 0.1, 0.0, 1.0, 0.01, False),
    ]
    for name, *arguments in found:
        yield name, [converted(a, dtype) for a in arguments]


def converted(value, dtype):
    """A fresh copy, that a kernel may write to."""
    if not isinstance(value, np.ndarray):
        return value
    return np.array(value, dtype if value.dtype.kind == "f" else value.dtype)


def results(name, arguments):
    """What a kernel returns, or changes."""
    made = getattr(reference, name)(*arguments)
    if made is None:
        made = tuple(a for a in (arguments[0], arguments[2]) if a is not None)
    return made if isinstance(made, tuple) else (made,)


def library_or_skip(library):
    """Its functions."""
    if library == "cupy":
        return cupy_or_skip()
    pytest.importorskip(library)
    pytest.importorskip("array_api_compat")
    return standard.strict() if library == "array_api_strict" else standard.torch()


def test_every_kernel_is_called():
    functions = {name for name, _ in inspect.getmembers(reference, inspect.isfunction)}
    assert {name for name, _ in calls(np.float64)} == functions - NO_KERNELS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("library", ["array_api_strict", "torch", "cupy"])
@pytest.mark.parametrize("number", range(len(list(calls(np.float64)))))
def test_a_kernel_computes_the_same_on_the_arrays_of(library, number, dtype, monkeypatch):
    xp = library_or_skip(library)
    name, arguments = list(calls(dtype))[number]
    _, copies = list(calls(dtype))[number]
    theirs = [xp.asarray(a) if isinstance(a, np.ndarray) else a for a in copies]
    ours = results(name, arguments)
    if library != "cupy":
        monkeypatch.setattr(reference, "namespace", lambda *arrays: xp)
    for a, b in zip(results(name, theirs), ours, strict=True):
        assert type(a) is type(xp.zeros((1,), a.dtype))
        assert str(a.dtype).rpartition(".")[2] == b.dtype.name
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        np.testing.assert_allclose(standard.host(a), b, tolerance, tolerance, err_msg=name)
