"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable

from tinycnn import kernels
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array
from tinycnn.nn.parameter import Parameter
from tinycnn.optim.optimizer import Optimizer


class SGD(Optimizer):
    """p ← p − lr · v, the velocity v being the gradient, or with momentum μ its running sum

        v ← μ·v + (1 − dampening)·g,    v = g in the first step.

    Nesterov's variant takes g + μ·v in v's place. Weight decay adds weight_decay · p to g.
    Sutskever et al. (2013), in PyTorch's form.

    >>> import tinycnn as tc
    >>> w = tc.nn.Parameter(tc.tensor([1.0]))
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.800000011920929]
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr)
        if momentum < 0 or weight_decay < 0:
            raise ValueError("SGD: momentum and weight_decay are at least 0")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: Nesterov's momentum needs momentum > 0 and no dampening")
        self.momentum, self.dampening = momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov

    def update(self, p: Array, g: Array, state: dict[str, Array]) -> None:
        """One step of one parameter."""
        velocity, share = None, 1 - self.dampening
        if self.momentum:
            velocity = state.get("velocity")
            if velocity is None:
                velocity, share = state.setdefault("velocity", namespace(p).zeros_like(p)), 1.0
        settings = self.lr, self.momentum, share, self.weight_decay, self.nesterov
        kernels.of(p).sgd_step(p, g, velocity, *settings)
