"""What is checked: a function of arrays and the code that claims to be its derivative.

Whatever comes, a pair of NumPy functions, a function of Tensors or a network, is brought into one
form, so that the checks know arrays alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tinycnn import autograd, random
from tinycnn.grad_mode import complex_too, enable_grad
from tinycnn.kernels.types import Array
from tinycnn.tensor import Tensor

Arrays = Sequence[Array]
Asked = Callable[[int], bool]  # whether a gradient is asked for the input of a number
Call = Callable[[Sequence[Tensor]], list[Tensor]]


def _all(number: int) -> bool:
    return True


def _none(number: int) -> bool:
    return False


@dataclass(frozen=True)
class Subject:
    """A function of several arrays that gives one array, and its claimed derivative.

    Attributes:
        names: of the inputs.
        point: the inputs' values, float32 or float64.
        forward: takes such arrays, of any precision, complex too, and gives the output Y.
        backward: takes such arrays and a cotangent Y, and gives what it claims to be the
            gradients. Whatever is wrong with them is for the checks to say.
        unasked: gives the gradient of the input of this number, of which none was asked.
        doubled: the gradients of the function's sum with itself, of the same inputs.
        order: of the derivative. What one must keep besides its value is checked at the first.
    """

    names: tuple[str, ...]
    point: tuple[Array, ...]
    forward: Callable[[Arrays], Array]
    backward: Callable[[Arrays, Array], tuple[Any, ...]]
    unasked: Callable[[Arrays, Array, int], Any] | None = None
    doubled: Callable[[Arrays, Array], tuple[Any, ...]] | None = None
    order: int = 1


def is_float(value: Any) -> bool:
    """Whether this is an array of floating-point numbers, which are what has a derivative."""
    return hasattr(value, "shape") and getattr(value, "dtype", None) in (np.float32, np.float64)


def names_of(function: Any, inputs: Sequence[Any]) -> tuple[str, ...]:
    """What the function calls its arguments, as far as it says so."""
    try:
        called = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        called = []
    plain = [p.name for p in called if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(plain[i] if i < len(plain) else f"input {i}" for i in range(len(inputs)))


def joined(outputs: Sequence[Array]) -> Array:
    """One output as it is, several as one row."""
    if len(outputs) == 1:
        return outputs[0]
    return np.concatenate([np.zeros(0), *(np.ravel(y) for y in outputs)])


def parted(row: Any, outputs: Sequence[Any]) -> list[Any]:
    """The opposite of `joined`: the parts of a cotangent, an array or Tensor, for each output."""
    if len(outputs) == 1:
        return [row]
    ends = np.cumsum([0, *(prod(y.shape) for y in outputs)]).tolist()
    parts = zip(ends, ends[1:], outputs, strict=False)
    return [row[a:b].reshape(y.shape) for a, b, y in parts]


def random_cotangent(output: Array, seed: int) -> Array:
    """A cotangent for which to take a second derivative."""
    drawn = np.random.default_rng(seed).standard_normal(output.shape)
    return np.asarray(drawn, output.dtype)


def of_pair(
    forward: Callable[..., Any], backward: Callable[..., Any], inputs: Sequence[Any]
) -> Subject:
    """A NumPy function, and one that is to be its derivative: `backward(g, *inputs)`."""
    floats = [i for i, x in enumerate(inputs) if is_float(x)]
    names = names_of(forward, inputs)

    def filled(arrays: Arrays) -> list[Any]:
        given = dict(zip(floats, arrays, strict=True))
        return [given.get(i, x) for i, x in enumerate(inputs)]

    def output(arrays: Arrays) -> Array:
        made = forward(*filled(arrays))
        if isinstance(made, tuple | list):
            raise ValueError(
                "pair: forward returned several things; give the array alone, "
                "as `lambda *inputs: forward(*inputs)[0]` does"
            )
        return np.asarray(made)

    def gradients(arrays: Arrays, g: Array) -> tuple[Any, ...]:
        output(arrays)  # the backward of a layer may read what its last forward kept
        found = backward(g, *filled(arrays))
        found = tuple(found) if isinstance(found, tuple | list) else (found,)
        found = tuple(None if d is None else np.asarray(d) for d in found)
        if len(found) == len(inputs):
            for name, x, d in zip(names, inputs, found, strict=True):
                if d is not None and hasattr(x, "dtype") and not is_float(x):
                    raise ValueError(
                        f"pair: {name} is {x.dtype}, of which no gradient is checked; give it as "
                        "float64, or return None for it"
                    )
            return tuple(found[i] for i in floats)
        if len(found) != len(floats):
            raise ValueError(
                f"pair: backward returned {len(found)} gradients for {len(inputs)} inputs, "
                f"{len(floats)} of them floating-point arrays"
            )
        return found

    return Subject(
        tuple(names[i] for i in floats),
        tuple(np.asarray(inputs[i]) for i in floats),
        output,
        gradients,
    )


class Graph:
    """A function of Tensors, or a network with its parameters: leaves in, outputs out."""

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.function, self.inputs = function, inputs
        self.floats = [i for i, x in enumerate(inputs) if is_float(x)]
        names = names_of(getattr(function, "forward", function), inputs)
        parameters = dict(getattr(function, "named_parameters", dict)())
        learned = {name: p for name, p in parameters.items() if p.requires_grad}
        self.names = (*(names[i] for i in self.floats), *learned)
        self.parameters = list(learned.values())
        self.buffers = [b for _, b in getattr(function, "named_buffers", list)()]
        arrays = [getattr(x, "array", x) for x in (inputs[i] for i in self.floats)]
        self.point = (*arrays, *(p.array for p in self.parameters))
        self.chance = random.default().bit_generator
        self.start = self.chance.state

    @contextmanager
    def leaves(self, arrays: Arrays, asked: Asked) -> Iterator[list[Tensor]]:
        """The inputs, and the parameters, with these values; afterwards all is as it was.

        Chance starts the same in every call, or dropout could not be checked.
        """
        count = len(self.floats)
        kept = [(t, t.array, t.grad, t.requires_grad) for t in (*self.parameters, *self.buffers)]
        try:
            with complex_too(), enable_grad():
                tensors = [Tensor(a) for a in arrays[:count]]
                for parameter, array in zip(self.parameters, arrays[count:], strict=True):
                    parameter.array, parameter.grad = array, None
                for buffer in self.buffers:
                    of = arrays[0] if buffer.dtype.kind == "f" else buffer
                    buffer.array = buffer.array.astype(of.dtype)
                both = [*tensors, *self.parameters]
                for i, leaf in enumerate(both):
                    leaf.requires_grad_(asked(i))
                yield both
        finally:
            self.chance.state = self.start
            for tensor, array, grad, wanted in kept:
                tensor.array, tensor.grad = array, grad
                tensor._requires_grad = wanted

    def call(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The outputs."""
        given = dict(zip(self.floats, leaves, strict=False))
        made = self.function(*(given.get(i, x) for i, x in enumerate(self.inputs)))
        return list(made) if isinstance(made, tuple | list) else [made]

    def call_doubled(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of two calls added up, with the same chance in both."""
        once = self.call(leaves)
        self.chance.state = self.start
        return [a + b for a, b in zip(once, self.call(leaves), strict=True)]


class SecondGraph:
    """The derivative of such a function, as a function of its inputs and of the cotangent."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        with graph.leaves(graph.point, _none) as leaves:
            output = joined([y.array for y in graph.call(leaves)])
        self.names = (*graph.names, "cotangent")
        self.point = (*graph.point, random_cotangent(output, seed))

    @contextmanager
    def leaves(self, arrays: Arrays, asked: Asked) -> Iterator[list[Tensor]]:
        """The function's leaves, and the cotangent."""
        *inputs, cotangent = arrays
        with self.graph.leaves(inputs, asked) as leaves:
            yield [*leaves, Tensor(cotangent, asked(len(inputs)))]

    def call(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The gradients; recorded only if they are to be differentiated themselves."""
        *inputs, cotangent = leaves
        recorded = any(leaf.requires_grad for leaf in leaves)
        for leaf in inputs:
            leaf.requires_grad_()
        outputs = self.graph.call(inputs)
        parts = zip(outputs, parted(cotangent, outputs), strict=True)
        known = [(y, g) for y, g in parts if y.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(inputs)
        if known:
            ys, gs = zip(*known, strict=True)
            found = autograd.grad(ys, inputs, gs, create_graph=recorded, allow_unused=True)
        return [x * 0 if g is None else g for g, x in zip(found, inputs, strict=True)]


def of_graph(graph: Graph | SecondGraph) -> Subject:
    """A function of Tensors, differentiated by the engine."""

    def forward(arrays: Arrays) -> Array:
        with graph.leaves(arrays, _none) as leaves:
            return joined([y.array for y in graph.call(leaves)])

    def swept(
        arrays: Arrays, g: Array, call: Call = graph.call, asked: Asked = _all
    ) -> tuple[Any, ...]:
        with graph.leaves(arrays, asked) as leaves:
            outputs = call(leaves)
            for y, part in zip(outputs, parted(g, outputs), strict=True):
                if y.requires_grad:
                    y.backward(Tensor(part), retain_graph=True)
            return tuple(getattr(leaf.grad, "array", None) for leaf in leaves)

    def backward(arrays: Arrays, g: Array) -> tuple[Any, ...]:
        return _filled(swept(arrays, g), arrays)

    if isinstance(graph, SecondGraph):
        return Subject(graph.names, graph.point, forward, backward, order=2)
    return Subject(
        graph.names,
        graph.point,
        forward,
        backward,
        lambda arrays, g, number: swept(arrays, g, asked=lambda i: i != number)[number],
        lambda arrays, g: _filled(swept(arrays, g, graph.call_doubled), arrays),
    )


def _filled(gradients: Sequence[Any], arrays: Arrays) -> tuple[Any, ...]:
    """The gradients, 0 for an input that the output does not depend on."""
    pairs = zip(gradients, arrays, strict=True)
    return tuple(np.zeros_like(x) if g is None else g for g, x in pairs)
