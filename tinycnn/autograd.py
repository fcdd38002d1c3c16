"""The walk back: the chain rule along the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from tinycnn.device import disagreement
from tinycnn.grad_mode import enable_grad, has_derivatives, no_grad
from tinycnn.kernels.namespace import namespace, readonly
from tinycnn.node import Edge, Node, edge_of
from tinycnn.out_of_memory import blame
from tinycnn.tensor import Hook, Tensor


class _Pending:
    """Cotangents on their way back, each at the node or leaf it has come to."""

    def __init__(self, roots: list[tuple[Edge, Any]]) -> None:
        self.cotangents: dict[Edge, Any] = {}
        self.queue: list[tuple[int, Node]] = []  # the nodes; a heap, the youngest first
        for edge, g in roots:
            self.add(edge, g)

    def add(self, edge: Edge, g: Any) -> None:
        """Add to what has come to this edge."""
        before = self.cotangents.get(edge)
        if before is not None:
            g = before + g
            if isinstance(g, np.generic):  # NumPy makes a scalar of arrays without axes
                g = np.asarray(g)
        elif isinstance(edge, Node):
            heappush(self.queue, (-edge.age, edge))
        self.cotangents[edge] = g

    def pop(self) -> tuple[Node, Any]:
        """The youngest node, and its cotangent."""
        _, node = heappop(self.queue)
        return node, self.cotangents.pop(node)


def walk(
    roots: list[tuple[Edge, Any]],
    retain: bool,
    recording: bool,
    targets: set[Edge] | None = None,
) -> dict[Edge, Any]:
    """Carry cotangents from the roots back; gives the gradient of every leaf, or of the targets.

    A node is always younger than the nodes it was made from, so going from young to old meets
    every node after all its users: each derivative is called once, with the whole cotangent.
    """
    useful = None if targets is None else _leading_to(targets, [root for root, _ in roots])
    found: dict[Edge, Any] = {}
    pending = _Pending(roots)
    try:
        while pending.queue:
            node, g = pending.pop()
            g = _call_hooks(node.hooks, g)
            if node.retained_by is not None and (tensor := node.retained_by()) is not None:
                accumulate(tensor, g)
            if targets is not None and node in targets:
                found[node] = g
            if useful is not None and not any(edge in useful for edge in node.edges):
                continue
            row = node.needed(recording)
            for place, derive in node.plan.single:
                edge: Any = node.edges[place]
                if useful is None or edge in useful:
                    pending.add(edge, node.fit(derive(g, row), edge, g))
            for places, derive in node.plan.joint:
                for edge, gradient in node.joint(places, derive, g, row, useful):
                    pending.add(edge, gradient)
            if not retain:
                node.row = None
    except MemoryError as error:
        blame(node, error)
    leaves = {leaf: _call_hooks(leaf.hooks, g) for leaf, g in pending.cotangents.items()}
    return found | leaves


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


def _leading_to(targets: set[Edge], roots: list[Edge]) -> set[Edge]:
    """The targets, and the nodes on a way from the roots to one of them."""
    useful = set(targets)
    for node in reachable(roots):
        if any(edge in useful for edge in node.edges):
            useful.add(node)
    return useful


def _call_hooks(hooks: dict[int, Hook] | None, g: Any) -> Any:
    for hook in list(hooks.values()) if hooks else ():
        recorded = isinstance(g, Tensor)
        changed = hook(g if recorded else Tensor(readonly(g)))
        if changed is not None:
            if not isinstance(changed, Tensor):
                raise TypeError(f"hook: returned {type(changed).__name__}, not a Tensor or None")
            if changed.shape != g.shape:
                raise RuntimeError(
                    f"hook: its gradient has shape {changed.shape}, the tensor's {g.shape}"
                )
            changed = changed.to(g.dtype)
            g = changed if recorded else changed.array
    return g


def accumulate(tensor: Tensor, g: Any) -> None:
    """Add a cotangent to `tensor.grad`, in memory that nothing else shares."""
    if isinstance(g, Tensor):
        tensor.grad = g + 0 if tensor.grad is None else tensor.grad + g
    elif tensor.grad is None:
        tensor.grad = Tensor(g.copy())
    else:
        tensor.grad.array += g
        tensor.grad.changes[0] += 1


def _cotangent(output: Tensor, gradient: Any, recording: bool) -> Any:
    """The cotangent a walk begins with: the one given, or 1 for a single number."""
    name = output.node.name if output.node else "backward"
    if not has_derivatives(output.dtype):
        raise TypeError(f"{name}: a {output.dtype} tensor has no gradient")
    if not output.requires_grad:
        raise RuntimeError(f"{name}: the tensor was not made from one that requires a gradient")
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError(
                f"{name}: a result of shape {output.shape} needs a gradient of that shape; "
                "only a single number has 1 by default"
            )
        gradient = namespace(output.array).ones(output.shape, output.dtype)
    elif apart := disagreement((output.array, getattr(gradient, "array", gradient))):
        raise TypeError(f"{name}: {apart}")
    if not isinstance(gradient, Tensor):
        gradient = Tensor(namespace(output.array).asarray(gradient))
    if gradient.shape != output.shape:
        raise RuntimeError(
            f"{name}: the gradient has shape {gradient.shape}, the result {output.shape}"
        )
    gradient = gradient if gradient.dtype == output.dtype else gradient.astype(output.dtype)
    return gradient if recording else gradient.array


def _roots(
    outputs: Sequence[Tensor], gradients: Sequence[Any], recording: bool
) -> list[tuple[Edge, Any]]:
    return [
        (edge_of(output), _cotangent(output, gradient, recording))
        for output, gradient in zip(outputs, gradients, strict=True)
    ]


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
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: {len(grad_outputs)} grad_outputs for {len(outputs)} outputs")
    for i, tensor in enumerate(inputs):
        if not has_derivatives(tensor.dtype):
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
    return tuple(g if g is None or isinstance(g, Tensor) else Tensor(g.copy()) for g in gradients)


Tensor.backward = backward
