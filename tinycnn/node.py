"""A node of the graph: one application of an operation, and the derivative along its edges."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinycnn import anomaly
from tinycnn.kernels.summation import total
from tinycnn.tensor import Hook, Tensor

if TYPE_CHECKING:
    from tinycnn.function import Function, Need

_age = itertools.count()


class Node:
    """One application of an operation: where its inputs came from, and what its derivative
    needs.

    A node never refers to the tensor it made, only back to its inputs. So there is no cycle, and
    a graph disappears the moment the last tensor made by it does.
    """

    __slots__ = (
        "__weakref__",
        "age",
        "changes",
        "dtype",
        "edges",
        "function",
        "hooks",
        "made_at",
        "protected",
        "retained_by",
        "saved",
        "shape",
    )

    def __init__(
        self,
        function: Function[Any],
        inputs: tuple[Any, ...],
        wanted: list[bool],
        out: Tensor,
        saved: Sequence[Any],
    ) -> None:
        self.function = function
        self.age = next(_age)
        self.shape, self.dtype, self.changes = out.shape, out.dtype, out.changes
        # an edge leads to the node that made an input, or to the input itself if it is a leaf
        self.edges: list[Edge | None] = [
            (a.node or a) if want else None for a, want in zip(inputs, wanted, strict=True)
        ]
        self.hooks: dict[int, Hook] | None = None
        self.retained_by: weakref.ref[Tensor] | None = None
        self.made_at = anomaly.caller() if anomaly.watching() else None
        self.saved: dict[str, Any] | None = {}
        self.protected: list[tuple[str, list[int], int]] = []  # name, its count, the count now
        for rule in function.rules:
            if any(wanted[i] for i in rule.of):
                for need in rule.needs:
                    self._save(need, inputs, out, saved)

    def _save(self, need: Need, inputs: tuple[Any, ...], out: Tensor, saved: Sequence[Any]) -> None:
        """Keep what a rule needs, and note how often it was changed so far."""
        assert self.saved is not None
        if need.source == "wanted":  # known in the backward pass
            return
        if need.source == "shape":
            self.saved[need.name] = inputs[need.position].shape
        elif need.source == "saved":
            self.saved[need.name] = saved[need.position]
        elif need.source == "result":  # its array alone: with the tensor there would be a cycle
            self.saved[need.name] = out.array
            self.protected.append((need.name, out.changes, out.changes[0]))
        else:
            value = self.saved[need.name] = inputs[need.position]
            if isinstance(value, Tensor):
                self.protected.append((need.name, value.changes, value.changes[0]))

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.function.name

    def free(self) -> None:
        """Let go of what was saved."""
        self.saved = None

    def derivatives(
        self, g: Any, of: Callable[[Edge], bool], recording: bool
    ) -> Iterator[tuple[Edge, Any]]:
        """For each edge that somebody wants: the cotangent `g` times the derivative along it."""
        values = self._values(recording)
        for rule in self.function.rules:
            targets = [self.edges[i] for i in rule.of]
            values["wanted"] = tuple(edge is not None and of(edge) for edge in targets)
            if not any(values["wanted"]):
                continue
            found = rule.apply(g, *[values[need.name] for need in rule.needs])
            for edge, gradient in zip(
                targets, found if len(rule.of) > 1 else (found,), strict=True
            ):
                if edge is not None and of(edge):
                    if anomaly.watching():
                        self._check_finite(gradient, (g, *values.values()))
                    yield edge, self._fit(gradient, edge)

    def _values(self, recording: bool) -> dict[str, Any]:
        """What was saved, as Tensors if the derivative is recorded, else as arrays."""
        if self.saved is None:
            raise RuntimeError(
                f"{self.name}: backward a second time through a graph that is freed; "
                "say retain_graph=True the first time"
            )
        for name, changes, before in self.protected:
            if changes[0] != before:
                raise RuntimeError(
                    f"{self.name}: its derivative needs {name!r}, which was changed in place "
                    "after the operation"
                )
        if not recording:
            return {k: v.array if isinstance(v, Tensor) else v for k, v in self.saved.items()}
        values = dict(self.saved)
        if "result" in values:
            values["result"] = self._result(values["result"])
        return values

    def _result(self, array: Any) -> Tensor:
        """The tensor this node made, made anew."""
        out = Tensor(array)
        out.node, out.requires_grad, out.changes = self, True, self.changes
        return out

    def _fit(self, gradient: Any, edge: Edge) -> Any:
        """The gradient in the shape and dtype of what it is the gradient of."""
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

    def _check_finite(self, gradient: Any, inputs: tuple[Any, ...]) -> None:
        gradient, *arrays = (v.array if isinstance(v, Tensor) else v for v in (gradient, *inputs))
        anomaly.check(self.name, "backward", gradient, arrays, self.made_at)


Edge: TypeAlias = Node | Tensor


def edge_of(tensor: Tensor) -> Edge:
    """Where the walk from a tensor begins: its node, or itself if it is a leaf."""
    return tensor.node or tensor
