"""Random small networks: a fault may show only where layers meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st

import tinycnn as tc
from tinycnn import nn
from tinycnn.kernels.types import Array
from tinycnn.proof.functions import Maker
from tinycnn.proof.inputs import Example, Inputs
from tinycnn.proof.layers import learned

SIZE = (2, 3)  # of the images

# Draws its settings; takes so many channels to so many.
Block: TypeAlias = Callable[[Inputs, int, int], nn.Module]


def same_size(a: Inputs, c: int, o: int) -> nn.Module:
    """A convolution from c channels to o that keeps the image's size."""
    return nn.Conv2d(c, o, a.choice(1, 2, (1, 3)), padding="same", bias=a.choice(True, False))


def between(a: Inputs, c: int) -> nn.Module:
    """A layer without weights, or batch normalisation."""
    build: Callable[[], nn.Module] = a.choice(
        nn.Tanh,
        nn.ReLU,
        lambda: nn.BatchNorm2d(c),
        nn.Sigmoid,
        nn.ELU,
        nn.Softplus,
        lambda: nn.LeakyReLU(0.1),
        lambda: nn.Dropout(0.3),
        lambda: nn.MaxPool2d(3, 1, 1),
        lambda: nn.AvgPool2d(3, 1, 1),
        lambda: nn.Pad((1, 1), "circular"),
    )
    return build()


def chain(a: Inputs, c: int, o: int) -> nn.Module:
    """A convolution and what follows it."""
    return nn.Sequential(same_size(a, c, o), *(between(a, o) for _ in range(a.integer(0, 2))))


def residual(a: Inputs, c: int, o: int) -> nn.Module:
    """A convolution and an activation with a way around them."""
    shortcut = None if c == o and a.choice(True, False) else nn.Conv2d(c, o, 1)
    body = nn.Sequential(same_size(a, c, o), a.choice(nn.BatchNorm2d(o), nn.Tanh(), nn.ReLU()))
    return nn.Residual(body, shortcut)


def branches(a: Inputs, c: int, o: int) -> nn.Module:
    """Two ways side by side, their channels joined, and a convolution that mixes them."""
    side_by_side = nn.Concat(nn.Sequential(same_size(a, c, o), nn.ReLU()), nn.Identity())
    return nn.Sequential(side_by_side, nn.Conv2d(o + c, o, 1))


def built(a: Inputs, first: Block) -> tuple[nn.Module, Array]:
    """A network that begins with such a block, in training or in use, and images for it."""
    c, o = a.integer(1, 2), a.integer(1, 2)
    blocks = [first(a, c, o)]
    if a.choice(False, True):
        blocks.append(a.choice(chain, residual)(a, o, o))
    if a.choice(False, True):
        blocks += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(o, 2)]
    module = learned(a, nn.Sequential(*blocks)).train(a.choice(True, False))
    return module, a.normal((a.integer(1, 2), c, *SIZE))


def network(first: Block) -> Maker:
    """Networks that begin with such a block."""

    def make(a: Inputs) -> Example:
        module, x = built(a, first)
        return module, (x,)

    return make


def vanishing(a: Inputs) -> Example:
    """30 layers x ← σ(w·x): the gradient of the first is near 1e-20."""

    def function(x: tc.Tensor, w: tc.Tensor) -> tc.Tensor:
        for i in range(30):
            x = (w[i] * x).sigmoid()
        return x

    return function, (a.normal(()), a.normal((30,)))


NETWORKS: dict[str, Maker] = {
    "network of a chain": network(chain),
    "network with a residual": network(residual),
    "network of branches": network(branches),
    "network of 30 sigmoids": vanishing,
}


@st.composite
def layer_stack(draw: Any) -> tuple[nn.Module, Array]:
    """A Hypothesis strategy: a small network in float64 and images for it.

    >>> from hypothesis import find
    >>> module, x = find(layer_stack(), lambda case: True)
    >>> type(module).__name__, x.shape[2:], x.dtype
    ('Sequential', (2, 3), dtype('float64'))
    """
    a = Inputs(draw(st.data()))
    return built(a, a.choice(chain, residual, branches))
