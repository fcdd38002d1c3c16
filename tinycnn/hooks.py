"""Hooks: watching a gradient, or changing it, where it passes."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

from tinycnn.node import edge_of
from tinycnn.tensor import Hook, Tensor


class HookHandle:
    """Removes the hook it was given for."""

    _numbers = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks, self._number = hooks, next(self._numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self._hooks.pop(self._number, None)


def register_hook(self: Tensor, hook: Hook) -> HookHandle:
    """Call `hook` with the gradient of this tensor when it is complete; what it returns, if not
    None, takes the gradient's place.

    >>> import tinycnn as tc
    >>> x = tc.tensor(1.0, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> (x * 2).backward()
    >>> x.grad
    tensor(20.)
    """
    if not self.requires_grad:
        raise RuntimeError("register_hook: the tensor does not require a gradient")
    owner = edge_of(self)
    if owner.hooks is None:
        owner.hooks = {}
    return HookHandle(owner.hooks, hook)


def retain_grad(self: Tensor) -> None:
    """Keep in `.grad` the gradient of this tensor, though it is not a leaf."""
    if not self.requires_grad:
        raise RuntimeError("retain_grad: the tensor does not require a gradient")
    if self.node is not None:
        self.node.retained_by = weakref.ref(self)


Tensor.register_hook = register_hook
Tensor.retain_grad = retain_grad
