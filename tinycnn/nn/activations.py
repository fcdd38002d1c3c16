"""Activations as layers; each is the operation of the same name."""

from __future__ import annotations

from tinycnn import ops
from tinycnn.nn.module import Module
from tinycnn.tensor import Tensor


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x for x > 0, negative_slope · x else."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x for x > 0, α(eˣ − 1) else."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """α."""
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.sigmoid(x)


class Tanh(Module):
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.tanh(x)


class Softplus(Module):
    """log(1 + e^βx) / β."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.softplus(x, self.beta)

    def extra_repr(self) -> str:
        """β."""
        return f"beta={self.beta}"


class Maxout(Module):
    """The largest of each group of `pieces` neighbouring channels."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(N, C/pieces, …)."""
        return ops.maxout(x, self.pieces)

    def extra_repr(self) -> str:
        """The size of a group."""
        return f"pieces={self.pieces}"


class Softmax(Module):
    """eˣ / Σ eˣ along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x − log Σ eˣ along an axis."""

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.log_softmax(x, self.dim)
