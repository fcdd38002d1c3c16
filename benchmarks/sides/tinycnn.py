"""This library, used as anybody would."""

from __future__ import annotations

from typing import Any

import tinycnn
from benchmarks.networks import Array, Network, Shape, build
from benchmarks.sides.torchlike import Torchlike
from tinycnn import models, nn


class TinyCNN(Torchlike):
    """tinycnn with its default kernels."""

    def tensor(self, array: Array, requires_grad: bool = False) -> Any:
        """A leaf of these numbers."""
        return tinycnn.tensor(array, requires_grad=requires_grad)

    def gradients_of(self, y: Any, inputs: list[Any], g: Any) -> Any:
        """The gradients, `.grad` being left alone."""
        return tinycnn.grad(y, inputs, g, retain_graph=True)

    def network(self, name: str, shape: Shape, layers: Network) -> Any:
        """One of `tinycnn.models`, where there is one of this name."""
        return models.MODELS[name](shape) if name in models.MODELS else build(layers, nn)


def side(mode: str) -> TinyCNN:
    """There is one mode."""
    return TinyCNN(tinycnn, nn.functional)
