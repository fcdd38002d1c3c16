"""A small network of inception modules: several window sizes side by side."""

from __future__ import annotations

from tinycnn.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)


def _conv(channels: int, width: int, size: int) -> list[Module]:
    return [Conv2d(channels, width, size, padding="same"), BatchNorm2d(width), ReLU()]


def module(channels: int, width: int) -> Concat:
    """1×1, 3×3, 5×5 and pooled branches of equal width; 1×1 convolutions first make the wide
    branches cheap.
    """
    return Concat(
        Sequential(*_conv(channels, width, 1)),
        Sequential(*_conv(channels, width // 2, 1), *_conv(width // 2, width, 3)),
        Sequential(*_conv(channels, width // 2, 1), *_conv(width // 2, width, 5)),
        Sequential(MaxPool2d(3, 1, padding=1), *_conv(channels, width, 1)),
    )


def inception(shape: tuple[int, int, int]) -> Sequential:
    """Three inception modules with pooling between them, after GoogLeNet. Szegedy et al. (2015)."""
    return Sequential(
        *_conv(shape[0], 8, 3),
        MaxPool2d(2),
        module(8, 4),
        MaxPool2d(2),
        module(16, 8),
        MaxPool2d(2),
        module(32, 16),
        AdaptiveAvgPool2d(1),
        Flatten(),
        Dropout(0.3),
        Linear(64, 1),
    )
