"""The operations whose derivatives are mutated: tinycnn's own, as pairs of NumPy functions.

Inputs are small, and chosen so that no central difference of the other checkers steps over a kink:
they would be blamed for what their inputs do. Two operations are on ties on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinycnn as tc
from tinycnn import kernels, ops
from tinycnn.grad_mode import complex_too, no_grad
from tinycnn.kernels.types import Geometry
from tinycnn.ops.convolution import conv2d_input_grad
from tinycnn.tensor import Tensor

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Operation:
    """A function of float64 arrays, where it is looked at, and what its inputs are.

    Attributes:
        name: for the table.
        function: of Tensors.
        inputs: arrays.
        images: the inputs (by number) that are images or kernels, so have a border.
        stretched: for inputs that are broadcast: the axes of the result along which they are.
        filters: weights whose gradient may come out flipped.
        uses: for a function of one input used twice: the same with the two uses apart.
        wrong: special mistakes: (kind, input, backward(g, *inputs) -> that input's gradient).
        tied: whether the inputs lie on ties.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Array, ...]
    images: tuple[int, ...] = ()
    stretched: tuple[tuple[int, tuple[int, ...]], ...] = ()
    filters: tuple[int, ...] = ()
    uses: Callable[..., Any] | None = None
    wrong: tuple[tuple[str, int, Callable[..., Any]], ...] = ()
    tied: bool = False

    def forward(self, *arrays: Array) -> Array:
        """The function, of plain arrays."""
        return forward(self.function, arrays)

    def backward(self, g: Array, *arrays: Array) -> tuple[Array, ...]:
        """Its gradients by tinycnn's engine: right, as long as tinycnn is."""
        return backward(self.function, g, arrays)


def forward(function: Callable[..., Any], arrays: tuple[Array, ...]) -> Array:
    """A function of Tensors, of plain arrays; complex ones too."""
    with kernels.use("reference"), complex_too(), no_grad():
        return np.asarray(function(*(Tensor(a) for a in arrays)).array)


