"""Borders around an image."""

from __future__ import annotations

from collections.abc import Sequence

from tinycnn import kernels
from tinycnn.function import Value, differentiable_as
from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Padding
from tinycnn.tensor import Tensor

# NumPy's name for what PyTorch calls a mode
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@differentiable_as("pad")
def frame(x: Value, padding: Padding, value: float) -> Value:
    """The operation under `pad` with a constant."""
    return kernels.of(x).pad(x, padding, value)


@frame.derivative("x")
def _(g: Value, x_shape: tuple[int, ...], padding: Padding) -> Value:
    top, _, left, _ = padding
    height, width = x_shape[-2:]
    return g[..., top : top + height, left : left + width]


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """A border around the last two axes.

    Args:
        x: (…, H, W).
        pad: (left, right) or (left, right, top, bottom), PyTorch's order; at least 0.
        mode: 'constant'; 'reflect' (mirrored, the edge not repeated); 'replicate' (the edge
            repeated); 'circular' (the other side).
        value: the constant.

    >>> import tinycnn as tc
    >>> tc.pad(tc.tensor([[1.0, 2.0, 3.0]]), (2, 1), "reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    if len(pad) not in (2, 4) or min(pad) < 0 or x.ndim < 2:
        raise ValueError(
            f"pad: {tuple(pad)} must be (left, right) or (left, right, top, bottom), of at least "
            "0, for an input of at least two axes"
        )
    left, right, top, bottom = (*pad, 0, 0)[:4]
    if mode == "constant":
        return frame(x, (top, bottom, left, right), value)
    if mode not in MODES:
        raise ValueError(f"pad: mode {mode!r} is none of constant, {', '.join(MODES)}")
    height, width = x.shape[-2:]
    most = {"reflect": (height - 1, width - 1), "circular": (height, width)}.get(mode)
    if most and (max(top, bottom) > most[0] or max(left, right) > most[1]):
        raise ValueError(f"pad: {tuple(pad)} is more than an image of {height}×{width} can {mode}")
    xp = namespace(x.array)
    rows = xp.pad(xp.arange(height), (top, bottom), MODES[mode])
    columns = xp.pad(xp.arange(width), (left, right), MODES[mode])
    return x[..., rows, :][..., columns]
