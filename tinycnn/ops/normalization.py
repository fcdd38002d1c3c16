"""Batch normalisation: every channel to mean 0 and variance 1 over the batch, then a learned
scale and shift. Ioffe & Szegedy (2015).
"""

from __future__ import annotations

from tinycnn import kernels
from tinycnn.device import disagreement
from tinycnn.function import Value, differentiable_as
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array
from tinycnn.ops.arithmetic import sqrt
from tinycnn.ops.reduction import mean, sum
from tinycnn.tensor import Tensor

OVER = (0, 2, 3)  # images, rows and columns: all but the channel


@differentiable_as("batch_norm", saves=("average", "inv_std"))
def normalize(
    x: Value, weight: Value, bias: Value, average: Value, variance: Value, eps: float
) -> Value:
    """The operation under `batch_norm` in training; `average` and `variance` are those of x."""
    inv_std = 1 / namespace(x).sqrt(variance + float(eps))
    return kernels.of(x).batch_norm(x, average, inv_std, weight, bias), average, inv_std


@normalize.derivative("x", "weight", "bias")
def _(g: Value, x: Value, weight: Value, average: Value, inv_std: Value, eps: float) -> Value:
    if not isinstance(x, Tensor):
        return kernels.of(g).batch_norm_grad(g, x, average, inv_std, weight)
    # The same in operations, to be differentiated again. Now the statistics are functions of x.
    count = x.shape[0] * x.shape[2] * x.shape[3]
    centred = x - mean(x, OVER, True)
    scale = 1 / sqrt(mean(centred * centred, OVER, True) + eps)
    x_hat = centred * scale
    d_bias, d_weight = sum(g, OVER, True), sum(g * x_hat, OVER, True)
    d_x = (g - d_bias / count - x_hat * d_weight / count) * scale * weight.reshape((1, -1, 1, 1))
    return d_x, d_weight.reshape(-1), d_bias.reshape(-1)


def follow(
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    average: Array,
    variance: Array,
    count: int,
) -> None:
    """Let the running statistics follow those of a batch of `count` values a channel."""
    unbiased = count / (count - 1)
    for running, batch, factor in ((running_mean, average, 1.0), (running_var, variance, unbiased)):
        array = running.array
        try:
            array *= 1 - momentum
            array += momentum * factor * batch
        except TypeError as error:
            raise TypeError(f"batch_norm: {disagreement((array, batch)) or error}") from error
        running.changes[0] += 1


def batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(variance + ε) · weight + bias, channel by channel.

    In training the statistics are the batch's, and the running ones follow them by
    r ← (1 − momentum)·r + momentum·batch (the running variance is the unbiased one, as in
    PyTorch). Else the running ones are used, and the operation is a fixed scale and shift.

    Args:
        x: images (N, C, H, W).
        running_mean: (C,), changed in training.
        running_var: (C,), changed in training.
        weight: (C,), the scale γ.
        bias: (C,), the shift β.
        training: which statistics to use.
        momentum: the weight of the newest batch in the running statistics.
        eps: keeps a constant channel from a division by 0.

    Raises:
        ValueError: the shapes do not fit, or one value a channel has no variance to train with.
    """
    if x.ndim != 4 or x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"batch_norm: input has shape {tuple(x.shape)}, needs (N, {weight.shape[0]}, H, W)"
        )
    for other in (running_mean, running_var, weight, bias):
        if other.shape != weight.shape:
            raise ValueError(
                f"batch_norm: a parameter has shape {tuple(other.shape)}, needs "
                f"({weight.shape[0]},)"
            )
        if other.dtype != x.dtype:
            raise TypeError(f"batch_norm: input is {x.dtype}, but a parameter {other.dtype}")
    if not training:
        scale = weight / sqrt(running_var + eps)
        shift = bias - running_mean * scale
        return x * scale.reshape((-1, 1, 1)) + shift.reshape((-1, 1, 1))
    count = x.shape[0] * x.shape[2] * x.shape[3]
    if count <= 1:
        raise ValueError("batch_norm: training needs more than one value a channel")
    average, variance = kernels.of(x.array).moments(x.array)
    follow(running_mean, running_var, momentum, average, variance, count)
    return normalize(x, weight, bias, average, variance, eps)
