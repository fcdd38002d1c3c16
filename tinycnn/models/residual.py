"""A residual network: blocks whose output is their input plus a correction."""

from __future__ import annotations

from tinycnn.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    Module,
    ReLU,
    Residual,
    Sequential,
)


def block(channels: int, width: int, stride: int) -> Sequential:
    """Two 3×3 convolutions around a shortcut; where the size changes the shortcut is a 1×1
    convolution.
    """
    body = Sequential(
        Conv2d(channels, width, 3, stride, padding=1, bias=False),
        BatchNorm2d(width),
        ReLU(),
        Conv2d(width, width, 3, padding=1, bias=False),
        BatchNorm2d(width),
    )
    shortcut: Module = Identity()
    if stride != 1 or channels != width:
        shortcut = Sequential(Conv2d(channels, width, 1, stride, bias=False), BatchNorm2d(width))
    return Sequential(Residual(body, shortcut), ReLU())


def resnet20(shape: tuple[int, int, int]) -> Sequential:
    """The 20-layer residual network for small images: three stages of three blocks with 16, 32
    and 64 filters, then the mean of each channel. He et al. (2016), section 4.2.
    """
    layers: list[Module] = [
        Conv2d(shape[0], 16, 3, padding=1, bias=False),
        BatchNorm2d(16),
        ReLU(),
    ]
    channels = 16
    for width in (16, 32, 64):
        for i in range(3):
            layers.append(block(channels, width, 2 if i == 0 and width > 16 else 1))
            channels = width
    return Sequential(*layers, AdaptiveAvgPool2d(1), Flatten(), Linear(64, 1))
