"""A convolution of many channels as products of matrices, which cuBLAS computes: the weight
(O, K) times an image's windows (K, P), for K = C·kh·kw and P output positions.

Chellapilla, Puri & Simard (2006). The windows are copied for a few images at a time, so that they
take no more than MEMORY.
"""

from collections.abc import Iterator
from math import prod

from tinycnn.kernels.cuda.launch import blocks_for, empty, launch
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.reference import output_size
from tinycnn.kernels.types import Array, Geometry, Shape

MEMORY = 1 << 26  # bytes of windows that exist at a time, unless one image has more
MANY = 32  # input and output channels from which a product is taken to be quicker; not measured


def are_worth_it(weight_shape: Shape, geometry: Geometry) -> bool:
    """Whether a convolution has enough channels for matrix products."""
    return geometry.groups == 1 and min(weight_shape[:2]) >= MANY


def conv2d(x: Array, weight: Array, bias: Array | None, geometry: Geometry) -> Array:
    """See the reference; all arrays contiguous and of one dtype."""
    o, *kernel = weight.shape
    size = output_size(x.shape, weight.shape[2:], *geometry[:3])
    y = empty(x, (len(x), o, *size))
    matrix = weight.reshape(o, -1)
    for some in _images(y.shape, weight.shape, x.dtype.itemsize):
        columns = _im2col(x[some], kernel, size, geometry)
        namespace(x).matmul(matrix, columns, out=y[some].reshape(-1, o, prod(size)))
    if bias is not None:
        y += bias[:, None, None]
    return y


def conv2d_input_grad(g: Array, weight: Array, x_shape: Shape, geometry: Geometry) -> Array:
    """See the reference; all arrays contiguous and of one dtype."""
    o, *kernel = weight.shape
    size = g.shape[2:]
    dx = empty(g, x_shape)
    matrix = weight.reshape(o, -1).T
    for some in _images(g.shape, weight.shape, g.dtype.itemsize):
        columns = namespace(g).matmul(matrix, g[some].reshape(-1, o, prod(size)))
        _col2im(columns, dx[some], kernel, size, geometry)
    return dx


def conv2d_weight_grad(g: Array, x: Array, weight_shape: Shape, geometry: Geometry) -> Array:
    """See the reference; all arrays contiguous and of one dtype."""
    o, *kernel = weight_shape
    size = g.shape[2:]
    dw = namespace(g).zeros((o, prod(kernel)), g.dtype)
    for some in _images(g.shape, weight_shape, g.dtype.itemsize):
        columns = _im2col(x[some], kernel, size, geometry)
        dw += (g[some].reshape(-1, o, prod(size)) @ columns.swapaxes(1, 2)).sum(0)
    return dw.reshape(weight_shape)


def _images(y_shape: Shape, weight_shape: Shape, itemsize: int) -> Iterator[slice]:
    """As many images at a time as MEMORY has room for their windows."""
    windows = prod(weight_shape[1:]) * prod(y_shape[2:]) * itemsize
    together = max(1, MEMORY // max(1, windows))
    for start in range(0, y_shape[0], together):
        yield slice(start, min(start + together, y_shape[0]))


def _im2col(x: Array, kernel: list[int], size: Shape, geometry: Geometry) -> Array:
    """The windows (N, K, P) of images."""
    columns = empty(x, (len(x), prod(kernel), prod(size)))
    numbers = _numbers(x.shape, kernel, size, geometry)
    launch("im2col", (x.dtype,), blocks_for(columns.size), x, columns, columns.size, *numbers)
    return columns


def _col2im(columns: Array, x: Array, kernel: list[int], size: Shape, geometry: Geometry) -> None:
    """The windows summed where they came from."""
    numbers = _numbers(x.shape, kernel, size, geometry)
    launch("col2im", (x.dtype,), blocks_for(x.size), columns, x, x.size, *numbers)


def _numbers(x_shape: Shape, kernel: list[int], size: Shape, geometry: Geometry) -> tuple[int, ...]:
    stride, (top, _, left, _), dilation, _ = geometry
    return *x_shape[1:], *size, *kernel[1:], *stride, top, left, *dilation
