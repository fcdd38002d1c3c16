"""An operation: a plain function of arrays, with its derivative beside it.

    @differentiable
    def multiply(x, y):
        return x * y

    @multiply.derivative("x")
    def _(g, y):
        return g * y

A derivative's first parameter is the cotangent of the result. For the rest it asks by name:
`result` is the result itself, any other name one of the operation's arguments (`x_shape` for its
shape alone), or something the forward pass saved. Only what is asked for is kept, protected
against in-place changes, and handed in: as arrays in an ordinary backward pass, as Tensors when
the derivative is to be differentiated again; so a derivative is written with operators and
tinycnn's operations, not with NumPy's functions.

A rule for several arguments returns a tuple. It may ask for `wanted`: a bool for each of them,
in the order of the rule's names, whether anybody asked for this gradient; where nobody did, None
will do.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

import numpy as np

from tinycnn import anomaly
from tinycnn.grad_mode import has_derivatives, is_grad_enabled
from tinycnn.kernels.namespace import namespace
from tinycnn.node import Node
from tinycnn.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R", bound=Callable[..., Any])

# An array in an ordinary pass, a Tensor where the derivative is recorded.
Value = Any


class Need(NamedTuple):
    """Something a derivative asks for: its name, and where the forward pass finds it."""

    name: str
    source: str  # "result", "saved", "input", "shape" or "wanted"
    position: int


class Rule(NamedTuple):
    """The derivative with respect to some arguments, given by position, and what it asks for."""

    of: tuple[int, ...]
    needs: tuple[Need, ...]
    apply: Callable[..., Any]


class Function(Generic[P]):
    """A differentiable operation. On arrays it is the plain function; on Tensors it is recorded."""

    def __init__(self, forward: Callable[P, Value], name: str, saves: tuple[str, ...]) -> None:
        functools.update_wrapper(self, forward)
        self.name = name
        self.rules: list[Rule] = []
        self._ruled: set[int] = set()  # the arguments some rule is for
        self._forward: Callable[..., Any] = forward
        self._saves = saves
        self._signature = inspect.signature(forward)
        self._names = list(self._signature.parameters)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def derivative(self, *names: str) -> Callable[[R], R]:
        """Declare the decorated function as the derivative with respect to these arguments."""

        def declare(rule: R) -> R:
            asked = list(inspect.signature(rule).parameters)[1:]
            for name in names:
                if name not in self._names:
                    raise TypeError(f"{self.name}: has no argument {name!r} to derive by")
            positions = tuple(self._names.index(name) for name in names)
            self._ruled.update(positions)
            self.rules.append(Rule(positions, tuple(map(self._need, asked)), rule))
            return rule

        return declare

    def _need(self, name: str) -> Need:
        if name in ("result", "wanted"):
            return Need(name, name, 0)
        if name in self._saves:
            return Need(name, "saved", self._saves.index(name))
        if name in self._names:
            return Need(name, "input", self._names.index(name))
        if name.endswith("_shape") and name.removesuffix("_shape") in self._names:
            return Need(name, "shape", self._names.index(name.removesuffix("_shape")))
        raise TypeError(f"{self.name}: a derivative asks for {name!r}, which there is not")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        """Apply to Tensors, arrays and numbers; the result is a Tensor if any of them is one."""
        plain = len(args) == len(self._names) and not kwargs
        inputs: Any = args if plain else self._bind(*args, **kwargs)
        arrays = [a.array if isinstance(a, Tensor) else a for a in inputs]
        made = self._apply(arrays)
        saved: list[Any] = []
        if self._saves:
            made, *saved = made
        tensors = [a for a in inputs if isinstance(a, Tensor)]
        if not tensors:  # a derivative at work on arrays
            return made  # type: ignore[no-any-return]
        if isinstance(made, np.generic):
            made = np.asarray(made)
        if anomaly.watching():
            anomaly.check(self.name, "forward", made, arrays, anomaly.caller())

        out = Tensor(made)
        first = tensors[0].array
        if made is first or (
            made.base is not None and namespace(made).may_share_memory(made, first)
        ):
            out.changes = tensors[0].changes  # a view: who changes the one changes the other
        if is_grad_enabled() and has_derivatives(made.dtype):
            wanted = [isinstance(a, Tensor) and a.requires_grad for a in inputs]
            if any(wanted):
                self._check_rules(wanted)
                out.node = Node(self, inputs, wanted, out, saved)
                out.requires_grad = True
        return out

    def _apply(self, arrays: list[Any]) -> Any:
        """The plain function; NumPy's complaints about shapes get the operation's name."""
        try:
            return self._forward(*arrays)
        except (ValueError, IndexError) as error:
            kind = ValueError if isinstance(error, ValueError) else IndexError
            raise kind(f"{self.name}: {error}") from error
        except AttributeError as error:
            raise TypeError(f"{self.name}: takes tensors or arrays: {error}") from error

    def _check_rules(self, wanted: list[bool]) -> None:
        """Refuse a gradient that would silently never come."""
        for i, want in enumerate(wanted):
            if want and i not in self._ruled:
                raise TypeError(
                    f"{self.name}: it has no derivative with respect to {self._names[i]!r}; "
                    "detach() it"
                )

    def _bind(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """All arguments in their order, defaults filled in."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments.values())


def differentiable(forward: Callable[P, Value]) -> Function[P]:
    """Make an operation of a function of arrays.

    >>> import tinycnn as tc
    >>> @differentiable
    ... def cube(x):
    ...     return x**3
    >>> @cube.derivative("x")
    ... def _(g, x):
    ...     return g * 3 * x**2
    >>> x = tc.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """
    return Function(forward, forward.__name__, ())


def differentiable_as(
    name: str, saves: tuple[str, ...] = ()
) -> Callable[[Callable[P, Value]], Function[P]]:
    """The same under another name in messages, or for a function that returns, after its result,
    more that its derivative needs: `saves` names it.
    """
    return lambda forward: Function(forward, name, saves)
