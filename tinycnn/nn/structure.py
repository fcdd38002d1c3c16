"""Layers without parameters that pool, drop, pad and reshape, or do nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tinycnn import ops
from tinycnn.nn.init import Generator
from tinycnn.nn.module import Module
from tinycnn.ops.sizes import Size
from tinycnn.tensor import Tensor


class MaxPool2d(Module):
    """The largest element of each window; see `tc.max_pool2d`."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding, self.dilation = kernel_size, padding, dilation
        self.stride = kernel_size if stride is None else stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H′, W′)."""
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window; see `tc.avg_pool2d`."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H′, W′)."""
        return ops.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The sizes."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The means of regions that cover the image; an output size of 1 is global average pooling."""

    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H′, W′)."""
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(AdaptiveAvgPool2d):
    """The maxima of regions that cover the image."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H′, W′)."""
        return ops.adaptive_max_pool2d(x, self.output_size)


class Dropout(Module):
    """In training, each element left out with probability p; see `tc.dropout`."""

    def __init__(self, p: float = 0.5, generator: Generator = None) -> None:
        super().__init__()
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        """In x's shape."""
        return ops.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Flatten(Module):
    """Neighbouring axes made one; by default all but the first."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, …)."""
        flat: Tensor = ops.flatten(x, self.start_dim, self.end_dim)
        return flat


class Pad(Module):
    """A border around the image; see `tc.pad`."""

    def __init__(self, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> None:
        super().__init__()
        self.pad, self.mode, self.value = tuple(pad), mode, value

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H′, W′)."""
        return ops.pad(x, self.pad, self.mode, self.value)

    def extra_repr(self) -> str:
        """The border."""
        return f"{self.pad}, mode={self.mode!r}"


class Identity(Module):
    """x."""

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x
