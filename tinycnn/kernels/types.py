"""The types that kernels speak in."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

# Any array of the NumPy kind: numpy.ndarray here, cupy.ndarray on a GPU.
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

Pair = tuple[int, int]  # vertical, horizontal
Padding = tuple[int, int, int, int]  # top, bottom, left, right
Shape = tuple[int, ...]


class Geometry(NamedTuple):
    """How a convolution's kernel slides over an image.

    Attributes:
        stride: steps between neighbouring outputs.
        padding: rows and columns of zeros around the image.
        dilation: steps between neighbouring kernel elements.
        groups: the channels are cut into so many groups that do not see each other.
    """

    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
