"""The checkers that are compared: each says whether a pair of NumPy functions is right.

All get the same functions and inputs, in float64 and with their default settings. Those that would
also check second derivatives or forward mode, which such a pair has not, are told not to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from operations import Array

Forward = Callable[..., Array]
Backward = Callable[..., Any]
# Right or wrong, and what the mistake looks like.
Verdict = tuple[bool, str]


def by_tinycnn(forward: Forward, backward: Backward, inputs: Sequence[Array]) -> Verdict:
    """`tinycnn.gradcheck.pair`."""
    from tinycnn.gradcheck import pair

    report = pair(forward, backward, tuple(inputs))
    return report.ok, "; ".join(f.looks_like for f in report.findings if f.looks_like)


def by_torch(forward: Forward, backward: Backward, inputs: Sequence[Array]) -> Verdict:
    """`torch.autograd.gradcheck`."""
    import torch

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return torch.from_numpy(np.array(forward(*(x.detach().numpy() for x in xs))))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            xs = (x.detach().numpy() for x in ctx.saved_tensors)
            return tuple(torch.from_numpy(np.array(d)) for d in backward(g.numpy(), *xs))

    leaves = [torch.from_numpy(np.array(x)).requires_grad_() for x in inputs]
    return torch.autograd.gradcheck(Pair.apply, leaves, raise_exception=False), ""


def by_autograd(forward: Forward, backward: Backward, inputs: Sequence[Array]) -> Verdict:
    """`autograd.test_util.check_grads` of HIPS autograd."""
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    function = primitive(lambda *xs: forward(*xs))
    defvjp(
        function,
        *(
            lambda y, *xs, k=k: lambda g: np.asarray(backward(np.asarray(g), *xs)[k])
            for k in range(len(inputs))
        ),
    )
    np.random.seed(0)  # noqa: NPY002  (its directions come from there)
    return _passes(
        lambda: check_grads(function, tuple(range(len(inputs))), modes=["rev"], order=1)(*inputs)
    ), ""


def by_jax(forward: Forward, backward: Backward, inputs: Sequence[Array]) -> Verdict:
    """`jax.test_util.check_grads`."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax.test_util import check_grads

    result = jax.ShapeDtypeStruct(np.shape(forward(*inputs)), np.float64)
    like = tuple(jax.ShapeDtypeStruct(x.shape, np.float64) for x in inputs)

    @jax.custom_vjp
    def function(*xs: Any) -> Any:
        return jax.pure_callback(lambda *xs: forward(*map(np.asarray, xs)), result, *xs)

    def back(xs: Any, g: Any) -> Any:
        return jax.pure_callback(
            lambda g, *xs: tuple(backward(*map(np.asarray, (g, *xs)))), like, g, *xs
        )

    function.defvjp(lambda *xs: (function(*xs), xs), back)
    passes = _passes(lambda: check_grads(function, tuple(inputs), order=1, modes=["rev"]))
    jax.clear_caches()  # or every function compiled is kept
    return passes, ""


def _passes(check: Callable[[], Any]) -> bool:
    try:
        check()
    except AssertionError:
        return False
    return True


CHECKERS: dict[str, Callable[[Forward, Backward, Sequence[Array]], Verdict]] = {
    "tinycnn": by_tinycnn,
    "PyTorch": by_torch,
    "autograd": by_autograd,
    "JAX": by_jax,
}
