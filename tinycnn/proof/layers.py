"""Generated cases for every layer of `tinycnn.nn`, losses included; parameters are checked too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinycnn as tc
from tinycnn import nn
from tinycnn.proof.functions import Maker
from tinycnn.proof.inputs import Example, Inputs


def learned(a: Inputs, module: nn.Module) -> nn.Module:
    """The module in float64, its parameters and running statistics as if it had been trained."""
    module.double()
    for parameter in module.parameters():
        parameter.array = a.normal(parameter.shape)
    for name, buffer in module.named_buffers():
        if buffer.dtype.kind == "f":
            values = a.positive if name.endswith("running_var") else a.normal
            # numbers that are the same in float32
            buffer.array = values(buffer.shape).astype(np.float32).astype(np.float64)
    return module


def images(a: Inputs, channels: int, least: int = 2, values: str = "normal") -> Any:
    """(1, channels, H, W)."""
    size = (a.integer(least, least + 1), a.integer(least, least + 1))
    return getattr(a, values)((1, channels, *size))


def elementwise(layer: Callable[..., nn.Module], values: str, *settings: Any) -> Maker:
    """A layer that takes any shape, with its default or one of the settings."""

    def make(a: Inputs) -> Example:
        module = a.choice(lambda: layer(), *(lambda s=s: layer(s) for s in settings))()
        return module, (getattr(a, values)(a.maybe_empty()),)

    return make


def along(layer: Callable[[int], nn.Module]) -> Maker:
    """A layer with an axis."""

    def make(a: Inputs) -> Example:
        x = a.normal(a.shape(1, 3)) * a.choice(1.0, 30.0)
        return layer(a.integer(-x.ndim, x.ndim - 1)), (x,)

    return make


def on_images(build: Callable[[Inputs], nn.Module], values: str) -> Maker:
    """A layer that takes one or two channels and at least 3×3 pixels."""
    return lambda a: (build(a), (images(a, a.integer(1, 2), 3, values),))


def conv2d(a: Inputs) -> Example:
    """Settings as a user writes them."""
    groups, kernel = a.choice(1, 1, 2), (a.integer(1, 2), a.integer(1, 2))
    c, o = groups * a.integer(1, 2 // groups), groups * a.integer(1, 2)
    padding = a.choice(0, 1, "same")
    stride = 1 if padding == "same" else a.choice(1, 2)
    module = nn.Conv2d(c, o, kernel, stride, padding, groups=groups, bias=a.choice(True, False))
    return learned(a, module), (images(a, c),)


def linear(a: Inputs) -> Example:
    """With a bias or without."""
    module = nn.Linear(a.integer(1, 3), a.integer(1, 3), a.choice(True, False))
    return learned(a, module), (a.normal((*a.shape(0, 2), module.in_features)),)


def batch_norm(training: bool) -> Maker:
    """By the batch's statistics or by the running ones."""

    def make(a: Inputs) -> Example:
        c = a.integer(1, 2)
        module = learned(a, nn.BatchNorm2d(c)).train(training)
        return module, (a.normal((2, c, 2, a.integer(1, 2))),)

    return make


def dropout(training: bool) -> Maker:
    """In training and in use."""

    def make(a: Inputs) -> Example:
        module = nn.Dropout(a.choice(0.5, 0.1, 0.9)).train(training)
        return module, (a.normal(a.shape()),)

    return make


def maxout(a: Inputs) -> Example:
    """With ties."""
    pieces = a.integer(1, 3)
    return nn.Maxout(pieces), (a.tied((2, 2 * pieces, *a.shape(0, 2))),)


