"""From one device to another."""

from __future__ import annotations

from tinycnn.device import device_of, is_on, to_device
from tinycnn.function import Value, differentiable_as
from tinycnn.tensor import Tensor


@differentiable_as("to", saves=("origin",))
def _to(x: Value, device: str) -> Value:
    return to_device(x, device), device_of(x)


@_to.derivative("x")
def _(g: Value, origin: str) -> Value:
    return _to(g, origin)


def transfer(x: Tensor, device: str) -> Tensor:
    """The tensor on a device, "cpu", "cuda" or "cuda:1"; itself if it is there already. The
    gradient goes the way back.

    >>> import tinycnn as tc
    >>> x = tc.tensor([1.0])
    >>> transfer(x, "cpu") is x
    True
    """
    return x if is_on(x.array, device) else _to(x, device)
