"""Is my convolution differentiated right? `pytest examples/check_your_own_conv.py` says so.

The test is the last three lines, and an import. It tries `conv_backward` on a hundred small
generated convolutions, against an independent derivative that is exact to rounding. In
`check_a_wrong_conv.py` the same test meets a common mistake; watch it fail.
"""

import numpy as np

from tinycnn.gradcheck.strategies import conv2d


def windows(x, weight, stride):
    """All windows of x under the kernel, (batch, channels, rows, columns, kernel, kernel)."""
    all_windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return all_windows[:, :, ::stride, ::stride]


def padded(x, padding):
    """Zeros around every image."""
    return np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])


def conv_forward(x, weight, bias, stride, padding):
    """(batch, channels, height, width) to (batch, channels out, rows, columns)."""
    y = np.einsum("ncijkl,ockl->noij", windows(padded(x, padding), weight, stride), weight)
    return y + bias[:, None, None]


def conv_backward(g, x, weight, bias, stride, padding):
    """The gradients by x, weight and bias, for g the gradient by the output."""
    x = padded(x, padding)
    grad_weight = np.einsum("noij,ncijkl->ockl", g, windows(x, weight, stride))
    grad_x = np.zeros_like(x)
    for i, j in np.ndindex(g.shape[2:]):
        rows = slice(i * stride, i * stride + weight.shape[2])
        columns = slice(j * stride, j * stride + weight.shape[3])
        grad_x[:, :, rows, columns] += np.einsum("no,ockl->nckl", g[:, :, i, j], weight)
    height, width = grad_x.shape[2:]
    grad_x = grad_x[:, :, padding : height - padding, padding : width - padding]
    return grad_x, grad_weight, g.sum((0, 2, 3))


def test_my_convolution(check_gradients):
    """All three gradients, over a hundred cases."""
    check_gradients(conv_forward, conv_backward, conv2d())
