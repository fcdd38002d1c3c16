"""The walk back: the graph of operations, and the chain rule along it."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinycnn import anomaly
from tinycnn.grad_mode import enable_grad, no_grad
from tinycnn.kernels.namespace import namespace
from tinycnn.tensor import Hook, Tensor

if TYPE_CHECKING:
    from tinycnn.function import Function

_age = itertools.count()


class Node:
    """One application of an operation: whence its inputs came, and what its derivative needs.

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
                    self._save(need.name, need.source, need.position, inputs, out, saved)

    def _save(
        self,
        name: str,
        source: str,
        position: int,
        inputs: tuple[Any, ...],
        out: Tensor,
        saved: Sequence[Any],
    ) -> None:
        assert self.saved is not None
        if source == "shape":
            self.saved[name] = inputs[position].shape
        elif source == "saved":
            self.saved[name] = saved[position]
        else:
            value = inputs[position] if source == "input" else out
            # of its own result a node keeps the array alone
            self.saved[name] = value if source == "input" else value.array
            if isinstance(value, Tensor):
                self.protected.append((name, value.changes, value.changes[0]))

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
            if not any(edge is not None and of(edge) for edge in targets):
                continue
            found = rule.apply(g, *[values[need.name] for need in rule.needs])
            for edge, gradient in zip(
                targets, found if len(rule.of) > 1 else (found,), strict=True
            ):
                if edge is not None and of(edge):
                    if anomaly.watching():
                        self._check_finite(gradient, g)
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
        return gradient.sum((*range(lead), *repeated)).reshape(shape)

    def _check_finite(self, gradient: Any, g: Any) -> None:
        gradient, g = (v.array if isinstance(v, Tensor) else v for v in (gradient, g))
        anomaly.check(self.name, "backward", gradient, (g,), self.made_at)


Edge: TypeAlias = Node | Tensor


def edge_of(tensor: Tensor) -> Edge:
    """Where the walk from a tensor begins: its node, or itself if it is a leaf."""
    return tensor.node or tensor


def walk(
    roots: dict[Edge, Any], retain: bool, recording: bool, targets: set[Edge] | None = None
) -> dict[Edge, Any]:
    """Carry cotangents from the roots back; gives the gradient of every leaf, or of the targets.

    A node is always younger than the nodes it was made from, so going from young to old meets
    every node after all its users: each derivative is called once, with the whole cotangent.
    """
    nodes = reachable(roots)
    useful = None if targets is None else _leading_to(targets, nodes)
    pending = dict(roots)
    found: dict[Edge, Any] = {}
    for node in reversed(nodes):
        g = pending.pop(node, None)
        if g is None:
            continue
        g = _call_hooks(node.hooks, g)
        if node.retained_by is not None and (tensor := node.retained_by()) is not None:
            accumulate(tensor, g)
        if targets is not None and node in targets:
            found[node] = g
        wanted = _anything if useful is None else useful.__contains__
        if not any(edge is not None and wanted(edge) for edge in node.edges):
            continue
        for edge, gradient in node.derivatives(g, wanted, recording):
            pending[edge] = pending[edge] + gradient if edge in pending else gradient
        if not retain:
            node.free()
    leaves = {edge: _call_hooks(edge.hooks, g) for edge, g in pending.items()}
    return found | leaves


def _anything(edge: Edge) -> bool:
    return True


def reachable(roots: Iterable[Edge]) -> list[Node]:
    """Every node on a way back from the roots, old to young."""
    seen = {root for root in roots if isinstance(root, Node)}
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Node) and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=lambda node: node.age)


def _leading_to(targets: set[Edge], nodes: list[Node]) -> set[Edge]:
    """The targets, and the nodes that have one of them behind them."""
    useful = set(targets)
    for node in nodes:
        if any(edge in useful for edge in node.edges):
            useful.add(node)
    return useful


def _call_hooks(hooks: dict[int, Hook] | None, g: Any) -> Any:
    for hook in list((hooks or {}).values()):
        recorded = isinstance(g, Tensor)
        changed = hook(g if recorded else Tensor(g))
        if changed is not None:
            g = changed if recorded else changed.array
    return g


def _copy(g: Any) -> Any:
    return namespace(g).array(g, copy=True)


