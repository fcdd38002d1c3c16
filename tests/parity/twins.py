"""The same network in both libraries, with the same weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from tinycnn import nn

from .harness import Library, Measured, compare, listed, ours, theirs, torch

Twins = tuple[Any, Any]


def state(lib: Library, model: Any) -> Measured:
    """Every parameter and buffer by name, copied."""
    return {name: lib.array(tensor) for name, tensor in model.state_dict().items()}


def twins(build: Callable[[Library], Any]) -> Twins:
    """What `build` makes in each library, in float64 and with tinycnn's weights in both."""
    return alike(build(ours), build(theirs))


def alike(mine: Any, other: Any) -> Twins:
    """Both in float64, `other` with the weights of `mine`; their keys must be the same."""
    mine, other = mine.double(), other.double()
    # strict: the keys too, and their order, by which optimisers count
    assert list(mine.state_dict()) == list(other.state_dict())
    assert shapes(mine) == shapes(other)
    other.load_state_dict({k: torch.tensor(v) for k, v in state(ours, mine).items()})
    return mine, other


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def measure_model(lib: Library, model: Any, x: np.ndarray, seed: int) -> Measured:
    """A network's output, its gradients by name, and its state afterwards."""
    leaf = lib.leaf(x)
    outputs = listed(model(leaf))
    chance = np.random.default_rng(seed)
    cotangents = [lib.leaf(chance.standard_normal(tuple(y.shape))).detach() for y in outputs]
    names, parameters = zip(("input", leaf), *model.named_parameters(), strict=True)
    gradients = lib.grad(outputs, parameters, cotangents)
    found = {f"output {i}": lib.array(y) for i, y in enumerate(outputs)}
    found |= {f"gradient of {n}": lib.array(g) for n, g in zip(names, gradients, strict=True)}
    return found | state(lib, model)


def models_agree(pair: Twins, x: np.ndarray, seed: int = 0, noise: float = 1e-12) -> None:
    """Assert that both networks give the same in training, and then in use."""
    for training in (True, False):
        mine, other = (model.train(training) for model in pair)
        compare(
            measure_model(ours, mine, x, seed), measure_model(theirs, other, x, seed), noise=noise
        )


# ---- a network of tinycnn's built again from PyTorch's layers ----------------------------------


class Residual(torch.nn.Module):
    def __init__(self, body: Any, shortcut: Any) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        return self.body(x) + self.shortcut(x)


class Concat(torch.nn.Module):
    def __init__(self, branches: dict[str, Any], dim: int) -> None:
        super().__init__()
        self.dim = dim
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Any) -> Any:
        return torch.cat([branch(x) for branch in self.children()], self.dim)


LAYERS: dict[type, tuple[str, ...]] = {
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation"),
    nn.AvgPool2d: ("kernel_size", "stride", "padding", "count_include_pad"),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.BatchNorm2d: ("num_features", "eps", "momentum"),
    nn.Dropout: ("p",),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Identity: (),
    nn.ReLU: (),
    nn.Tanh: (),
    nn.Sigmoid: (),
}
WITH_BIAS: dict[type, tuple[str, ...]] = {
    nn.Conv2d: (
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
    ),
    nn.Linear: ("in_features", "out_features"),
}


def translated(module: Any) -> Any:
    """A module of tinycnn's in PyTorch."""
    parts = OrderedDict((name, translated(part)) for name, part in module.named_children())
    kind = type(module)
    if kind is nn.Sequential:
        return torch.nn.Sequential(parts)
    if kind is nn.Residual:
        return Residual(**parts)
    if kind is nn.Concat:
        return Concat(parts, module.dim)
    options = {name: getattr(module, name) for name in LAYERS.get(kind, WITH_BIAS.get(kind))}
    if kind in WITH_BIAS:
        options["bias"] = module.bias is not None
    return getattr(torch.nn, kind.__name__)(**options)
