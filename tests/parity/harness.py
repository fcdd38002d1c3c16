"""The same function run in both libraries, and the two results held against each other.

A test hands `agree` a function of a library and tensors, `lambda lib, x: lib.exp(x)`; it is called
once with tinycnn and once with PyTorch, on the same float64 numbers and the same random
cotangents (never all ones, for which softmax and batch normalisation have no gradient).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import kernels

torch = pytest.importorskip("torch", reason="parity needs PyTorch: pip install tinycnn[parity]")
torch.set_num_threads(1)

seeds = st.integers(0, 2**32 - 1)
Measured = dict[str, np.ndarray]


def cases(count: int) -> settings:
    """So many generated cases, the same ones in every run."""
    # a shape that PyTorch refuses is filtered out, which may be a large part of them
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    return settings(
        max_examples=count, deadline=None, derandomize=True, suppress_health_check=checks
    )


both_backends = pytest.mark.parametrize("backend", ["default", "reference"])


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Within this block kernels come from a backend, or as they come by default."""
    if backend == "default":
        yield
    else:
        with kernels.use(backend):
            yield


# ---- the two libraries under one face -----------------------------------------------------------


class Library:
    """What both libraries have, by name: first among the functions of `nn`, then at the top."""

    def __init__(self, top: Any) -> None:
        self.top, self.nn = top, top.nn

    def __getattr__(self, name: str) -> Any:
        functional = self.nn.functional
        return getattr(functional if hasattr(functional, name) else self.top, name)


class Ours(Library):
    """tinycnn."""

    def leaf(self, array: np.ndarray) -> Any:
        return tc.tensor(array, requires_grad=array.dtype.kind == "f")

    def array(self, tensor: Any) -> np.ndarray:
        return np.array(tensor.array)

    def grad(self, outputs: Any, inputs: Any, cotangents: Any = None, **options: Any) -> Any:
        found = tc.grad(outputs, inputs, cotangents, allow_unused=True, **options)
        return [tc.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


class Theirs(Library):
    """PyTorch."""

    def leaf(self, array: np.ndarray) -> Any:
        tensor = torch.tensor(array)
        return tensor.requires_grad_(array.dtype.kind == "f")

    def array(self, tensor: Any) -> np.ndarray:
        return tensor.detach().numpy(force=True).copy()

    def grad(self, outputs: Any, inputs: Any, cotangents: Any = None, **options: Any) -> Any:
        return torch.autograd.grad(
            outputs, inputs, cotangents, allow_unused=True, materialize_grads=True, **options
        )


ours, theirs = Ours(tc), Theirs(torch)


# ---- values, gradients, and gradients of gradients ----------------------------------------------


def listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def measure(
    lib: Library, function: Callable[..., Any], arrays: Sequence[Any], seed: int, order: int
) -> Measured:
    """The function's outputs; the gradients of their product with random cotangents; the
    gradients of the product of those with random directions, also in the cotangents.
    """
    chance = np.random.default_rng(seed)

    def like(tensor: Any) -> Any:
        array = chance.standard_normal(tuple(tensor.shape))
        return lib.leaf(np.asarray(array, lib.array(tensor).dtype))

    inputs = [lib.leaf(np.asarray(array)) for array in arrays]
    wanted = [x for x in inputs if x.requires_grad]
    outputs = listed(function(lib, *inputs))
    found = {f"output {i}": lib.array(y) for i, y in enumerate(outputs)}
    outputs = [y for y in outputs if y.requires_grad]
    if order == 0 or not outputs:
        return found
    cotangents = [like(y) for y in outputs]
    # tinycnn runs one line of code on arrays here, and on tensors below: both count
    plain = lib.grad(outputs, wanted, cotangents, retain_graph=True)
    found |= {f"gradient {i}": lib.array(g) for i, g in enumerate(plain)}
    if order == 1:
        return found
    recorded = lib.grad(outputs, wanted, cotangents, create_graph=True)
    found |= {f"recorded gradient {i}": lib.array(g) for i, g in enumerate(recorded)}
    product = sum((g * like(g).detach()).sum() for g in recorded)
    targets = [*wanted, *cotangents]
    second = lib.grad([product], targets) if product.requires_grad else map(lib.zeros_like, targets)
    return found | {f"second {i}": lib.array(g) for i, g in enumerate(second)}


def agree(
    function: Callable[..., Any],
    *arrays: Any,
    seed: int = 0,
    order: int = 2,
    tolerance: float = 1e-9,
    noise: float = 0.0,
) -> None:
    """Assert that both libraries compute the same, up to derivatives of an order.

    Args:
        function: of a library and its tensors.
        arrays: the inputs; floating-point ones are differentiated.
        seed: of the cotangents.
        order: 0 for outputs alone, 1 with gradients, 2 with gradients of gradients.
        tolerance: the relative error allowed, in the norm.
        noise: an absolute error allowed, for what is 0 in theory.
    """
    found = measure(ours, function, arrays, seed, order)
    expected = measure(theirs, function, arrays, seed, order)
    compare(found, expected, tolerance, noise)


def compare(
    found: Measured, expected: Measured, tolerance: float = 1e-9, noise: float = 0.0
) -> None:
    """Assert that two sets of arrays are equal by name, shape, dtype and value."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        equal(name, found[name], value, tolerance, noise)


def equal(
    name: str, found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-9, noise: float = 0.0
) -> None:
    """Assert that two arrays have the same shape and dtype, and all but the same values."""
    assert found.shape == expected.shape, f"{name}: shape {found.shape}, PyTorch {expected.shape}"
    assert found.dtype == expected.dtype, f"{name}: {found.dtype}, PyTorch {expected.dtype}"
    if found.dtype.kind != "f":
        assert np.array_equal(found, expected), f"{name}: {found}, PyTorch {expected}"
        return
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), (
        f"{name}: {found}, PyTorch {expected}"
    )
    found, expected = found[finite], expected[finite]
    largest = np.abs(expected).max(initial=0)
    scale = largest or 1.0  # the norm of numbers near the largest there are is infinite
    error = np.linalg.norm(found / scale - expected / scale)
    size = np.linalg.norm(expected / scale)
    assert error <= tolerance * size + noise / scale, (
        f"{name}: relative error {error / size if size else np.inf:.1e}: "
        f"{found[:8]}, PyTorch {expected[:8]}"
    )
    # an element much smaller than its neighbours may lose digits, but not all of them
    apart = np.abs(found - expected) - tolerance * (np.abs(expected) + largest / 100) - noise
    assert (apart <= 0).all(), f"{name}: {found[apart > 0][:8]}, PyTorch {expected[apart > 0][:8]}"


# ---- numbers ------------------------------------------------------------------------------------


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def tied(seed: int, *shape: int) -> np.ndarray:
    """Small integers, so that equal ones and zeros are frequent, where conventions show."""
    return np.asarray(np.random.default_rng(seed).integers(-2, 3, shape), np.float64)


numbers = st.sampled_from([normal, tied])
