"""A network in a table: what each layer gives, holds, costs and sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycnn.autograd import reachable
from tinycnn.grad_mode import enable_grad
from tinycnn.nn import BatchNorm2d, Conv2d, Linear, Module, Sequential
from tinycnn.node import edge_of
from tinycnn.receptive_field import Fields, receptive_fields
from tinycnn.tensor import Tensor


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: its dotted name in the network.
        kind: its class.
        output_shape: with the batch first.
        trainable: parameters that are learned.
        frozen: parameters that are not.
        multiply_adds: of one forward pass.
        activation_bytes: of its output; 0 for a view of its input.
        receptive_field: (height, width) in input pixels; infinite for all of the image.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    trainable: int
    frozen: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """The rows of a network, in the order of its definition; `str()` is the table."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """All parameters, learned or frozen."""
        return sum(row.trainable + row.frozen for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Of all outputs, as training keeps them."""
        return sum(row.activation_bytes for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "", "output", "parameters", "multiply-adds", "activations", "sees")
        lines = [head] + [_cells(row) for row in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [
            "  ".join(
                c.ljust(w) if i < 3 else c.rjust(w)
                for i, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "─" * len(text[0])
        frozen = sum(row.frozen for row in self.rows)
        total = (
            f"{self.parameters:,} parameters ({frozen:,} frozen), "
            f"{self.multiply_adds:,} multiply-adds, {_bytes(self.activation_bytes)} activations"
        )
        return "\n".join([text[0].rstrip(), rule, *(t.rstrip() for t in text[1:]), rule, total])


def summary(model: Module, input_shape: tuple[int, ...]) -> Summary:
    """Run a network once on zeros, in evaluation mode, and tell what each layer does.

    Args:
        model: any module from images to one tensor.
        input_shape: (C, H, W), for a batch of one, or (N, C, H, W).

    Raises:
        ValueError: `input_shape` is no such shape.

    A multiply-add is one product added to a sum: what convolutions, linear layers and batch
    normalisation consist of. Other layers are not counted.

    >>> from tinycnn import nn
    >>> print(summary(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()), (1, 60, 60)))
    layer          output          parameters  multiply-adds  activations  sees
    ───────────────────────────────────────────────────────────────────────────
    0      Conv2d  (1, 8, 58, 58)          80        242,208    105.1 KiB   3×3
    1      ReLU    (1, 8, 58, 58)           0              0    105.1 KiB   3×3
    ───────────────────────────────────────────────────────────────────────────
    80 parameters (0 frozen), 242,208 multiply-adds, 210.2 KiB activations
    """
    if not isinstance(input_shape, tuple | list) or len(input_shape) not in (3, 4):
        raise ValueError(f"summary: input_shape is {input_shape!r}, needs (C, H, W)")
    shape = (1, *input_shape)[-4:]
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    image = Tensor(np.zeros(shape, dtype), requires_grad=True)
    calls = _run(model, image)
    nodes = reachable([edge_of(output) for _, output in calls.values()])
    fields = receptive_fields(image, nodes)
    rows: dict[Module, Row] = {}
    for name, module in model.named_modules():
        if (
            module in calls
            and module not in rows
            and (not list(module.children()) or type(module) is not Sequential)
        ):
            x, y = calls[module]
            seen = fields.get(y.node) if y.node else None
            passed_on = any(
                calls[m][1] is y for m in module.modules() if m is not module and m in calls
            )
            rows[module] = _row(name or "(all)", module, x, y, seen, passed_on)
    return Summary(tuple(rows.values()))


def _run(model: Module, image: Tensor) -> dict[Module, tuple[Tensor, Tensor]]:
    """The input and output of every module in one forward pass."""
    calls: dict[Module, tuple[Tensor, Tensor]] = {}

    def keep(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] = inputs[0], output

    handles = [module.register_forward_hook(keep) for module in model.modules()]
    training = {module: module.training for module in model.modules()}
    try:
        with enable_grad():
            model.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    return calls


def _row(
    name: str, module: Module, x: Tensor, y: Tensor, seen: Fields | None, passed_on: bool
) -> Row:
    """What there is to say of one module; `passed_on`: its output is that of a part of it."""
    own = list(module._parameters.values())
    return Row(
        name,
        type(module).__name__,
        y.shape,
        sum(p.numel() for p in own if p.requires_grad),
        sum(p.numel() for p in own if not p.requires_grad),
        _multiply_adds(module, y),
        0 if passed_on or np.may_share_memory(x.array, y.array) else y.array.nbytes,
        (seen[0].size, seen[1].size) if seen else (1, 1),
    )


def _multiply_adds(module: Any, y: Tensor) -> int:
    """Products that one forward pass adds up."""
    if isinstance(module, Conv2d):
        return y.numel() * math.prod(module.weight.shape[1:])
    if isinstance(module, Linear):
        return y.numel() * module.in_features
    return y.numel() if isinstance(module, BatchNorm2d) else 0


def _cells(row: Row) -> tuple[str, ...]:
    height, width = row.receptive_field
    sees = "all" if math.isinf(height) else f"{height:.0f}×{width:.0f}"
    return (
        row.name,
        row.kind,
        str(row.output_shape),
        f"{row.trainable + row.frozen:,}" + (" frozen" if row.frozen else ""),
        f"{row.multiply_adds:,}",
        _bytes(row.activation_bytes),
        sees,
    )


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
