"""Batch normalisation: statistics, the affine map and their gradient."""

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.launch import blocks_for, contiguous, empty, launch, slices_of, suits
from tinycnn.kernels.types import Array


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance of each channel, (C,) each, over images and positions."""
    if not suits(x):
        return reference.moments(x)
    mean, variance, *_ = statistics(contiguous(x), None, 0.0)
    return mean, variance


def statistics(x: Array, weight: Array | None, eps: float) -> tuple[Array, Array, Array, Array]:
    """The moments; and where there is a weight, inv_std = 1 / √(variance + ε) and inv_std · weight;
    (C,) each, all arrays contiguous and of one dtype."""
    n, c, h, w = x.shape
    count = n * h * w
    slice_, slices = slices_of(count)
    partial = empty(x, (slices, 2, c), "float64")
    launch("moments_of_slices", (x.dtype,), c * slices, x, partial, n, c, h * w, slice_, slices)
    mean, variance, inv_std, scale = (empty(x, (c,)) for _ in range(4))
    given = partial, weight, mean, variance, inv_std, scale, eps
    launch("moments", (x.dtype,), blocks_for(c), *given, c, count, slice_, slices)
    return mean, variance, inv_std, scale


def batch_norm(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """(x − mean) · inv_std · weight + bias, channel by channel."""
    vectors = mean, inv_std, weight, bias
    if not suits(x, *vectors) or not _fit(x, *vectors):
        return reference.batch_norm(x, *vectors)
    x, y = contiguous(x), empty(x, x.shape)
    numbers = x.size, x.shape[1], x.shape[2] * x.shape[3]
    given = x, *map(contiguous, vectors), y
    launch("batch_norm", (x.dtype,), blocks_for(x.size), *given, *numbers)
    return y


def batch_norm_grad(
    g: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """The cotangents of x, weight and bias, where mean and inv_std are those of x itself."""
    vectors = mean, inv_std, weight
    if not suits(g, x, *vectors) or g.shape != x.shape or not _fit(x, *vectors):
        return reference.batch_norm_grad(g, x, *vectors)
    g, x, mean, inv_std, weight = map(contiguous, (g, x, *vectors))
    n, c, h, w = x.shape
    count, positions = n * h * w, h * w
    slice_, slices = slices_of(count)
    partial, sums = empty(x, (slices, 2, c)), empty(x, (2, c))
    given, numbers = (g, x, mean, inv_std), (n, c, positions, slice_, slices)
    launch("batch_norm_vector_grads", (x.dtype,), c * slices, *given, partial, *numbers)
    launch("sum_slices", (x.dtype,), blocks_for(2 * c), partial, sums, 2 * c, slices)
    dx = empty(x, x.shape)
    made = weight, sums, dx, x.size, count, c, positions
    launch("batch_norm_input_grad", (x.dtype,), blocks_for(x.size), *given, *made)
    return dx, sums[1], sums[0]


def _fit(x: Array, *vectors: Array) -> bool:
    """Whether there is one number a channel, as the kernels read them."""
    return all(v.shape == x.shape[1:2] for v in vectors)
