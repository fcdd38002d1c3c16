"""A training step as one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn import kernels
from tinycnn.device import DeviceError
from tinycnn.kernels.namespace import namespace
from tinycnn.optim.optimizer import Optimizer
from tinycnn.optim.sgd import SGD
from tinycnn.tensor import Tensor


class CapturedStep:
    """A training step that a graphics card repeats as one CUDA graph.

    A small network's step is many short kernels, and to launch them one by one takes a computer
    longer than it takes the card to run them. Here the first step with inputs of some shapes is an
    ordinary one. The second records what it launches; it and all later ones are one launch, and a
    copy of each input. Chance and the optimiser's learning rate are new in each step.

        def step(images, target):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(images), target)
            loss.backward()
            optimizer.step()
            return loss.detach()

        fast_step = CapturedStep(step, optimizer)
        for images, target in batches:
            loss = fast_step(images, target)  # overwritten by the next step

    The Python of `step` runs in the first two steps alone. It begins with zero_grad(), and neither
    prints nor decides by what was computed. Later the arrays of model and optimiser may be written
    to, as load_state_dict() does with a model's, but not exchanged for others, as .to() and the
    optimiser's load_state_dict() do.

    Args:
        step: what is done with some tensors; it gives what shall be kept, as the loss.
        optimizer: whose parameters are on the card already.

    Raises:
        DeviceError: they are not.
        TypeError: an optimiser other than SGD, which counts its steps in the computer's memory.
        NotImplementedError: from the second step, a large product of matrices: CuPy does not let
            cuBLAS be recorded.

    >>> import tinycnn as tc
    >>> optimizer = tc.optim.SGD([tc.nn.Parameter(tc.zeros(1))])
    >>> CapturedStep(lambda x: x, optimizer)
    Traceback (most recent call last):
    ...
    tinycnn.device.DeviceError: CapturedStep: needs parameters on a graphics card, not on cpu
    """

    def __init__(self, step: Callable[..., Any], optimizer: Optimizer) -> None:
        if not isinstance(optimizer, SGD):
            name = type(optimizer).__name__
            raise TypeError(f"CapturedStep: {name} counts its steps on the host; only SGD does not")
        parameter = optimizer.parameters[0]
        if not hasattr(kernels.of(parameter.array), "Graph"):
            where = parameter.device
            raise DeviceError(f"CapturedStep: needs parameters on a graphics card, not on {where}")
        self.step, self.optimizer = step, optimizer
        self._like, self._lr = parameter.array, optimizer.lr
        self._rate = namespace(self._like).full((), self._lr, np.float64)
        self._recorded: dict[Any, tuple[tuple[Tensor, ...], Any] | None] = {}

    def __call__(self, *inputs: Tensor) -> Any:
        """One training step; gives what `step` gives."""
        kinds = tuple((x.shape, x.dtype, x.device) for x in inputs)
        if kinds not in self._recorded:
            self._recorded[kinds] = None
            return self.step(*inputs)
        own, graph = self._recorded[kinds] or self._record(inputs)
        self._recorded[kinds] = own, graph
        for mine, given in zip(own, inputs, strict=True):
            mine.array[...] = given.array
        if self.optimizer.lr != self._lr:
            self._lr = self.optimizer.lr
            self._rate.fill(self._lr)
        graph.launch()
        for parameter in self.optimizer.parameters:
            parameter.changes[0] += 1
        return graph.result

    def _record(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Any]:
        """Tensors for the inputs, and the graph of a step with them. Nothing is computed yet."""
        own = tuple(Tensor(x.array.copy()) for x in inputs)
        optimizer: Any = self.optimizer  # whose learning rate is for once an array, on the card
        optimizer.lr, lr = self._rate, optimizer.lr
        try:
            return own, kernels.of(self._like).Graph(lambda: self.step(*own), self._like.device)
        finally:
            optimizer.lr = lr
