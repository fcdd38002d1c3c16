"""A node of the graph: one application of an operation, and the derivative along its edges."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Container, Iterator
from typing import Any, TypeAlias

import numpy as np

from tinycnn import anomaly
from tinycnn.kernels.summation import total
from tinycnn.rule import Plan
from tinycnn.tensor import Hook, Tensor

_age = itertools.count()


class Node:
    """One application of an operation: where its inputs came from, and what its derivative
    needs.

    A node never refers to the tensor it made, only back to its inputs. So there is no cycle, and
    a graph disappears the moment the last tensor made by it does.

    Attributes:
        plan: which derivatives there are.
        age: a number, greater than that of every node this one was made from.
        edges: for each argument that wants a gradient the node that made it, or the argument
            itself if it is a leaf; None for the others.
        row: what the derivatives need, each in its place; arrays, not tensors. None once freed.
        tensors: of those in the row that came as tensors, and so could be changed in place: the
            place, the tensor's count of changes, and what it said.
        shape: of the result, and `dtype`: those of its gradient.
    """

    __slots__ = (
        "__weakref__",
        "age",
        "dtype",
        "edges",
        "hooks",
        "made_at",
        "plan",
        "retained_by",
        "row",
        "shape",
        "tensors",
    )

    def __init__(
        self,
        plan: Plan,
        edges: list[Edge | None],
        row: list[Any],
        inputs: tuple[Any, ...],
        out: Tensor,
    ) -> None:
        self.plan = plan
        self.age = next(_age)
        self.edges = edges
        self.shape, self.dtype = out.array.shape, out.array.dtype
        self.tensors: list[tuple[int, list[int], int]] = []
        for place in plan.inputs:
            a = inputs[place]
            if isinstance(a, Tensor):
                self.tensors.append((place, a.changes, a.changes[0]))
        if plan.result:
            self.tensors.append((len(edges), out.changes, out.changes[0]))
        for place in plan.dropped:
            row[place] = None
        self.row: list[Any] | None = row
        self.hooks: dict[int, Hook] | None = None
        self.retained_by: weakref.ref[Tensor] | None = None
        self.made_at = anomaly.caller() if anomaly.open_blocks else None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.plan.name

    @property
    def saved(self) -> dict[str, Any]:
        """What the derivatives need, by name; nothing once it is freed."""
        if self.row is None:
            return {}
        named = zip(self.plan.row, self.row, strict=True)
        return {name: v for i, (name, v) in enumerate(named) if i not in self.plan.dropped}

    def needed(self, recording: bool) -> list[Any]:
        """The row, after a check that nothing in it was changed; with Tensors in it if the
        derivatives are to be recorded.
        """
        if self.row is None:
            raise RuntimeError(
                f"{self.name}: backward a second time through a graph that is freed; "
                "say retain_graph=True the first time"
            )
        for place, changes, before in self.tensors:
            if changes[0] != before:
                raise RuntimeError(
                    f"{self.name}: its derivative needs {self.plan.row[place]!r}, which was "
                    "changed in place after the operation"
                )
        return self._with_tensors(self.row) if recording else self.row

    def _with_tensors(self, row: list[Any]) -> list[Any]:
        """The row with what came as tensors made tensors anew, in their place in the graph."""
        row = list(row)
        for place, changes, _ in self.tensors:
            edge = self if place == len(self.edges) else self.edges[place]
            if isinstance(edge, Tensor):
                row[place] = edge
            else:
                row[place] = tensor = Tensor(row[place])
                tensor.changes, tensor.node = changes, edge
                tensor._requires_grad = edge is not None
        return row

    def joint(
        self,
        of: tuple[int, ...],
        derive: Callable[..., Any],
        g: Any,
        row: list[Any],
        useful: Container[Edge] | None,
    ) -> Iterator[tuple[Edge, Any]]:
        """The gradients that one rule gives for several edges; for the useful ones if not None."""
        edges = [self.edges[place] for place in of]
        wanted = tuple(e is not None and (useful is None or e in useful) for e in edges)
        if any(wanted):
            found = derive(g, [*row, wanted])
            for edge, want, gradient in zip(edges, wanted, found, strict=True):
                if edge is not None and want:
                    yield edge, self.fit(gradient, edge, g)

    def fit(self, gradient: Any, edge: Edge, g: Any) -> Any:
        """The gradient, made of `g`, in the shape and dtype of what it is the gradient of."""
        if anomaly.open_blocks:
            self._check_finite(gradient, g)
        if (
            type(gradient) is np.ndarray
            and gradient.shape == edge.shape
            and gradient.dtype is edge.dtype
        ):
            return gradient  # as nearly always
        if not hasattr(gradient, "dtype"):
            raise TypeError(
                f"{self.name}: its derivative returned {type(gradient).__name__}, not an array"
            )
        if gradient.shape != edge.shape:
            gradient = self._unbroadcast(gradient, edge.shape)
        if isinstance(gradient, np.generic):  # NumPy makes a scalar of an array without axes
            gradient = np.asarray(gradient)
        return gradient if gradient.dtype == edge.dtype else gradient.astype(edge.dtype)

    def _unbroadcast(self, gradient: Any, shape: tuple[int, ...]) -> Any:
        """The sum over the axes along which an input of this shape was repeated."""
        lead = gradient.ndim - len(shape)
        if lead < 0 or any(
            n not in (1, m) for n, m in zip(shape, gradient.shape[lead:], strict=True)
        ):
            raise RuntimeError(
                f"{self.name}: its derivative has shape {tuple(gradient.shape)}, "
                f"its input {tuple(shape)}"
            )
        repeated = [i for i, n in enumerate(shape, lead) if n == 1 and gradient.shape[i] != 1]
        axes = (*range(lead), *repeated)
        recorded = isinstance(gradient, Tensor)
        return (gradient.sum(axes) if recorded else total(gradient, axes)).reshape(shape)

    def _check_finite(self, gradient: Any, g: Any) -> None:
        made, *given = (v.array if isinstance(v, Tensor) else v for v in (gradient, g))
        anomaly.check(self.name, "backward", made, [*given, *(self.row or ())], self.made_at)


Edge: TypeAlias = Node | Tensor


def edge_of(tensor: Tensor) -> Edge:
    """Where the walk from a tensor begins: its node, or itself if it is a leaf."""
    return tensor.node or tensor
