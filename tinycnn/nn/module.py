"""A part of a network: parameters, parts of its own, and what it does with an input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tinycnn.device import names_device
from tinycnn.hooks import HookHandle
from tinycnn.kernels.types import Array
from tinycnn.nn.backward_hook import watch_backward
from tinycnn.nn.parameter import Parameter
from tinycnn.out_of_memory import blame
from tinycnn.tensor import Tensor, tensor

Hooks = dict[int, Callable[..., Any]]


class Module:
    """The base of every layer and network. A subclass assigns parameters and modules as
    attributes in `__init__` and says in `forward` what it computes.

    >>> import tinycnn as tc
    >>> from tinycnn import nn
    >>> class Double(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(tc.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Double()(tc.tensor(3.0)).item(), list(Double().state_dict())
    (6.0, ['factor'])
    """

    training: bool

    if TYPE_CHECKING:  # what `__init__` and subclasses assign

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self) -> None:
        # not through __setattr__, which needs them
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_forward_hooks", {})
        object.__setattr__(self, "_forward_pre_hooks", {})
        object.__setattr__(self, "_backward_hooks", {})
        object.__setattr__(self, "training", True)

    # ---- registration ----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first")
        is_parameter, is_module = isinstance(value, Parameter), isinstance(value, Module)
        if name in self._buffers and isinstance(value, Tensor) and not is_parameter:
            self.register_buffer(name, value)
            return
        if name in self._parameters and isinstance(value, Tensor) and not is_parameter:
            raise TypeError(f"{type(self).__name__}: {name} is a Parameter; assign one")
        home = self._parameters if is_parameter else self._modules if is_module else None
        for registry in (self._parameters, self._modules, self._buffers):
            if registry is not home:  # where it stays, it keeps its place
                registry.pop(name, None)
        if home is not None:
            home[name] = value
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._modules, self._buffers):
            registry.pop(name, None)
        object.__delattr__(self, name)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """A tensor that belongs to the state but is not learned, as a running mean."""
        self._buffers[name] = tensor
        object.__setattr__(self, name, tensor)

    def add_module(self, name: str, module: Module) -> None:
        """A part by name."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: {module!r} is no Module")
        setattr(self, name, module)

    # ---- calling ---------------------------------------------------------------------------

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; each subclass says it."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`forward`, with the hooks around it."""
        try:
            if not (self._forward_pre_hooks or self._backward_hooks or self._forward_hooks):
                return self.forward(*inputs, **options)
            return self._watched(inputs, options)
        except MemoryError as error:
            blame(self, error)

    def _watched(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        for hook in list(self._forward_pre_hooks.values()):
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        if self._backward_hooks:
            if len(inputs) != 1 or options:
                raise TypeError(f"{type(self).__name__}: a full backward hook needs one input")
            output = watch_backward(self, inputs[0], list(self._backward_hooks.values()))
        else:
            output = self.forward(*inputs, **options)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, inputs)` before `forward`; what it returns replaces the inputs."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, inputs, output)` after `forward`; it may return another output."""
        return HookHandle(self._forward_hooks, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, (grad_input,), (grad_output,))` in the backward pass; what it returns
        replaces the input's gradient. For modules of one tensor in and one out.
        """
        return HookHandle(self._backward_hooks, hook)

    # ---- walking through ---------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The parts one level down."""
        yield from self._modules.items()

    def children(self) -> Iterator[Module]:
        """The parts one level down, without names."""
        yield from self._modules.values()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and every part below it, with dotted names."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and every part below it."""
        for _, module in self.named_modules():
            yield module

    def _named(self, registry: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, member in getattr(module, registry).items():
                if id(member) not in seen:  # one shared by two modules is told once
                    seen.add(id(member))
                    yield (f"{prefix}.{name}" if prefix else name), member

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter below, with its dotted name."""
        return self._named("_parameters")

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter below."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every buffer below, with its dotted name."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer below."""
        return (buffer for _, buffer in self.named_buffers())

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every module below, parts first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- modes -------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Behave as in training: batch statistics, dropout."""
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Self:
        """Behave as in use: running statistics, no dropout."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Learn all parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, target: Any) -> Self:
        """All parameters and buffers on a device ("cpu", "cuda", "cuda:1"), or those with floating
        point in another dtype. Make the optimizer afterwards: what it remembers does not move.
        """
        for member in itertools.chain(self.parameters(), self.buffers()):
            if names_device(target) or member.dtype.kind == "f":
                member.data = member.detach().to(target)
                member.grad = None
        return self

    def double(self) -> Self:
        """In float64."""
        return self.to(np.float64)

    # ---- state -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Every parameter and buffer by dotted name, in torchvision's style; they share memory
        with the module.
        """
        state: dict[str, Tensor] = {}
        for prefix, module in self.named_modules():
            for name, member in {**module._parameters, **module._buffers}.items():
                state[f"{prefix}.{name}" if prefix else name] = member.detach()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | Array], strict: bool = True) -> None:
        """Copy values by name into the parameters and buffers.

        Raises:
            KeyError: with `strict`, a name is missing or unknown.
            ValueError: a shape differs.
            TypeError: a dtype is of another kind, as integers for weights. In all cases nothing
                has been changed.
        """
        own = self.state_dict()
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if strict and (missing or unknown):
            raise KeyError(f"load_state_dict: missing {missing}, unknown {unknown}")
        shared = own.keys() & state.keys()
        for name in sorted(shared):
            if own[name].shape != tuple(state[name].shape):
                raise ValueError(
                    f"load_state_dict: {name} has shape {tuple(state[name].shape)}, "
                    f"the module's {own[name].shape}"
                )
            if state[name].dtype.kind != own[name].dtype.kind:
                raise TypeError(
                    f"load_state_dict: {name} is {state[name].dtype}, the module's "
                    f"{own[name].dtype}"
                )
        for name in sorted(shared):
            own[name].copy_(tensor(state[name], device=own[name].device))

    # ---- telling -----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The settings, for the repr."""
        return ""

    def __repr__(self) -> str:
        if not self._modules:
            return f"{type(self).__name__}({self.extra_repr()})"
        parts = [
            f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self.named_children()
        ]
        return f"{type(self).__name__}(\n  " + "\n  ".join(parts) + "\n)"
