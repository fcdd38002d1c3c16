"""Functions of PyTorch tensors and PyTorch's modules as subjects of a check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinycnn.gradcheck.subject import Arrays, Subject, joined, names_of, parted, random_cotangent
from tinycnn.kernels.types import Array


def is_torch(fn: Any, inputs: Sequence[Any]) -> bool:
    """Whether this is PyTorch's, told without importing it."""
    return any(
        base.__module__.partition(".")[0] == "torch"
        for thing in (fn, *inputs)
        for base in type(thing).__mro__
    )


def of_torch(fn: Callable[..., Any], inputs: Sequence[Any], second: int | None = None) -> Subject:
    """A function of tensors or a module; with a seed its derivative, for a cotangent by chance."""
    import torch

    precisions = (torch.float32, torch.float64)
    floats = [i for i, x in enumerate(inputs) if torch.is_tensor(x) and x.dtype in precisions]
    parameters = {}
    buffers = {}
    if isinstance(fn, torch.nn.Module):
        parameters = {name: p for name, p in fn.named_parameters() if p.requires_grad}
        buffers = dict(fn.named_buffers())

    def call(leaves: Sequence[Any]) -> list[Any]:
        given = dict(zip(floats, leaves, strict=False))
        filled = [given.get(i, x) for i, x in enumerate(inputs)]
        with torch.random.fork_rng(devices=[]):
            if parameters or buffers:
                own = dict(zip(parameters, leaves[len(floats) :], strict=True))
                kept = {n: _like(b.clone(), leaves[0]) for n, b in buffers.items()}
                module: Any = fn
                made = torch.func.functional_call(module, {**own, **kept}, tuple(filled))
            else:
                made = fn(*filled)
        return list(made) if isinstance(made, tuple | list) else [made]

    def slopes(leaves: Sequence[Any]) -> list[Any]:
        *of, cotangent = leaves
        outputs = call([x.requires_grad_() for x in of])
        # PyTorch's derivative of a complex function is conjugated; here the formulas' is wanted
        parts = [part.conj() for part in parted(cotangent, outputs)]
        pairs = [(y, g) for y, g in zip(outputs, parts, strict=True) if y.requires_grad]
        if not pairs:
            return [x * 0 for x in of]
        ys, gs = zip(*pairs, strict=True)
        found = torch.autograd.grad(ys, of, gs, create_graph=True, allow_unused=True)
        return [x * 0 if g is None else g.conj() for g, x in zip(found, of, strict=True)]

    def forward(arrays: Arrays) -> Array:
        outputs = (call if second is None else slopes)([torch.tensor(a) for a in arrays])
        return joined([y.detach().resolve_conj().numpy() for y in outputs])

    def backward(arrays: Arrays, g: Array) -> tuple[Any, ...]:
        leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
        outputs = (call if second is None else slopes)(leaves)
        parts = [torch.tensor(p.copy()) for p in parted(g, outputs)]
        known = [(y, p) for y, p in zip(outputs, parts, strict=True) if y.requires_grad]
        if not known:
            return tuple(np.zeros_like(a) for a in arrays)
        ys, gs = zip(*known, strict=True)
        found = torch.autograd.grad(ys, leaves, gs, allow_unused=True)
        pairs = zip(found, arrays, strict=True)
        return tuple(np.zeros_like(a) if d is None else d.numpy().copy() for d, a in pairs)

    names = names_of(getattr(fn, "forward", fn), inputs)
    named = (*(names[i] for i in floats), *parameters)
    point = tuple(
        x.detach().numpy().copy() for x in (*(inputs[i] for i in floats), *parameters.values())
    )
    if second is None:
        return Subject(named, point, forward, backward)
    with torch.no_grad():
        output = joined([y.numpy() for y in call([torch.tensor(a) for a in point])])
    point = (*point, random_cotangent(output, second))
    return Subject((*named, "cotangent"), point, forward, backward, order=2)


def _like(buffer: Any, leaf: Any) -> Any:
    """A buffer in the precision of the leaves, if it holds such numbers."""
    return buffer.to(leaf.dtype) if buffer.is_floating_point() else buffer
