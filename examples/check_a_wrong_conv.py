"""A convolution with a common mistake: `pytest examples/check_a_wrong_conv.py` fails, and says why.

The right one is in `check_your_own_conv.py`.
"""

import numpy as np

from tinycnn.gradcheck.strategies import conv2d


def correlate(x, weight):
    """A sum over the kernel's taps of x shifted by each: (batch, channels out, rows, columns)."""
    kernel_height, kernel_width = weight.shape[2:]
    rows, columns = x.shape[2] - kernel_height + 1, x.shape[3] - kernel_width + 1
    return sum(
        np.einsum("ncij,oc->noij", x[:, :, k : k + rows, m : m + columns], weight[:, :, k, m])
        for k, m in np.ndindex(kernel_height, kernel_width)
    )


def conv_forward(x, weight, bias):
    """(batch, channels, height, width) to (batch, channels out, rows, columns)."""
    return correlate(x, weight) + bias[:, None, None]


def conv_backward(g, x, weight, bias):
    """The gradients by x, weight and bias, for g the gradient by the output."""
    above, beside = weight.shape[2] - 1, weight.shape[3] - 1
    spread = np.pad(g, [(0, 0), (0, 0), (above, above), (beside, beside)])
    grad_x = correlate(spread, weight.transpose(1, 0, 2, 3))  # the mistake: the kernel as it is
    grad_weight = correlate(x.transpose(1, 0, 2, 3), g.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
    return grad_x, grad_weight, g.sum((0, 2, 3))


def test_my_convolution(check_gradients):
    """All three gradients, over a hundred cases."""
    check_gradients(conv_forward, conv_backward, conv2d(stride=False, padding=False))
