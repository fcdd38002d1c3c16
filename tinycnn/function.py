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
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from tinycnn import anomaly
from tinycnn.device import disagreement
from tinycnn.grad_mode import recorded_kinds
from tinycnn.node import Edge, Node
from tinycnn.rule import Plan, Rule
from tinycnn.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R", bound=Callable[..., Any])

# An array in an ordinary pass, a Tensor where the derivative is recorded.
Value = Any


class Function(Generic[P]):
    """A differentiable operation. On arrays it is the plain function; on Tensors it is recorded.

    What derivatives may ask for stands in a row, each in its place: the arguments, the result,
    what the forward pass saved, and shapes of arguments. Which derivatives a call needs, and what
    these need, hangs on which arguments want a gradient; it is found out once for each choice,
    and kept as a plan.
    """

    def __init__(self, forward: Callable[P, Value], name: str, saves: tuple[str, ...]) -> None:
        functools.update_wrapper(self, forward)
        self.name = name
        self.rules: list[Rule] = []
        self._forward: Callable[..., Any] = forward
        self._saves = saves
        self._signature = inspect.signature(forward)
        self._names = list(self._signature.parameters)
        self._defaults = tuple(p.default for p in self._signature.parameters.values())
        self._required = self._defaults.count(inspect.Parameter.empty)
        self._row = [*self._names, "result", *saves]
        self._shapes: list[int] = []  # the arguments whose shapes are asked for
        self._plans: dict[int, Plan] = {}

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def derivative(self, *names: str) -> Callable[[R], R]:
        """Declare the decorated function as the derivative with respect to these arguments."""

        def declare(rule: R) -> R:
            asked = list(inspect.signature(rule).parameters)[1:]
            for name in names:
                if name not in self._names:
                    raise TypeError(f"{self.name}: has no argument {name!r} to derive by")
            of = tuple(self._names.index(name) for name in names)
            self.rules.append(Rule(of, tuple(map(self._place, asked)), rule))
            self._plans.clear()
            return rule

        return declare

    def _place(self, name: str) -> int:
        """The place in the row of what a derivative asks for by this name."""
        if name == "wanted":
            return -1  # added at the end on the way back
        argument = name.removesuffix("_shape")
        if name not in self._row and argument in self._names:
            self._shapes.append(self._names.index(argument))
            self._row.append(name)
        if name not in self._row:
            raise TypeError(f"{self.name}: a derivative asks for {name!r}, which there is not")
        return self._row.index(name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        """Apply to Tensors, arrays and numbers; the result is a Tensor if any of them is one."""
        inputs: Any = args
        if kwargs or len(args) != len(self._names):
            inputs = self._bind(args, kwargs)
        row: list[Any] = []
        edges: list[Edge | None] = []
        wanted = 0  # its bit i: whether argument i wants a gradient
        first: Tensor | None = None
        for a in inputs:
            edge = None
            if isinstance(a, Tensor):
                if first is None:
                    first = a
                if a._requires_grad:
                    edge = a.node or a
                    wanted += 1 << len(row)
                a = a.array
            row.append(a)
            edges.append(edge)
        made, saved = self._apply(row)
        if first is None:  # a derivative at work on arrays
            return made  # type: ignore[no-any-return]
        if isinstance(made, np.generic):
            made = np.asarray(made)
        if anomaly.open_blocks:
            anomaly.check(self.name, "forward", made, row, anomaly.caller())

        out = Tensor(made)
        if made is first.array or (
            made.base is not None and (made.base is first.array or made.base is first.array.base)
        ):
            out.changes = first.changes  # a view: who changes the one changes the other
        if wanted and made.dtype.kind in recorded_kinds.get():
            row.append(made)
            row += saved
            out.node = self._node(row, edges, wanted, inputs, out)
            out._requires_grad = True
        return out

    def _node(
        self,
        row: list[Any],
        edges: list[Edge | None],
        wanted: int,
        inputs: tuple[Any, ...],
        out: Tensor,
    ) -> Node:
        """What remembers this application."""
        if self._shapes:
            row += [getattr(row[i], "shape", None) for i in self._shapes]
        plan = self._plans.get(wanted) or self._plan(wanted)
        return Node(plan, edges, row, inputs, out)

    def _apply(self, values: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        """The plain function's result and what it saves; its errors get the operation's name."""
        try:
            made = self._forward(*values)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            if apart := disagreement(values):
                raise TypeError(f"{self.name}: {apart}") from error
            if isinstance(error, TypeError):
                raise
            if isinstance(error, AttributeError):
                raise TypeError(f"{self.name}: takes tensors or arrays: {error}") from error
            kind = ValueError if isinstance(error, ValueError) else IndexError
            raise kind(f"{self.name}: {error}") from error
        return (made[0], made[1:]) if self._saves else (made, ())

    def _plan(self, wanted: int) -> Plan:
        """The way back if these arguments want a gradient."""
        rules = [rule for rule in self.rules if any(wanted >> i & 1 for i in rule.of)]
        derived = {i for rule in rules for i in rule.of}
        for i, name in enumerate(self._names):
            if wanted >> i & 1 and i not in derived:  # the gradient would silently never come
                raise TypeError(
                    f"{self.name}: it has no derivative with respect to {name!r}; detach() it"
                )
        plan = self._plans[wanted] = Plan(self.name, self._row, len(self._names), rules)
        return plan

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments in their order, defaults filled in."""
        if not kwargs and self._required <= len(args) < len(self._names):
            return args + self._defaults[len(args) :]
        bound = self._signature.bind(*args, **kwargs)  # much slower; complains of what is wrong
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
