"""Losses as modules; each is the operation of a similar name."""

from __future__ import annotations

from collections.abc import Callable

from tinycnn import ops
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class Loss(Module):
    """A loss with its reduction: 'mean', 'sum' or 'none'."""

    operation: Callable[..., Tensor]

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a prediction."""
        return type(self).operation(input, target, self.reduction)


class MSELoss(Loss):
    """The mean squared error."""

    operation = ops.mse_loss


class BCELoss(Loss):
    """Binary cross-entropy of probabilities."""

    operation = ops.binary_cross_entropy


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of logits."""

    operation = ops.binary_cross_entropy_with_logits


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits (N, C, …) and class numbers (N, …)."""

    operation = ops.cross_entropy
