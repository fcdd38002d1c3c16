"""The definition of every kernel: short, obviously right, for any array library and any dtype.

Complex arrays pass too (comparisons look at the real part), so that a derivative can be checked
by a complex step. A backend that is made fast holds the same names and signatures and is tested
against these.

Shapes: images are (N, C, H, W), convolution weights (O, C / groups, kh, kw).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array, Geometry, Padding, Pair, Shape

# ---- activations ---------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ). The exponential is only taken of −|x|, so nothing overflows.

    float32 is computed in float64 and rounded once, for the derivative's sake: it is a product of
    two sigmoids, and float32's exponential alone may be off by 2.5 units in the last place.
    """
    xp = namespace(x)
    wide = x.astype(xp.float64) if x.dtype == xp.float32 else x
    right = wide.real >= 0
    e = xp.exp(xp.where(right, -wide, wide))
    return (xp.where(right, xp.ones_like(e), e) / (1 + e)).astype(x.dtype)


def softplus(x: Array) -> Array:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)."""
    xp = namespace(x)
    right = x.real >= 0
    return xp.where(right, x, 0) + xp.log1p(xp.exp(xp.where(right, -x, x)))


def relu(x: Array) -> Array:
    """max(x, 0)."""
    xp = namespace(x)
    # `x ≤ 0` rather than `x > 0`, so that NaN is passed on
    return xp.where(x.real <= 0, xp.zeros_like(x), x)


def matmul(x: Array, y: Array) -> Array:
    """Products of matrices (…, n, k) and (…, k, m)."""
    # of two matrices NumPy's dot is quicker than its matmul, the more so where they are small
    return x.dot(y) if x.ndim == y.ndim == 2 else x @ y


def add_relu(x: Array, y: Array) -> Array:
    """relu(x + y)."""
    return relu(x + y)


def relu_grad(g: Array, x: Array) -> Array:
    """`g`, but 0 where x ≤ 0."""
    xp = namespace(g)
    return xp.where(x.real <= 0, xp.zeros_like(g), g)


def elu(x: Array, alpha: float) -> Array:
    """x for x > 0, α(eˣ − 1) else."""
    xp = namespace(x)
    right = x.real > 0
    return xp.where(right, x, alpha * xp.expm1(xp.where(right, xp.zeros_like(x), x)))


def elu_grad(g: Array, x: Array, alpha: float) -> Array:
    """`g`, but g · α·eˣ where x ≤ 0: not g · (y + α), as y may have rounded to −α."""
    xp = namespace(g)
    right = x.real > 0
    return xp.where(right, g, g * (alpha * xp.exp(xp.where(right, xp.zeros_like(x), x))))


def log_softmax(x: Array, dim: int) -> Array:
    """x − log Σ eˣ along an axis.

    The largest term of the sum is exactly 1 once it is subtracted; it is left to log1p, so that
    the logarithm of a probability near 1 keeps its digits.
    """
    xp = namespace(x)
    top = xp.expand_dims(xp.argmax(x.real, dim), dim)
    shifted = x - xp.take_along_axis(x, top, dim)
    e = xp.exp(shifted)
    xp.put_along_axis(e, top, 0, dim)
    return shifted - xp.log1p(e.sum(dim, keepdims=True))


def are_classes(target: Array, classes: int) -> bool:
    """Whether all of the integers are numbers of classes, counted from 0."""
    return target.size == 0 or bool(0 <= target.min() <= target.max() < classes)


# ---- convolution ---------------------------------------------------------------------------


def pad(x: Array, padding: Padding, value: float = 0.0) -> Array:
    """A border of a constant around the last two axes."""
    top, bottom, left, right = padding
    if not any(padding):
        return x
    *lead, h, w = x.shape
    out = namespace(x).full((*lead, h + top + bottom, w + left + right), value, x.dtype)
    out[..., top : top + h, left : left + w] = x
    return out


def taps(
    x: Array, kernel: Pair, stride: Pair, dilation: Pair, size: Pair
) -> Iterator[tuple[int, int, Array]]:
    """For each kernel element (i, j): the view of `x` that it meets, `size` positions of it."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + stride[0] * (size[0] - 1) + 1, stride[0])
            columns = slice(left, left + stride[1] * (size[1] - 1) + 1, stride[1])
            yield i, j, x[:, :, rows, columns]