def accumulate(tensor: Tensor, g: Any) -> None:
    """Add a cotangent to `tensor.grad`, in memory that nothing else shares."""
    if isinstance(g, Tensor):
        tensor.grad = g + 0 if tensor.grad is None else tensor.grad + g
    elif tensor.grad is None:
        tensor.grad = Tensor(_copy(g))
    else:
        tensor.grad.array += g
        tensor.grad.changes[0] += 1


def _cotangent(output: Tensor, gradient: Any, recording: bool) -> Any:
    """The cotangent a walk begins with: the one given, or 1 for a single number."""
    name = output.node.name if output.node else "backward"
    if output.dtype.kind != "f":
        raise TypeError(f"{name}: a {output.dtype} tensor has no gradient")
    if not output.requires_grad:
        raise RuntimeError(f"{name}: the tensor was not made from one that requires a gradient")
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"{name}: a result of shape {output.shape} needs a gradient of that shape; "
                "only a single number has 1 by default"
            )
        gradient = namespace(output.array).ones_like(output.array)
    if not isinstance(gradient, Tensor):
        gradient = Tensor(namespace(output.array).asarray(gradient))
    if gradient.shape != output.shape:
        raise RuntimeError(
            f"{name}: the gradient has shape {gradient.shape}, the result {output.shape}"
        )
    gradient = gradient if gradient.dtype == output.dtype else gradient.astype(output.dtype)
    return gradient if recording else gradient.array


def _roots(outputs: Sequence[Tensor], gradients: Sequence[Any], recording: bool) -> dict[Edge, Any]:
    roots: dict[Edge, Any] = {}
    for output, gradient in zip(outputs, gradients, strict=True):
        g = _cotangent(output, gradient, recording)
        edge = edge_of(output)
        roots[edge] = roots[edge] + g if edge in roots else g
    return roots


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add to `.grad` of every leaf this was made from the derivative of this with respect to it.

    Args:
        gradient: the cotangent, of this tensor's shape; 1 for a single number.
        retain_graph: keep what derivatives need, so that backward can be called again.
        create_graph: record the derivative itself, so that it can be differentiated.

    Raises:
        RuntimeError: the graph is freed; an array a derivative needs was changed in place; the
            cotangent's shape is wrong; nothing here requires a gradient.
        TypeError: a gradient is asked of integers.

    >>> import tinycnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    with enable_grad() if create_graph else no_grad():
        roots = _roots([self], [gradient], create_graph)
        gradients = walk(roots, retain_graph or create_graph, create_graph)
        for leaf, g in gradients.items():
            assert isinstance(leaf, Tensor)
            accumulate(leaf, g)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivatives of outputs with respect to inputs, as a tuple; `.grad` is left alone.

    Args:
        outputs: what is differentiated.
        inputs: with respect to what; leaves or results on the way.
        grad_outputs: a cotangent for each output; 1 for single numbers.
        retain_graph: keep the graph; by default if `create_graph`.
        create_graph: record the derivatives, so that they can be differentiated.
        allow_unused: give None for an input the outputs do not depend on, instead of an error.

    >>> import tinycnn as tc
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> (first,) = tc.grad(x**3, x, create_graph=True)
    >>> first.item(), tc.grad(first, x)[0].item()
    (27.0, 18.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    for i, tensor in enumerate(inputs):
        if tensor.dtype.kind != "f":
            raise TypeError(f"grad: input {i} is a {tensor.dtype} tensor and has no gradient")
        if not tensor.requires_grad:
            raise RuntimeError(f"grad: input {i} does not require a gradient")
    retain = create_graph if retain_graph is None else retain_graph
    with enable_grad() if create_graph else no_grad():
        roots = _roots(outputs, grad_outputs, create_graph)
        targets = {edge_of(tensor) for tensor in inputs}
        found = walk(roots, retain, create_graph, targets)
    gradients = [found.get(edge_of(tensor)) for tensor in inputs]
    for i, g in enumerate(gradients):
        if g is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}")
    return tuple(g if g is None or isinstance(g, Tensor) else Tensor(_copy(g)) for g in gradients)


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
    if self.node is not None:
        self.node.retained_by = weakref.ref(self)


Tensor.backward = backward
Tensor.register_hook = register_hook
Tensor.retain_grad = retain_grad
