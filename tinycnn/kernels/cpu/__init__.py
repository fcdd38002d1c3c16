"""The kernels where training spends its time, made fast for float32 and float64 on the CPU.

Names, signatures and results are those of `tinycnn.kernels.reference`; Numba compiles them at
their first call and keeps the machine code on disk. What is missing here, or is called in a way
that is not worth a fast path, falls back to the reference.
"""

from typing import Any

from tinycnn.kernels import reference
from tinycnn.kernels.cpu.activation import add_relu, elu, elu_grad, relu, relu_grad, sigmoid
from tinycnn.kernels.cpu.block import (
    can_fuse,
    conv_block,
    conv_block_grad,
    conv_block_inference,
)
from tinycnn.kernels.cpu.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from tinycnn.kernels.cpu.matrix import matmul
from tinycnn.kernels.cpu.normalization import batch_norm, batch_norm_grad, moments
from tinycnn.kernels.cpu.optimization import sgd_step
from tinycnn.kernels.cpu.pooling import max_pool2d, max_pool2d_scatter
from tinycnn.kernels.cpu.sum_pooling import sum_pool2d, sum_pool2d_input_grad

__all__ = [
    "add_relu",
    "batch_norm",
    "batch_norm_grad",
    "can_fuse",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_block",
    "conv_block_grad",
    "conv_block_inference",
    "elu",
    "elu_grad",
    "matmul",
    "max_pool2d",
    "max_pool2d_scatter",
    "moments",
    "relu",
    "relu_grad",
    "sgd_step",
    "sigmoid",
    "sum_pool2d",
    "sum_pool2d_input_grad",
]


def __getattr__(kernel: str) -> Any:
    """What is missing here, from the reference."""
    return getattr(reference, kernel)
