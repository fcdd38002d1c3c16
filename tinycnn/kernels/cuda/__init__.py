"""The kernels where training spends its time, made fast for float32 and float64 on a GPU.

Names, signatures and results are those of `tinycnn.kernels.reference`. The kernels themselves are
in `kernels.cu`; CuPy compiles each at its first call and keeps the machine code on disk. Nothing
here waits for the device or copies from it. What is missing here, or is called in a way that is
not worth a fast path, falls back to the reference, which CuPy runs operation by operation.

CuPy compiles with `-ftz=true`: float32 numbers below 1.2e-38 count as 0 on a GPU.
"""

from typing import Any

from tinycnn.kernels import reference
from tinycnn.kernels.cuda.activation import add_relu, relu, relu_grad
from tinycnn.kernels.cuda.block import (
    can_fuse,
    conv_block,
    conv_block_grad,
    conv_block_inference,
)
from tinycnn.kernels.cuda.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from tinycnn.kernels.cuda.dropout import dropout_mask
from tinycnn.kernels.cuda.graph import Graph
from tinycnn.kernels.cuda.matrix import matmul
from tinycnn.kernels.cuda.normalization import batch_norm, batch_norm_grad, moments
from tinycnn.kernels.cuda.optimization import sgd_step
from tinycnn.kernels.cuda.pooling import max_pool2d, max_pool2d_gather, max_pool2d_scatter
from tinycnn.kernels.types import Array

__all__ = [
    "Graph",
    "add_relu",
    "are_classes",
    "batch_norm",
    "batch_norm_grad",
    "can_fuse",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_block",
    "conv_block_grad",
    "conv_block_inference",
    "dropout_mask",
    "matmul",
    "max_pool2d",
    "max_pool2d_gather",
    "max_pool2d_scatter",
    "moments",
    "relu",
    "relu_grad",
    "sgd_step",
]


def are_classes(target: Array, classes: int) -> bool:
    """Nobody looks: that would be waiting for the device."""
    return True


def __getattr__(kernel: str) -> Any:
    """What is missing here, from the reference."""
    return getattr(reference, kernel)
