"""Watching the gradient pass through a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinycnn.function import Value, differentiable
from tinycnn.tensor import Tensor

if TYPE_CHECKING:
    from tinycnn.nn.module import Module


@differentiable
def gate(x: Value) -> Value:
    """x itself, as a node of its own for a hook to sit on."""
    return x


@gate.derivative("x")
def _(g: Value) -> Value:
    return g


def watch_backward(module: Module, x: Tensor, hooks: list[Callable[..., Any]]) -> Tensor:
    """Run the module between two gates. The one behind it keeps the output's gradient; the one
    before it has the input's, and calls the hooks with both.
    """
    passed: list[Tensor] = []

    def call(grad_input: Tensor | None, grad_output: Tensor) -> Tensor | None:
        for hook in hooks:
            replaced = hook(module, (grad_input,), (grad_output,))
            # without a gradient for the input there is none to replace
            if replaced is not None and grad_input is not None:
                grad_input = replaced[0] if isinstance(replaced, tuple) else replaced
        return grad_input

    x = gate(x)
    if x.requires_grad:
        x.register_hook(lambda g: call(g, passed.pop()))
    y = gate(module.forward(x))
    if x.requires_grad:
        y.register_hook(passed.append)
    elif y.requires_grad:  # the first layer: nothing goes back beyond its parameters
        y.register_hook(lambda g: call(None, g))
    return y
