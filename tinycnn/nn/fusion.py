"""Layers in a row that are computed together.

A convolution and the batch norm, ReLU and 2×2 max pooling behind it (or some of them, in this
order) become one operation, `ops.conv_block`; and so do a residual sum and the ReLU behind it.
What comes out is what the layers give one by one. Those are still called one by one if somebody
watches one of them through a hook, and under `tc.detect_anomaly()`, which names operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinycnn import anomaly
from tinycnn.nn.activations import ReLU
from tinycnn.nn.layers import BatchNorm2d, Conv2d
from tinycnn.nn.module import Module
from tinycnn.nn.residual import Residual
from tinycnn.nn.structure import MaxPool2d
from tinycnn.ops.block import Norm, can_fuse, conv_block
from tinycnn.ops.convolution import geometry_of
from tinycnn.out_of_memory import blame
from tinycnn.tensor import Tensor

BEHIND = (BatchNorm2d, ReLU, MaxPool2d)  # a convolution, in this order


def run(layers: Sequence[Module], x: Any) -> Any:
    """The last layer's output."""
    at = 0
    while at < len(layers):
        try:
            y, count = _together(layers, at, x)
        except MemoryError as error:
            blame(layers[at], error)
        x, at = (y, at + count) if count else (layers[at](x), at + 1)
    return x


def _together(layers: Sequence[Module], at: int, x: Any) -> tuple[Any, int]:
    """The output of the next layers and how many they are; 0 if they are not computed together."""
    layer = layers[at]
    if type(layer) is Conv2d:
        behind = _behind(layers, at + 1)
        y = _block(layer, behind, x) if behind and _unwatched(layer) else None
        return y, 0 if y is None else 1 + len(behind)
    if type(layer) is Residual and at + 1 < len(layers) and type(layers[at + 1]) is ReLU:
        alone = _unwatched(layer) and _unwatched(layers[at + 1]) and not anomaly.watching()
        return (layer.rectified(x), 2) if alone else (None, 0)
    return None, 0


def _behind(layers: Sequence[Module], at: int) -> dict[type[Module], Any]:
    """What of `BEHIND` follows, by kind."""
    found: dict[type[Module], Any] = {}
    for kind in BEHIND:
        if at < len(layers) and type(layers[at]) is kind and _unwatched(layers[at]):
            if kind is MaxPool2d and not _two_by_two(layers[at]):
                break
            found[kind], at = layers[at], at + 1
    return found


def _two_by_two(pool: Any) -> bool:
    sizes = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    return sizes in ((2, 2, 0, 1), ((2, 2), (2, 2), (0, 0), (1, 1)))


def _unwatched(layer: Module) -> bool:
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks
    return not hooks and "forward" not in layer.__dict__


def _block(conv: Conv2d, behind: dict[type[Module], Any], x: Any) -> Tensor | None:
    """The output of a convolution and the layers behind it; None if there is no kernel for it."""
    layer, norm = behind.get(BatchNorm2d), None
    if layer is not None:
        running = layer.running_mean, layer.running_var
        settings = layer.training, layer.momentum, layer.eps
        norm = Norm(*running, layer.weight, layer.bias, *settings)
    padding = tuple(conv.padding) if isinstance(conv.padding, list) else conv.padding
    kernel = conv.weight.shape[2:]
    geometry = geometry_of(kernel, conv.stride, padding, conv.dilation, conv.groups)
    if not isinstance(x, Tensor) or not can_fuse(x, conv.weight, conv.bias, norm, geometry):
        return None
    if layer is not None and layer.training:
        layer.count_batch()
    rectify, pool = ReLU in behind, MaxPool2d in behind
    return conv_block(x, conv.weight, conv.bias, norm, geometry, rectify, pool)
