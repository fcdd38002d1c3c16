"""The rows of the benchmark: what is timed, by whom, and the least it needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks import work
from benchmarks.networks import NETWORKS, Shape, starting_weights
from benchmarks.task import CHAIN

PYTORCH = ("PyTorch", "channels-last", "compiled")
STANDARD = ("tinycnn", *PYTORCH)
PATCH = (1, 60, 60)  # the exercise's images

GROUPS = {
    "training": "A training step of the exercise's network, patches of 60×60",
    "inference": "Inference by the same network",
    "convolution": "3×3 convolutions, batch 32",
    "windows": "Other windows, strides and channels",
    "operations": "Other operations, batch 32",
    "networks": "A training step of other networks, batch 32",
    "engine": "The engine: one operation on arrays of 4×4, forward and backward",
    "batch": "A training step of the exercise's network by batch",
    "side": "A training step of the exercise's network by side of the image, batch 8",
    "depth": "A training step by depth: 3×3 to 8 channels, batch norm, ReLU; 30×30, batch 32",
    "processes": "Whole processes, imports included; warm, and cold: nothing compiled on disk",
    "memory": "The largest memory of these processes",
}


class Case(NamedTuple):
    """One row.

    Attributes:
        group: a key of `GROUPS`.
        name: of the row within its group.
        kind: the method of a side that makes a task of it.
        sizes: that method's arguments.
        sides: who takes part.
        flop: floating-point operations it needs, for what is bound by arithmetic.
        bytes: it must read and write at least, for what is bound by memory.
        operations: the time is shown for one of so many.
    """

    group: str
    name: str
    kind: str
    sizes: dict[str, Any]
    sides: tuple[str, ...] = STANDARD
    flop: float = 0.0
    bytes: float = 0.0
    operations: int = 1


LIMITS = (
    Case("limit", "matrix product", "matmul", {"side": 2048}, ("machine",), flop=2.0 * 2048**3),
    Case("limit", "copy", "copy", {"numbers": 2**25}, ("machine",), bytes=8.0 * 2**25),
)


# ---- networks ------------------------------------------------------------------------------


def step(
    group: str, name: str, network: str, shape: Shape, batch: int, *arguments: int, sides: Any
) -> Case:
    """A training step."""
    sizes = {"network": network, "shape": shape, "batch": batch, "arguments": arguments}
    flop = work.step_flop(NETWORKS[network](shape, *arguments), shape, batch)
    return Case(group, name, "step", sizes, sides, flop)


def training() -> Iterator[Case]:
    """The exercise's network."""
    for batch in (1, 16, 32, 128):
        more = ("JAX", "MyGrad") if batch == 16 else ("JAX",)
        yield step("training", f"batch {batch}", "exercise", PATCH, batch, sides=(*STANDARD, *more))


def inference() -> Iterator[Case]:
    """The exercise's network, trained."""
    for batch in (1, 32, 128):
        sizes = {"network": "exercise", "shape": PATCH, "batch": batch, "arguments": ()}
        flop = work.inference_flop(NETWORKS["exercise"](PATCH), PATCH, batch)
        sides = (*STANDARD, "JAX")
        yield Case("inference", f"batch {batch}", "inference", sizes, sides, flop)


def networks() -> Iterator[Case]:
    """Others."""
    sides = (*STANDARD, "JAX")
    yield step("networks", "20-layer residual, 32×32×3", "resnet20", (3, 32, 32), 32, sides=sides)
    yield step("networks", "LeNet-5, 28×28", "lenet5", (1, 28, 28), 32, sides=sides)


def scaling() -> Iterator[Case]:
    """One size after the other; a compiler would take longer than the rest of the benchmark."""
    sides = ("tinycnn", "PyTorch", "channels-last", "JAX")
    for batch in (4, 64, 256):  # the others are in `training`
        yield step("batch", f"batch {batch}", "exercise", PATCH, batch, sides=sides)
    for side in (15, 30, 60, 120, 240):
        yield step("side", f"{side}×{side}", "exercise", (1, side, side), 8, sides=sides)
    for depth in (1, 4, 16):
        yield step("depth", f"{depth} deep", "chain", (1, 30, 30), 32, depth, sides=sides)


# ---- single operations ---------------------------------------------------------------------


class Window(NamedTuple):
    """A convolution's sizes."""

    batch: int
    channels: int
    filters: int
    side: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1

    def name(self) -> str:
        """In words, what is usual left out."""
        text = f"{self.size}×{self.size}, {self.channels}→{self.filters}, {self.side}×{self.side}"
        if self.batch != 32:
            text += f", batch {self.batch}"
        for key, usual in (("stride", 1), ("dilation", 1), ("groups", 1)):
            if getattr(self, key) != usual:
                text += f", {key} {getattr(self, key)}"
        return text


