"""The networks that are timed, in words every library can follow.

A layer is the name of its class in `nn` and the arguments in PyTorch's order. tinycnn takes those
of `tinycnn.models`; a test compares them with these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Layer = tuple[Any, ...]
Network = list[Layer]
Shape = tuple[int, ...]


def exercise(shape: Shape) -> Network:
    """Three times convolution, batch norm, ReLU and pooling, and two linear layers."""
    channels, height, width = shape
    layers: Network = []
    for filters in (8, 16, 32):
        layers += [("Conv2d", channels, filters, 3, 1, 1), ("BatchNorm2d", filters)]
        layers += [("ReLU",), ("MaxPool2d", 2)]
        channels = filters
    features = 32 * (height // 8) * (width // 8)
    layers += [("Flatten",), ("Linear", features, 10), ("ReLU",), ("Dropout", 0.2)]
    return [*layers, ("Linear", 10, 1)]


def lenet5(shape: Shape) -> Network:
    """LeCun et al. (1998)."""
    channels, height, width = shape
    features = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return [
        ("Conv2d", channels, 6, 5, 1, 2),
        ("Tanh",),
        ("AvgPool2d", 2),
        ("Conv2d", 6, 16, 5),
        ("Tanh",),
        ("AvgPool2d", 2),
        ("Flatten",),
        ("Linear", features, 120),
        ("Tanh",),
        ("Linear", 120, 84),
        ("Tanh",),
        ("Linear", 84, 1),
    ]


def convolution(channels: int, filters: int, size: int = 3, stride: int = 1) -> Layer:
    """One without a bias, as batch normalisation follows, and with a border of zeros."""
    return ("Conv2d", channels, filters, size, stride, size // 2, 1, 1, False)


def residual_block(channels: int, filters: int, stride: int) -> Network:
    """Two convolutions around a shortcut."""
    body = [convolution(channels, filters, 3, stride), ("BatchNorm2d", filters), ("ReLU",)]
    body += [convolution(filters, filters), ("BatchNorm2d", filters)]
    shortcut: Network = [("Identity",)]
    if channels != filters:
        shortcut = [convolution(channels, filters, 1, stride), ("BatchNorm2d", filters)]
    return [("Residual", body, shortcut), ("ReLU",)]


def resnet20(shape: Shape) -> Network:
    """He et al. (2016), section 4.2."""
    layers = [convolution(shape[0], 16), ("BatchNorm2d", 16), ("ReLU",)]
    channels = 16
    for filters in (16, 32, 64):
        for i in range(3):
            layers += residual_block(channels, filters, 2 if i == 0 and filters > 16 else 1)
            channels = filters
    return [*layers, ("AdaptiveAvgPool2d", 1), ("Flatten",), ("Linear", 64, 1)]


def chain(shape: Shape, depth: int) -> Network:
    """So many times convolution to 8 channels, batch norm and ReLU, and nothing that shrinks."""
    layers: Network = []
    for i in range(depth):
        layers += [convolution(8 if i else shape[0], 8), ("BatchNorm2d", 8), ("ReLU",)]
    return [*layers, ("AdaptiveAvgPool2d", 1), ("Flatten",), ("Linear", 8, 1)]


NETWORKS: dict[str, Callable[..., Network]] = {
    "exercise": exercise,
    "lenet5": lenet5,
    "resnet20": resnet20,
    "chain": chain,
}


def build(network: Network, nn: Any) -> Any:
    """The network made of the layers of `nn`, PyTorch's or tinycnn's."""
    parts = []
    for kind, *arguments in network:
        if kind == "Residual":
            arguments = [build(branch, nn) for branch in arguments]
        parts.append(getattr(nn, kind)(*arguments))
    return nn.Sequential(*parts)


def starting_weights(network: Network, rng: np.random.Generator) -> Iterator[Array]:
    """First values of the parameters in their order, the same for every library: weights as He et
    al. (2015) draw them, biases 0, and the scales of batch normalisation 1.
    """
    for kind, *arguments in network:
        if kind == "Residual":
            for branch in arguments:
                yield from starting_weights(branch, rng)
        elif kind == "Conv2d":
            channels, filters, size = arguments[:3]
            yield _drawn(rng, (filters, channels, size, size))
            if len(arguments) < len(convolution(1, 1)[1:]):
                yield np.zeros(filters, np.float32)
        elif kind == "Linear":
            yield _drawn(rng, (arguments[1], arguments[0]))
            yield np.zeros(arguments[1], np.float32)
        elif kind == "BatchNorm2d":
            yield np.ones(arguments[0], np.float32)
            yield np.zeros(arguments[0], np.float32)


def _drawn(rng: np.random.Generator, shape: Shape) -> Array:
    inputs = np.prod(shape[1:])
    values: Array = np.sqrt(2 / inputs) * rng.standard_normal(shape)
    return values.astype(np.float32)
