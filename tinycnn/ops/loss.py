"""Losses: one number for how wrong a network is."""

from __future__ import annotations

import numpy as np

from tinycnn import kernels
from tinycnn.function import Value, differentiable
from tinycnn.kernels.namespace import namespace
from tinycnn.ops.activation import log_softmax, sigmoid
from tinycnn.ops.arithmetic import alike, clamp, floating, log, log1p, maximum
from tinycnn.ops.reduction import gather, mean, sum
from tinycnn.tensor import Tensor


def _reduce(name: str, loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{name}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    return mean(loss) if reduction == "mean" else sum(loss)


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: input has shape {tuple(input.shape)}, target {tuple(target.shape)}"
        )


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The mean squared error, (input − target)²; both of one shape.

    `reduction`, here and below: 'mean', 'sum', or 'none' for an element each.
    """
    _same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce("mse_loss", difference * difference, reduction)


def binary_cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """−(t·log p + (1 − t)·log(1 − p)) for probabilities p and targets t, both in [0, 1] and of
    one shape. A logarithm counts as at least −100, as in PyTorch. Where a network ends in a
    sigmoid, `binary_cross_entropy_with_logits` is exact and this is not.
    """
    _same_shape("binary_cross_entropy", input, target)
    return _reduce(
        "binary_cross_entropy", bernoulli_surprise(input, target.to(input.dtype)), reduction
    )


@differentiable
def bernoulli_surprise(p: Value, t: Value) -> Value:
    """The operation under `binary_cross_entropy`."""
    with np.errstate(divide="ignore"):  # log 0 is expected here
        return -(t * clamp(log(p), -100) + (1 - t) * clamp(log1p(-p), -100))


@bernoulli_surprise.derivative("p")
def _(g: Value, p: Value, t: Value) -> Value:
    return g * (p - t) / maximum(p * (1 - p), 1e-12)


@bernoulli_surprise.derivative("t")
def _(g: Value, p: Value) -> Value:
    return g * (clamp(log1p(-p), -100) - clamp(log(p), -100))


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, reduction: str = "mean"
) -> Tensor:
    """The binary cross-entropy of the probability σ(input), for logits and targets of one shape:
    t·softplus(−z) + (1 − t)·softplus(z), which keeps its digits however sure the network is.

    >>> import tinycnn as tc
    >>> binary_cross_entropy_with_logits(tc.tensor([50.0]), tc.tensor([1.0])).item() > 0
    True
    """
    _same_shape("binary_cross_entropy_with_logits", input, target)
    loss = bernoulli_logit_surprise(input, target)
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


@differentiable
def bernoulli_logit_surprise(z: Value, t: Value) -> Value:
    """The operation under `binary_cross_entropy_with_logits`."""
    z, t = alike(floating(z), t)
    xp, right = namespace(z, t), z.real > 0
    size = xp.where(right, z, -z)
    return size * xp.where(right, 1 - t, t) + xp.log1p(xp.exp(-size))


@bernoulli_logit_surprise.derivative("z")
def _(g: Value, z: Value, t: Value) -> Value:
    # not σ(z) − t: where z is large and t is 1, that is 0
    return g * ((1 - t) * sigmoid(z) - t * sigmoid(-z))


@bernoulli_logit_surprise.derivative("t")
def _(g: Value, z: Value) -> Value:
    return -g * z


def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """−log softmax(input)[target].

    Args:
        input: logits (N, C) or (N, C, …), the classes along axis 1.
        target: integers (N,) or (N, …) from 0 to C − 1.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: the shapes do not fit, or a target is no class (on a GPU nobody looks).
    """
    expected = (input.shape[0], *input.shape[2:])
    if input.ndim < 2 or tuple(target.shape) != expected:
        raise ValueError(
            f"cross_entropy: input (N, C, …) has shape {tuple(input.shape)}, target "
            f"{tuple(target.shape)}, needs {expected}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: targets are class numbers, not {target.dtype}")
    if not kernels.of(input.array).are_classes(target.array, input.shape[1]):
        raise ValueError(f"cross_entropy: a target is none of the {input.shape[1]} classes")
    chosen = gather(log_softmax(input, 1), 1, target.unsqueeze(1)).squeeze(1)
    return _reduce("cross_entropy", -chosen, reduction)
