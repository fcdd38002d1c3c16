"""Adam: a step for each parameter in proportion to its gradient's mean over its size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array
from tinycnn.nn.parameter import Parameter
from tinycnn.optim.optimizer import Optimizer


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + ε), with running means m of g and v of g², and m̂, v̂ these
    corrected for their start at 0. Kingma & Ba (2015), algorithm 1. Weight decay adds
    weight_decay · p to g.
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam: betas {betas} must lie in [0, 1)")
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def update(self, p: Array, g: Array, state: dict[str, Array]) -> None:
        """One step of one parameter."""
        xp = namespace(p)
        if not state:
            state.update(
                step=np.zeros((), np.int64), mean=xp.zeros_like(p), square=xp.zeros_like(p)
            )
        if self.weight_decay:
            g = g + self.weight_decay * p
        state["step"] += 1
        m, v, t = state["mean"], state["square"], int(state["step"])
        beta1, beta2 = self.betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        p -= self.lr / (1 - beta1**t) * m / (xp.sqrt(v / (1 - beta2**t)) + self.eps)
