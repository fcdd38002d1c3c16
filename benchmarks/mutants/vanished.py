"""A gradient that has vanished: thirty layers of sigmoids, and the weights of the first.

Each layer divides the gradient by about five. What comes out at the first is near 1e-20, and still
has fifteen good digits; a central difference of results near 1 has none of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from operations import Array

LAYERS, WIDTH = 30, 4


def make() -> tuple[Callable[..., Array], Callable[..., tuple[Array]], tuple[Array]]:
    """Forward and backward of the first layer's weights, and these."""
    rng = np.random.default_rng(0)
    first, *rest = rng.standard_normal((LAYERS, WIDTH, WIDTH)) * 0.62
    x = rng.standard_normal(WIDTH)

    def activations(weight: Array) -> list[Array]:
        found = [x]
        for w in (weight, *rest):
            found.append(1 / (1 + np.exp(-(w @ found[-1]))))
        return found

    def forward(weight: Array) -> Array:
        return activations(weight)[-1]

    def backward(g: Array, weight: Array) -> tuple[Array]:
        layers = activations(weight)
        for w, y in zip(reversed(rest), reversed(layers), strict=False):
            g = w.T @ (g * y * (1 - y))
        y = layers[1]
        return (np.outer(g * y * (1 - y), x),)

    return forward, backward, (first,)


CHANGES = {
    "right": 1.0,
    "10 times too large": 10.0,
    "zero": 0.0,
    "wrong by one part in 10¹⁰": 1 + 1e-10,
}
