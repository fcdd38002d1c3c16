"""The least a case needs: floating-point operations, a multiply-add being two, and bytes."""

from __future__ import annotations

import math

from benchmarks.networks import Network, Shape

FLOAT = 4  # bytes


def convolution_flop(
    batch: int, channels: int, filters: int, size: int, height: int, width: int, groups: int = 1
) -> float:
    """Of a forward pass that gives images of this height and width, and of either gradient."""
    return 2.0 * batch * filters * (channels // groups) * size**2 * height * width


def output_side(side: int, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """The length of a row after a window has gone over it."""
    return (side + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def forward_flop(network: Network, shape: Shape) -> tuple[list[float], Shape]:
    """Of one image's way through each convolution and linear layer, and what comes out."""
    counts: list[float] = []
    for kind, *arguments in network:
        if kind == "Residual":
            before = shape
            for branch in arguments:
                more, shape = forward_flop(branch, before)
                counts += more
        elif kind == "Conv2d":
            channels, filters, size, stride, padding = (*arguments, 1, 0)[:5]
            sides = [output_side(side, size, stride, padding) for side in shape[1:]]
            counts.append(convolution_flop(1, channels, filters, size, *sides))
            shape = (filters, *sides)
        elif kind in ("MaxPool2d", "AvgPool2d"):
            shape = (shape[0], *(side // arguments[0] for side in shape[1:]))
        elif kind == "AdaptiveAvgPool2d":
            shape = (shape[0], arguments[0], arguments[0])
        elif kind == "Flatten":
            shape = (math.prod(shape),)
        elif kind == "Linear":
            counts.append(2.0 * arguments[0] * arguments[1])
            shape = (arguments[1],)
    return counts, shape


def inference_flop(network: Network, shape: Shape, batch: int) -> float:
    """Of a forward pass."""
    return batch * sum(forward_flop(network, shape)[0])


def step_flop(network: Network, shape: Shape, batch: int) -> float:
    """Of a training step: forward, by the weights and by the inputs; nobody needs the gradient of
    the images.
    """
    counts = forward_flop(network, shape)[0]
    return batch * (3 * sum(counts) - counts[0])