def convolution(group: str, window: Window, sides: tuple[str, ...] = STANDARD) -> Iterator[Case]:
    """Two rows: forward, and both gradients (with the bias's) in one backward pass."""
    w = window
    inputs = [
        (w.batch, w.channels, w.side, w.side),
        (w.filters, w.channels // w.groups, w.size, w.size),
        (w.filters,),
    ]
    out = work.output_side(w.side, w.size, w.stride, w.padding, w.dilation)
    flop = work.convolution_flop(w.batch, w.channels, w.filters, w.size, out, out, w.groups)
    options = [w.stride, w.padding, w.dilation, w.groups]
    sizes = {"operation": "conv2d", "inputs": inputs, "arguments": options}
    yield Case(group, f"{w.name()}, forward", "forward", sizes, sides, flop)
    yield Case(group, f"{w.name()}, gradients", "gradients", sizes, sides, 2 * flop)


def convolutions() -> Iterator[Case]:
    """The home ground: 1 to 32 channels on 15 to 60 pixels."""
    pairs = ((1, 1), (1, 8), (3, 16), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32))
    for channels, filters in pairs:
        for side in (15, 30, 60):
            jax = ("JAX",) if (channels, filters) == (8, 16) else ()
            yield from convolution(
                "convolution", Window(32, channels, filters, side), (*STANDARD, *jax)
            )


def windows() -> Iterator[Case]:
    """Elsewhere."""
    for window in (
        Window(32, 16, 32, 30, size=1, padding=0),
        Window(32, 8, 16, 30, size=5, padding=2),
        Window(32, 8, 16, 30, size=7, padding=3),
        Window(32, 8, 16, 30, size=9, padding=4),
        Window(32, 8, 16, 30, size=11, padding=5),
        Window(32, 16, 32, 30, stride=2),
        Window(8, 3, 64, 224, size=11, stride=4, padding=2),
        Window(32, 16, 16, 30, padding=2, dilation=2),
        Window(32, 32, 32, 30, groups=32),
        Window(16, 64, 64, 28),
        Window(16, 256, 256, 14),
        Window(16, 512, 512, 7),
    ):
        yield from convolution("windows", window)


def operations() -> Iterator[Case]:
    """What is bound by memory: each array read or written once counts."""
    x = (32, 8, 60, 60)
    image = work.FLOAT * math.prod(x)
    # the function, its arguments, its result's size, and how many arrays like x or the result
    # (x, result) a forward and a backward pass must touch
    for name, function, inputs, arguments, out, passes in (
        ("max pooling 2×2", "max_pool2d", [x], [2], 1 / 4, (1, 1)),
        ("average pooling 2×2", "avg_pool2d", [x], [2], 1 / 4, (1, 1)),
        ("batch norm, training", "batch_norm", [x, (8,), (8,)], [], 1, (1, 2)),
        ("ELU", "elu", [x], [], 1, (1, 2)),
    ):
        sizes: dict[str, Any] = {
            "operation": function,
            "inputs": inputs,
            "arguments": arguments,
        }
        shown = f"{name}, 8 channels, 60×60"
        for kind, arrays in zip(("forward", "gradients"), passes, strict=True):
            touched = image * (arrays + out)
            yield Case("operations", f"{shown}, {kind}", kind, sizes, STANDARD, bytes=touched)
    for network, shape in (("exercise", PATCH), ("resnet20", (3, 32, 32))):
        weights = starting_weights(NETWORKS[network](shape), np.random.default_rng(0))
        count = sum(array.size for array in weights)
        sizes = {"network": network, "shape": shape}
        name = f"SGD with momentum and weight decay, {count} weights"
        touched = 5.0 * work.FLOAT * count
        yield Case("operations", name, "sgd", sizes, ("tinycnn", "PyTorch"), bytes=touched)


def engine() -> Iterator[Case]:
    """Arrays so small that only the bookkeeping counts."""
    for name, operation, both in (
        ("ReLU", "relu", False),
        ("x + w", "add", False),
        ("x · w", "mul", False),
        ("x @ w", "matmul", False),
        ("x · w, gradients of both", "mul", True),
        ("x @ w, gradients of both", "matmul", True),
    ):
        sizes = {"operation": operation, "shape": (4, 4), "both": both}
        sides = ("tinycnn", "PyTorch", "MyGrad")
        yield Case("engine", name, "engine", sizes, sides, operations=CHAIN)


def all_cases() -> list[Case]:
    """Every row, in the order of the tables."""
    parts = (training, inference, convolutions, windows, operations, networks, engine, scaling)
    return [case for part in parts for case in part()]