def sequential(a: Inputs) -> Example:
    """Two layers; the second may be the first again, so that its parameters are used twice."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    middle = a.choice(nn.Tanh(), nn.ReLU())
    module = nn.Sequential(first, middle, a.choice(second, first))
    return learned(a, module), (a.normal((a.integer(1, 3), 2)),)


def residual(a: Inputs) -> Example:
    """Around a convolution, with the input itself or another convolution as the shortcut."""
    c = a.integer(1, 2)
    shortcut = a.choice(None, nn.Conv2d(c, c, 1))
    module = nn.Residual(nn.Conv2d(c, c, a.choice(1, (1, 3)), padding="same"), shortcut)
    return learned(a, module), (images(a, c),)


def concat(a: Inputs) -> Example:
    """Two or three branches that see the same input."""
    c = a.integer(1, 2)
    branches = nn.Conv2d(c, a.integer(1, 2), 1), nn.Identity(), nn.Conv2d(c, 1, 2, padding="same")
    return learned(a, nn.Concat(*branches[: a.integer(2, 3)])), (images(a, c),)


def loss(layer: Callable[[str], nn.Module], probabilities: bool = False) -> Maker:
    """A prediction and a target of one shape."""

    def make(a: Inputs) -> Example:
        shape = a.shape()
        x = a.uniform(shape) if probabilities else a.wide(shape)
        return layer(a.choice("mean", "sum", "none")), (x, a.uniform(shape))

    return make


def cross_entropy(a: Inputs) -> Example:
    """Logits and class numbers."""
    shape = (a.integer(1, 3), a.integer(1, 4), *a.shape(0, 1))
    target = tc.tensor(a.rng.integers(0, shape[1], (shape[0], *shape[2:])))
    module = nn.CrossEntropyLoss(a.choice("mean", "sum", "none"))
    return module, (a.normal(shape) * a.choice(1.0, 30.0), target)


LAYERS: dict[str, Maker] = {
    "nn.Conv2d": conv2d,
    "nn.Linear": linear,
    "nn.BatchNorm2d": batch_norm(True),
    "nn.BatchNorm2d in use": batch_norm(False),
    "nn.ReLU": elementwise(nn.ReLU, "tied"),
    "nn.LeakyReLU": elementwise(nn.LeakyReLU, "tied", 0.2),
    "nn.ELU": elementwise(nn.ELU, "wide", 1.3),
    "nn.Sigmoid": elementwise(nn.Sigmoid, "wide"),
    "nn.Tanh": elementwise(nn.Tanh, "wide"),
    "nn.Softplus": elementwise(nn.Softplus, "wide", 0.5),
    "nn.Softmax": along(nn.Softmax),
    "nn.LogSoftmax": along(nn.LogSoftmax),
    "nn.Maxout": maxout,
    "nn.MaxPool2d": on_images(lambda a: nn.MaxPool2d(*a.choice((2,), (3, 2, 1))), "tied"),
    "nn.AvgPool2d": on_images(lambda a: nn.AvgPool2d(*a.choice((2,), (3, 2, 1))), "normal"),
    "nn.AdaptiveMaxPool2d": on_images(lambda a: nn.AdaptiveMaxPool2d(a.choice(1, 2, 3)), "tied"),
    "nn.AdaptiveAvgPool2d": on_images(lambda a: nn.AdaptiveAvgPool2d(a.choice(1, 2, 3)), "normal"),
    "nn.Dropout": dropout(True),
    "nn.Dropout in use": dropout(False),
    "nn.Flatten": on_images(lambda a: nn.Flatten(a.integer(0, 1)), "normal"),
    "nn.Pad": on_images(lambda a: nn.Pad((1, 0, 2, 1), a.choice("constant", "reflect")), "normal"),
    "nn.Identity": elementwise(nn.Identity, "scaled"),
    "nn.Sequential": sequential,
    "nn.Residual": residual,
    "nn.Concat": concat,
    "nn.MSELoss": loss(nn.MSELoss),
    "nn.BCELoss": loss(nn.BCELoss, probabilities=True),
    "nn.BCEWithLogitsLoss": loss(nn.BCEWithLogitsLoss),
    "nn.CrossEntropyLoss": cross_entropy,
}

# Not called with an input: the base of all, a tensor, and what only holds modules.
NO_LAYERS = {"Module", "Parameter", "ModuleList", "ModuleDict"}
