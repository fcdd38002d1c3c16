"""The network of the lecture's exercise, the default."""

from __future__ import annotations

from tinycnn.nn import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)


def exercise(shape: tuple[int, int, int]) -> Sequential:
    """Three times convolution 3×3, batch norm, ReLU and max pooling, with 8, 16 and 32 filters;
    then two linear layers. On patches of 60×60 the first of these has 1568 inputs.

    >>> sum(p.numel() for p in exercise((1, 60, 60)).parameters())
    21701
    """
    channels, height, width = shape
    layers: list[Module] = []
    for filters in (8, 16, 32):
        layers += [Conv2d(channels, filters, 3, padding=1), BatchNorm2d(filters), ReLU()]
        layers.append(MaxPool2d(2))
        channels = filters
    features = 32 * (height // 8) * (width // 8)
    return Sequential(*layers, Flatten(), Linear(features, 10), ReLU(), Dropout(0.2), Linear(10, 1))
