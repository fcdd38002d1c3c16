"""PyTorch in three modes: as it is (eager), with channels last in memory, and compiled.

What is compiled gets channels-last arrays too: its compiler would turn images to that by itself, at
every call.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch._functorch import config

from benchmarks.networks import Array, Network, Shape, build
from benchmarks.sides.torchlike import Torchlike

torch.set_num_threads(len(os.sched_getaffinity(0)))
config.donated_buffer = False  # a compiled graph is walked back more than once


class Residual(torch.nn.Module):
    """The one layer that PyTorch does not have."""

    def __init__(self, body: torch.nn.Module, shortcut: torch.nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        """The sum of both ways."""
        return self.body(x) + self.shortcut(x)


class Layers:
    """The layers of `torch.nn`, and `Residual`."""

    Residual = Residual

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.nn, name)


class PyTorch(Torchlike):
    """PyTorch in one of its modes."""

    def __init__(self, mode: str) -> None:
        super().__init__(torch, torch.nn.functional)
        self.mode = mode
        self.channels_last = mode != "eager"

    def tensor(self, array: Array, requires_grad: bool = False) -> Any:
        """A leaf of these numbers, images channels-last unless eager."""
        tensor = torch.from_numpy(array).clone()
        if self.channels_last and tensor.dim() == 4:
            tensor = tensor.to(memory_format=torch.channels_last)
        return tensor.requires_grad_(requires_grad)

    def gradients_of(self, y: Any, inputs: list[Any], g: Any) -> Any:
        """The gradients, `.grad` being left alone."""
        return torch.autograd.grad(y, inputs, g, retain_graph=True)

    def network(self, name: str, shape: Shape, layers: Network) -> Any:
        """A network of these layers."""
        model = build(layers, Layers())
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def tuned(self, function: Any) -> Any:
        """Compiled in that mode, for the one size it will meet."""
        return torch.compile(function, dynamic=False) if self.mode == "compiled" else function


def side(mode: str) -> PyTorch:
    """PyTorch in the mode named 'eager', 'channels-last' or 'compiled'."""
    return PyTorch(mode)


def forget() -> None:
    """Drop what was compiled for the last case."""
    torch._dynamo.reset()