def output_size(shape: Shape, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """⌊(H + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, for height and width."""
    top, bottom, left, right = padding
    height = (shape[2] + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    width = (shape[3] + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return height, width


def conv2d(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """y[n, o] = b[o] + Σ of w[o, c, i, j] · x[n, c, shifted by i, j] over c, i and j."""
    stride, padding, dilation, groups = geometry
    n, c = x.shape[:2]
    o, kernel = weight.shape[0], weight.shape[2:]
    size = output_size(x.shape, kernel, stride, padding, dilation)
    by_group = weight.reshape(groups, o // groups, c // groups, *kernel)
    y: Any = 0
    for i, j, view in taps(pad(x, padding), kernel, stride, dilation, size):
        y = y + by_group[..., i, j] @ view.reshape(n, groups, c // groups, size[0] * size[1])
    y = y.reshape(n, o, *size)
    return y if bias is None else y + bias[:, None, None]


def conv2d_input_grad(g: Array, weight: Array, x_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in x: each output position gives back to the inputs it has met."""
    stride, padding, dilation, groups = geometry
    n, c, h, w = x_shape
    top, bottom, left, right = padding
    o, kernel, size = weight.shape[0], weight.shape[2:], g.shape[2:]
    xp = namespace(g)
    dtype = xp.result_type(g, weight)
    dx = xp.zeros((n, c, h + top + bottom, w + left + right), dtype)
    by_group = weight.reshape(groups, o // groups, c // groups, *kernel).swapaxes(1, 2)
    g = g.reshape(n, groups, o // groups, size[0] * size[1])
    for i, j, view in taps(dx, kernel, stride, dilation, size):
        view += (by_group[..., i, j] @ g).reshape(view.shape)
    return dx[:, :, top : top + h, left : left + w]


def conv2d_weight_grad(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `conv2d` in the weight: the correlation of input and cotangent."""
    stride, padding, dilation, groups = geometry
    n, c = x.shape[:2]
    o, kernel, size = weight_shape[0], (weight_shape[2], weight_shape[3]), g.shape[2:]
    xp = namespace(g)
    dw = xp.zeros((groups, o // groups, c // groups, *kernel), xp.result_type(g, x))
    g = g.reshape(n, groups, o // groups, size[0] * size[1])
    for i, j, view in taps(pad(x, padding), kernel, stride, dilation, size):
        view = view.reshape(n, groups, c // groups, size[0] * size[1])
        dw[..., i, j] = (g @ view.swapaxes(-1, -2)).sum(0)
    return dw.reshape(weight_shape)


# ---- pooling -------------------------------------------------------------------------------


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Array, Array]:
    """The maximum of each window, and the number i·kw + j of the kernel element that met it.

    The first maximum in row-major order wins a tie; NaN wins against every number.
    """
    xp = namespace(x)
    size = output_size(x.shape, kernel, stride, padding, dilation)
    windows = taps(pad(x, padding, -xp.inf), kernel, stride, dilation, size)
    _, _, first = next(windows)
    y = first.copy()
    index = xp.zeros(y.shape, getattr(xp, index_type(kernel)))
    for i, j, view in windows:
        wins = (view.real > y.real) | (xp.isnan(view) & ~xp.isnan(y))
        y = xp.where(wins, view, y)
        index = xp.where(wins, xp.asarray(i * kernel[1] + j, dtype=index.dtype), index)
    return y, index


def index_type(kernel: Pair) -> str:
    """The name of the type that the number of a kernel's element fits into."""
    return "uint8" if kernel[0] * kernel[1] <= 256 else "int32"


def max_pool2d_scatter(
    g: Array,
    index: Array,
    x_shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> Array:
    """Each cotangent to the input element that was the maximum."""
    xp = namespace(g)
    n, c, h, w = x_shape
    top, bottom, left, right = padding
    dx = xp.zeros((n, c, h + top + bottom, w + left + right), g.dtype)
    for i, j, view in taps(dx, kernel, stride, dilation, g.shape[2:]):
        view += xp.where(index == i * kernel[1] + j, g, 0)
    return dx[:, :, top : top + h, left : left + w]


def max_pool2d_gather(
    x: Array, index: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """From each window of `x` the element that `index` names: the adjoint of the scatter."""
    xp = namespace(x)
    y = xp.zeros(index.shape, x.dtype)
    for i, j, view in taps(pad(x, padding), kernel, stride, dilation, index.shape[2:]):
        y = xp.where(index == i * kernel[1] + j, view, y)
    return y


def sum_pool2d(x: Array, kernel: Pair, stride: Pair, padding: Padding) -> Array:
    """The sum of each window; the padding counts as zeros."""
    size = output_size(x.shape, kernel, stride, padding, (1, 1))
    y: Any = 0
    for _, _, view in taps(pad(x, padding), kernel, stride, (1, 1), size):
        y = y + view
    return y


def sum_pool2d_input_grad(
    g: Array, x_shape: Shape, kernel: Pair, stride: Pair, padding: Padding
) -> Array:
    """The adjoint of `sum_pool2d`: each cotangent to every element of its window."""
    n, c, h, w = x_shape
    top, bottom, left, right = padding
    dx = namespace(g).zeros((n, c, h + top + bottom, w + left + right), g.dtype)
    for _, _, view in taps(dx, kernel, stride, (1, 1), g.shape[2:]):
        view += g
    return dx[:, :, top : top + h, left : left + w]


# ---- batch normalisation -------------------------------------------------------------------


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel, (C,) each, over images and positions."""
    mean = x.mean((0, 2, 3))
    mean += (x - mean[:, None, None]).mean((0, 2, 3))  # what rounding left of it
    return mean, ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))


def batch_norm(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """(x − mean) · inv_std · weight + bias, channel by channel."""
    scale = inv_std * weight
    return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]


def batch_norm_grad(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """The cotangents of x, weight and bias, where mean and inv_std are those of x itself.

    Ioffe & Szegedy (2015), section 3, with the two sums that they all need taken once.
    """
    count = x.shape[0] * x.shape[2] * x.shape[3]
    x_hat = (x - mean[:, None, None]) * inv_std[:, None, None]
    d_bias = g.sum((0, 2, 3))
    d_weight = (g * x_hat).sum((0, 2, 3))
    centred = g - (d_bias / count)[:, None, None] - x_hat * (d_weight / count)[:, None, None]
    return centred * (inv_std * weight)[:, None, None], d_weight, d_bias


# ---- dropout -------------------------------------------------------------------------------


def dropout_mask(key: int, shape: Shape, p: float, like: Array) -> Array:
    """Which elements to keep, each with probability 1 − p: bool, where `like` lies.

    NumPy's Philox: its n-th number is a function of the key and n alone, so that the threads of a
    GPU can find the same ones, each for itself. Salmon, Moraes, Dror & Shaw (2011).
    """
    as_it_is: Any = _Key(key)
    chance = np.random.Generator(np.random.Philox(as_it_is)).random(shape, np.float32)
    return namespace(like).asarray(chance >= p)


class _Key(ISeedSequence):
    """Hands a key to Philox as it is: `Philox(key=...)`, with the same result, first looks for
    chance in the system, which takes five times as long."""

    def __init__(self, key: int) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Array:
        """The key as two words of 64 bits, the lower one first."""
        return np.array([self.key & 0xFFFF_FFFF_FFFF_FFFF, self.key >> 64], np.uint64)


# ---- optimisation --------------------------------------------------------------------------


def sgd_step(
    p: Array,
    g: Array,
    velocity: Array | None,
    lr: float | Array,
    momentum: float,
    share: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """v ← momentum · v + share · (g + weight_decay · p), then p ← p − lr · v, both in place; for
    Nesterov's variant the gradient + momentum · v stands for v, and without a velocity the
    gradient alone.
    """
    g = g + weight_decay * p
    if velocity is not None:
        velocity *= momentum
        velocity += share * g
        g = g + momentum * velocity if nesterov else velocity
    p -= lr * g
