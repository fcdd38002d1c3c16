"""How much of the image a unit sees: read off the graph that made it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinycnn.node import Node
from tinycnn.ops.axes import axes
from tinycnn.tensor import Tensor


class Field(NamedTuple):
    """What a unit sees along one axis: `size` input pixels; neighbours are `jump` pixels apart.
    The size is infinite where the unit sees all.
    """

    size: float = 1
    jump: int = 1

    def through(self, kernel: int, stride: int, dilation: int) -> Field:
        """Behind a window of `kernel` units: each further one adds the jump between them."""
        return Field(self.size + (kernel - 1) * dilation * self.jump, self.jump * stride)


Fields = tuple[Field, Field]
ALL = Field(math.inf)


def receptive_fields(image: Tensor, nodes: list[Node]) -> dict[Node, Fields]:
    """What the units of each node see of an image (N, C, H, W), vertically and horizontally.

    Args:
        image: the leaf the nodes were made from.
        nodes: old to young, none left out, their graph not freed.
    """
    fields: dict[Any, Fields] = {image: (Field(), Field())}
    for node in nodes:
        seen = [fields[edge] for edge in node.edges if edge in fields]
        if seen:
            widest = max(f[0] for f in seen), max(f[1] for f in seen)
            fields[node] = _behind(node, widest)
    del fields[image]
    return fields


def _behind(node: Node, fields: Fields) -> Fields:
    """What units see that are made from units with these fields."""
    saved = node.saved
    if node.name in ("linear", "matmul"):
        return ALL, ALL
    if node.name in ("mean", "sum"):
        summed = axes(saved["dim"], len(saved["x_shape"]))
        return ALL if 2 in summed else fields[0], ALL if 3 in summed else fields[1]
    if node.name == "conv2d":
        kernel = saved["weight"].shape[2:]
        stride, _, dilation, _ = saved["geometry"]
    elif node.name in ("max_pool2d", "sum_pool2d"):
        kernel, stride, dilation = saved["kernel"], saved["stride"], saved.get("dilation", (1, 1))
    else:
        return fields
    vertical, horizontal = (
        fields[axis].through(kernel[axis], stride[axis], dilation[axis]) for axis in (0, 1)
    )
    return vertical, horizontal
