"""A layer around a shortcut."""

from __future__ import annotations

from tinycnn import ops
from tinycnn.nn.module import Module
from tinycnn.nn.structure import Identity
from tinycnn.tensor import Tensor


class Residual(Module):
    """body(x) + shortcut(x), the shortcut being x itself by default. He et al. (2016).

    The gradient of the sum reaches x unweakened along the shortcut, however deep the body.
    """

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut if shortcut is not None else Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return ops.add(*self._parts(x))

    def rectified(self, x: Tensor) -> Tensor:
        """relu(body(x) + shortcut(x)) in one pass; `Sequential` calls it for a ReLU behind."""
        return ops.add_relu(*self._parts(x))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.shortcut(x), self.body(x)
        if kept.shape != changed.shape:
            raise ValueError(
                f"Residual: the body gives {tuple(changed.shape)}, the shortcut "
                f"{tuple(kept.shape)}; they must be equal"
            )
        return changed, kept
