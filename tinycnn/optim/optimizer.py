"""What every optimiser has: parameters, a learning rate, and a state to save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinycnn.device import to_device
from tinycnn.kernels.types import Array
from tinycnn.nn.parameter import Parameter
from tinycnn.tensor import Tensor


class Optimizer:
    """Changes parameters by their gradients.

    Attributes:
        lr: the learning rate; a schedule changes it.
        parameters: those that are learned, in their order.
        state: for each parameter the arrays that are remembered from step to step, by name.
    """

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        self.parameters = list(params)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: no parameters")
        if not lr >= 0:
            raise ValueError(f"{type(self).__name__}: a learning rate of {lr}")
        self.lr = lr
        self.state: list[dict[str, Array]] = [{} for _ in self.parameters]

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.requires_grad and parameter.grad is not None:
                self.update(parameter.array, parameter.grad.array, state)
                parameter.changes[0] += 1

    def update(self, p: Array, g: Array, state: dict[str, Array]) -> None:
        """Change the values `p` in place by the gradient `g`; each optimiser says how."""
        raise TypeError(f"{type(self).__name__} does not define update()")

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """What is remembered, by `number of the parameter.name`."""
        return {
            f"{i}.{name}": array
            for i, state in enumerate(self.state)
            for name, array in state.items()
        }

    def load_state_dict(self, saved: Mapping[str, Array | Tensor]) -> None:
        """Take over what another optimiser of the same parameters remembered.

        Raises:
            ValueError: a name, shape or dtype that does not fit the parameters.
        """
        state: list[dict[str, Any]] = [{} for _ in self.parameters]
        for key, value in saved.items():
            number, _, name = key.partition(".")
            if not number.isdigit() or int(number) >= len(state):
                raise ValueError(f"{type(self).__name__}: {key!r} belongs to no parameter")
            array = np.array(to_device(value.array if isinstance(value, Tensor) else value, "cpu"))
            own = self.parameters[int(number)]
            counts_steps = array.ndim == 0 and array.dtype.kind == "i"
            if not counts_steps and (array.shape, array.dtype) != (own.shape, own.dtype):
                raise ValueError(
                    f"{type(self).__name__}: {key!r} is {array.dtype} of shape {array.shape}, "
                    f"the parameter {own.dtype} of shape {own.shape}"
                )
            state[int(number)][name] = array if counts_steps else to_device(array, own.device)
        self.state = state
