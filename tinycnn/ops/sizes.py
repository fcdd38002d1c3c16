"""What the sizes given to a convolution or pooling mean."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from tinycnn.kernels.types import Padding, Pair

Size = int | Sequence[int]


def pair(name: str, value: Size, least: int = 1) -> Pair:
    """(vertical, horizontal) from one number or two."""
    try:
        both = tuple(map(index, value)) if isinstance(value, Sequence) else (index(value),) * 2
    except TypeError:
        both = ()
    if len(both) != 2 or min(both) < least:
        raise ValueError(f"{name} must be one or two integers of at least {least}, not {value!r}")
    return both


def border(
    operation: str, padding: Size | str, kernel: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """(top, bottom, left, right) from a number, a pair, 'valid' (none) or 'same' (the output as
    large as the input; an odd rest goes to the bottom and the right, as in PyTorch).
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{operation}: padding 'same' needs stride 1, not {stride}")
        vertical, horizontal = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (
            vertical // 2,
            vertical - vertical // 2,
            horizontal // 2,
            horizontal - horizontal // 2,
        )
    if isinstance(padding, str):
        raise ValueError(f"{operation}: padding is a size, 'same' or 'valid', not {padding!r}")
    vertical, horizontal = pair(f"{operation}: padding", padding, least=0)
    return vertical, vertical, horizontal, horizontal


def check_window(
    operation: str, shape: Sequence[int], kernel: Pair, padding: Padding, dilation: Pair
) -> None:
    """Refuse what is no batch of images, or smaller than the window that slides over it."""
    if len(shape) != 4:
        raise ValueError(f"{operation}: input has shape {tuple(shape)}, needs (N, C, H, W)")
    top, bottom, left, right = padding
    height, width = shape[2] + top + bottom, shape[3] + left + right
    tall, wide = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    if height < tall or width < wide:
        raise ValueError(
            f"{operation}: the window of {tall}×{wide} is larger than the padded input of "
            f"{height}×{width}"
        )