def backward(
    function: Callable[..., Any], g: Array, arrays: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Its gradients by the engine."""
    with kernels.use("reference"):
        leaves = [Tensor(np.array(a), requires_grad=True) for a in arrays]
        found = tc.grad(function(*leaves), leaves, Tensor(np.array(g)))
    return tuple(np.array(f.array) for f in found)


_rng = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    """Anything."""
    return _rng.standard_normal(shape)


def positive(*shape: int) -> Array:
    """Between about 0.1 and 10."""
    return np.exp(normal(*shape))


def spaced(*shape: int) -> Array:
    """No two values, and no value and 0, nearer than 1/20."""
    n = int(np.prod(shape))
    return ((_rng.permutation(n) - n // 2 + 0.5) / 10).reshape(shape)


def chances(*shape: int) -> Array:
    """Between 0.1 and 0.9."""
    return _rng.uniform(0.1, 0.9, shape)


def one(name: str, function: Callable[..., Any], x: Array, **more: Any) -> Operation:
    """A function of one array."""
    return Operation(name, function, (x,), **more)


def pairs(name: str, function: Callable[..., Any], make: Callable[..., Array]) -> list[Operation]:
    """A function of two arrays, of the same shape and with one stretched."""
    return [
        Operation(name, function, (make(3, 4), make(3, 4) + 1 / 80)),
        Operation(f"{name}, broadcast", function, (make(3, 4), make(4) + 1 / 80),
                  stretched=((1, (0,)),)),
    ]  # fmt: skip


MASK = _rng.random((3, 4)) < 0.5
LABELS = np.array([1, 0, 3])
INDEX = np.array([[0, 2, 2], [3, 1, 1], [0, 0, 3]])
BORDER = (1, 1, 1, 1)
SAME = Geometry((1, 1), BORDER, (1, 1), 1)
CHANNELWISE = ((1, (0, 2, 3)), (2, (0, 2, 3)))


def convolution(name: str, shape: Any, weight: Any, groups: int = 1, **settings: Any) -> Operation:
    """conv2d, with the mistakes that are its own."""

    def function(x: Any, w: Any, b: Any) -> Any:
        return ops.conv2d(x, w, b, groups=groups, **settings)

    def not_flipped(g: Array, x: Array, w: Array, b: Array) -> Array:
        return backward(function, g, (x, w[:, :, ::-1, ::-1], b))[0]

    inputs = normal(*shape), normal(*weight), normal(weight[0])
    return Operation(
        name, function, inputs, images=(0,), stretched=((1, (0,)), (2, (0, 2, 3))), filters=(1,),
        wrong=(("kernel not flipped", 0, not_flipped),),
    )  # fmt: skip


def product(name: str, x: Array, y: Array) -> Operation:
    """A matrix product of square matrices, where a transposition goes unnoticed."""
    return Operation(
        name, ops.matmul, (x, y),
        wrong=(
            ("matrix not transposed", 0, lambda g, x, y: g @ y),
            ("matrix not transposed", 1, lambda g, x, y: x @ g),
        ),
    )  # fmt: skip


def batch_norm(training: bool) -> Callable[..., Any]:
    """With running statistics that do not change from call to call."""

    def function(x: Any, weight: Any, bias: Any) -> Any:
        mean = Tensor(np.array([0.1, -0.2, 0.3]).astype(x.dtype))
        variance = Tensor(np.array([1.5, 0.7, 2.0]).astype(x.dtype))
        return ops.batch_norm(x, mean, variance, weight, bias, training=training)

    return function


def each_maximum(g: Array, x: Array) -> Array:
    """Along the last axis: the whole cotangent to every one of the tied maxima."""
    return np.where(x == x.max(-1, keepdims=True), g[..., None], 0)


def each_pooled(g: Array, x: Array) -> Array:
    """The same in windows of 2 × 2."""
    n, c, h, w = x.shape
    windows = x.reshape(n, c, h // 2, 2, w // 2, 2)
    tied = windows == windows.max((3, 5), keepdims=True)
    return np.where(tied, g[:, :, :, None, :, None], 0).reshape(x.shape)


def few_values(*shape: int) -> Array:
    """0, 1 or 2, so that maxima tie."""
    return _rng.integers(0, 3, shape).astype(float)


def residual(x: Any, again: Any) -> Any:
    """x + f(x), its two uses apart."""
    return x + ops.conv2d(again, Tensor(FILTERS.astype(again.dtype)), padding=1)


def branches(x: Any, again: Any) -> Any:
    """Two functions of x side by side, their uses apart."""
    return ops.cat([ops.tanh(x), ops.sigmoid(again) * 3], 1)


FILTERS = normal(2, 2, 3, 3)
ELEMENTWISE = [
    one("neg", ops.neg, normal(3, 4)),
    one("exp", ops.exp, normal(3, 4)),
    one("expm1", ops.expm1, normal(3, 4)),
    one("log", ops.log, positive(3, 4)),
    one("log1p", ops.log1p, positive(3, 4)),
    one("sqrt", ops.sqrt, positive(3, 4)),
    one("abs", ops.abs, spaced(3, 4)),
    one("clamp", lambda x: ops.clamp(x, -0.33, 0.42), spaced(3, 4)),
    one("clone", ops.clone, normal(3, 4)),
    one("sigmoid", ops.sigmoid, normal(3, 4)),
    one("tanh", ops.tanh, normal(3, 4)),
    one("relu", ops.relu, spaced(3, 4)),
    one("leaky_relu", ops.leaky_relu, spaced(3, 4)),
    one("elu", ops.elu, spaced(3, 4)),
    one("softplus", ops.softplus, normal(3, 4)),
]
PAIRS = [
    *pairs("add", ops.add, normal),
    *pairs("sub", ops.sub, normal),
    *pairs("mul", ops.mul, normal),
    *pairs("div", ops.div, positive),
    *pairs("pow", ops.pow, positive),
    *pairs("maximum", ops.maximum, spaced),
    *pairs("minimum", ops.minimum, spaced),
    Operation("where", lambda x, y: ops.where(MASK, x, y), (normal(3, 4), normal(3, 4))),
]
MATRICES = [
    product("matmul", normal(4, 4), normal(4, 4)),
    product("matmul, batches", normal(2, 3, 3), normal(2, 3, 3)),
    Operation(
        "linear",
        ops.linear,
        (normal(4, 3), normal(3, 3), normal(3)),
        stretched=((1, (0,)), (2, (0,))),
        wrong=(("matrix not transposed", 0, lambda g, x, w, b: g @ w.T),),
    ),
]  # fmt: skip
IMAGES = [
    convolution("conv2d", (2, 3, 5, 5), (2, 3, 3, 3), padding=1),
    convolution("conv2d, no padding", (2, 2, 5, 6), (3, 2, 3, 3)),
    convolution("conv2d, stride 2", (2, 2, 6, 6), (2, 2, 3, 3), stride=2, padding=1),
    convolution("conv2d, dilated", (2, 2, 6, 6), (2, 2, 2, 2), dilation=2),
    convolution("conv2d, groups", (2, 4, 4, 4), (4, 2, 3, 3), groups=2, padding=1),
    Operation(
        "conv2d_input_grad",
        lambda g, w: conv2d_input_grad(g, w, (2, 2, 5, 5), SAME),
        (normal(2, 3, 5, 5), normal(3, 2, 3, 3)), images=(0,), stretched=((1, (0,)),), filters=(1,),
    ),
    Operation("batch_norm, training", batch_norm(True),
              (normal(2, 3, 4, 3), normal(3), normal(3)), images=(0,), stretched=CHANNELWISE),
    Operation("batch_norm, evaluation", batch_norm(False),
              (normal(2, 3, 4, 3), normal(3), normal(3)), images=(0,), stretched=CHANNELWISE),
    one("pad", lambda x: ops.pad(x, BORDER, value=0.3), normal(2, 2, 3, 3), images=(0,)),
    one("max_pool2d", lambda x: ops.max_pool2d(x, 2), spaced(2, 2, 4, 6), images=(0,)),
    one("max_pool2d, overlapping", lambda x: ops.max_pool2d(x, 3, 2, 1), spaced(2, 2, 5, 5),
        images=(0,)),
    one("avg_pool2d", lambda x: ops.avg_pool2d(x, 2), normal(2, 2, 4, 6), images=(0,)),
    one("avg_pool2d, padded", lambda x: ops.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        normal(2, 2, 5, 5), images=(0,)),
    one("adaptive_avg_pool2d", lambda x: ops.adaptive_avg_pool2d(x, (2, 3)), normal(2, 2, 5, 5),
        images=(0,)),
    one("adaptive_max_pool2d", lambda x: ops.adaptive_max_pool2d(x, (2, 3)), spaced(2, 2, 5, 5),
        images=(0,)),
    one("global_avg_pool2d", ops.global_avg_pool2d, normal(2, 3, 3, 3), images=(0,)),
]  # fmt: skip
REDUCTIONS = [
    one("softmax", lambda x: ops.softmax(x, 1), normal(3, 4)),
    one("log_softmax", lambda x: ops.log_softmax(x, 1), normal(3, 4)),
    one("logsumexp", lambda x: ops.logsumexp(x, 1), normal(3, 4)),
    one("maxout", lambda x: ops.maxout(x, 2), spaced(3, 4, 2, 2)),
    one("sum", lambda x: ops.sum(x, 1), normal(3, 4, 2)),
    one("mean", lambda x: ops.mean(x, (0, 2)), normal(3, 4, 2)),
    one("amax", lambda x: ops.amax(x, 1), spaced(3, 4)),
    one("amin", lambda x: ops.amin(x, 0), spaced(3, 4)),
    one("prod", lambda x: ops.prod(x, 1), normal(3, 4)),
    one("var", lambda x: ops.var(x, 1), normal(3, 4)),
    one("std", lambda x: ops.std(x, 0), normal(3, 4)),
    Operation("mse_loss", ops.mse_loss, (normal(3, 4), normal(3, 4))),
    one("cross_entropy", lambda x: ops.cross_entropy(x, tc.tensor(LABELS)), normal(3, 4)),
    Operation("binary_cross_entropy", ops.binary_cross_entropy, (chances(3, 4), chances(3, 4))),
    Operation("binary_cross_entropy_with_logits", ops.binary_cross_entropy_with_logits,
              (normal(3, 4), chances(3, 4))),
]  # fmt: skip
SHAPES = [
    one("reshape", lambda x: ops.reshape(x, (2, 6)), normal(3, 4)),
    one("permute", lambda x: ops.permute(x, (2, 0, 1)), normal(2, 3, 4)),
    one("transpose", lambda x: ops.transpose(x, 0, 1), normal(4, 4)),
    one("flip", lambda x: ops.flip(x, 1), normal(3, 4)),
    one("broadcast_to", lambda x: ops.broadcast_to(x, (3, 4)), normal(4), stretched=((0, (0,)),)),
    one("gather", lambda x: ops.gather(x, 1, tc.tensor(INDEX)), normal(3, 4)),
    one("getitem", lambda x: x[:, ::2], normal(3, 5)),
    Operation("cat", lambda x, y: ops.cat([x, y], 1), (normal(3, 4), normal(3, 3))),
    Operation("stack", lambda x, y: ops.stack([x, y], 1), (normal(3, 4), normal(3, 4))),
]
TWICE = [
    one("swish", lambda x: x * ops.sigmoid(x), normal(3, 4), uses=lambda x, y: x * ops.sigmoid(y)),
    one("square of a matrix", lambda x: x @ x, normal(4, 4), uses=lambda x, y: x @ y),
    one("Gram matrix", lambda x: x @ ops.transpose(x, 0, 1), normal(3, 4),
        uses=lambda x, y: x @ ops.transpose(y, 0, 1)),
    one("residual convolution", lambda x: residual(x, x), normal(2, 2, 4, 4), uses=residual),
    one("two branches", lambda x: branches(x, x), normal(3, 4), uses=branches),
]  # fmt: skip
TIED = [
    one("amax, ties", lambda x: ops.amax(x, 1), few_values(4, 6), tied=True,
        wrong=(("whole cotangent to each tie", 0, each_maximum),)),
    one("max_pool2d, ties", lambda x: ops.max_pool2d(x, 2), few_values(2, 2, 4, 4),
        tied=True, wrong=(("whole cotangent to each tie", 0, each_pooled),)),
]  # fmt: skip

OPERATIONS = [
    *ELEMENTWISE, *PAIRS, *MATRICES, *IMAGES, *REDUCTIONS, *SHAPES, *TWICE, *TIED,
]  # fmt: skip
