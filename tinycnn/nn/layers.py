"""Layers with parameters: convolution, linear, batch normalisation."""

from __future__ import annotations

import math

import numpy as np

from tinycnn import ops
from tinycnn.nn import init
from tinycnn.nn.module import Module
from tinycnn.nn.parameter import Parameter
from tinycnn.ops.sizes import Size, pair
from tinycnn.tensor import Tensor


def _learned(*shape: int) -> Parameter:
    return Parameter(np.empty(shape, np.float32))


def _initialise(weight: Parameter, bias: Parameter | None, generator: init.Generator) -> None:
    """PyTorch's default: both uniform in ±1/√(fan in)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / math.sqrt(init.fans(weight)[0])
        init.uniform_(bias, -bound, bound, generator)


class Conv2d(Module):
    """Convolution of images (N, in_channels, H, W); see `tc.conv2d` for the sizes.

    Parameters: weight (out_channels, in_channels / groups, kh, kw), bias (out_channels,).
    `generator` draws the first weights; `tc.manual_seed`'s by default.

    >>> import tinycnn as tc
    >>> from tinycnn import nn
    >>> nn.Conv2d(1, 8, 3, padding="same")(tc.zeros(2, 1, 60, 60)).shape
    (2, 8, 60, 60)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        generator: init.Generator = None,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: {in_channels} input and {out_channels} output channels do not divide "
                f"into {groups} groups"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair("Conv2d: kernel_size", kernel_size)
        self.stride = pair("Conv2d: stride", stride)
        self.padding = padding
        self.dilation = pair("Conv2d: dilation", dilation)
        self.groups = groups
        self.weight = _learned(out_channels, in_channels // groups, *self.kernel_size)
        self.bias = _learned(out_channels) if bias else None
        _initialise(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(N, out_channels, H′, W′)."""
        return ops.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """The settings that are not the defaults."""
        told = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        if self.stride != (1, 1):
            told.append(f"stride={self.stride}")
        if self.padding not in (0, "valid"):
            told.append(f"padding={self.padding!r}")
        if self.dilation != (1, 1):
            told.append(f"dilation={self.dilation}")
        if self.groups != 1:
            told.append(f"groups={self.groups}")
        if self.bias is None:
            told.append("bias=False")
        return ", ".join(told)


class Linear(Module):
    """x Wᵀ + b: (…, in_features) to (…, out_features), every input to every output.

    Parameters: weight (out_features, in_features), bias (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        generator: init.Generator = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = _learned(out_features, in_features)
        self.bias = _learned(out_features) if bias else None
        _initialise(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(…, out_features)."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        has = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has}"


class BatchNorm2d(Module):
    """Batch normalisation of images (N, num_features, H, W); see `tc.batch_norm`.

    Parameters: weight (C,) begins at 1, bias (C,) at 0. Buffers: running_mean, running_var,
    num_batches_tracked.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)))
        self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)))
        self.register_buffer("num_batches_tracked", Tensor(np.array(0)))

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        if self.training:
            self.count_batch()
        return ops.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )

    def count_batch(self) -> None:
        """One more that the running statistics have followed."""
        self.num_batches_tracked.array += 1

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
