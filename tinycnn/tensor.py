"""The array that remembers how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn.device import device_of, to_device
from tinycnn.grad_mode import has_derivatives
from tinycnn.kernels.namespace import readonly
from tinycnn.kernels.types import Array

if TYPE_CHECKING:
    from tinycnn.hooks import HookHandle
    from tinycnn.node import Node

Hook = Callable[["Tensor"], "Tensor | None"]


class Tensor:
    """An array, whether a gradient is wanted for it, and the node of the graph that made it.

    Operators and methods are attached by `tinycnn.ops.methods`, `backward` by
    `tinycnn.autograd` and hooks by `tinycnn.hooks`.

    Attributes:
        array: the NumPy (or CuPy) array itself. Written to directly, it changes unseen by the
            check that protects derivatives; change the Tensor instead (`x[0] = 1`, `x -= y`).
        grad: after `backward`, the gradient: a Tensor of the same shape and dtype.
        node: the operation that made it; None for a leaf.
    """

    __slots__ = ("__weakref__", "_requires_grad", "array", "changes", "grad", "hooks", "node")

    # NumPy leaves `array + tensor` to `Tensor.__radd__`.
    __array_ufunc__ = None

    if TYPE_CHECKING:  # what `tinycnn.ops.methods` and `tinycnn.autograd` attach

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

        backward: Callable[..., None]
        register_hook: Callable[..., HookHandle]
        retain_grad: Callable[..., None]

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        if not hasattr(array, "dtype"):
            raise TypeError(f"Tensor: needs an array, not {type(array).__name__}; use tc.tensor()")
        self.array = array
        self.node: Node | None = None
        self.grad: Tensor | None = None
        self.hooks: dict[int, Hook] | None = None
        self.changes = [0]  # how often the memory was changed in place; views share the list
        self._requires_grad = False  # what `requires_grad` says; operations look here
        if requires_grad:
            self.requires_grad_()

    # ---- what it is ----------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an element."""
        return self.array.dtype

    @property
    def device(self) -> str:
        """Where it lives: "cpu", "cuda:0", …"""
        return device_of(self.array)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self.node is None

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient, or no longer; only floating-point tensors have one."""
        if requires_grad and not has_derivatives(self.dtype):
            raise TypeError(
                f"requires_grad: a {self.dtype} tensor has no gradient; make it floating-point"
            )
        if not requires_grad and self.node is not None:
            raise ValueError("requires_grad_(False): only a leaf can be told so; use detach()")
        self._requires_grad = requires_grad
        return self

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives are taken with respect to this tensor."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    # ---- out of the graph ------------------------------------------------------------------

    def detach(self) -> Tensor:
        """The same memory as a tensor of its own, cut from the graph."""
        out = Tensor(self.array)
        out.changes = self.changes
        return out

    @property
    def data(self) -> Tensor:
        """The same memory, cut from the graph; `p.data -= …` changes `p`, and is counted."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        self.changes[0] += 1  # for derivatives that need the old values
        self.array, self.changes = value.array, value.changes

    def numpy(self) -> Array:
        """The values as a NumPy array to read: it shares the memory and can't be written to.

        Raises:
            TypeError: the tensor is on another device.
        """
        if self.device != "cpu":
            raise TypeError(f"numpy: the tensor is on {self.device}; copy it with .to('cpu')")
        view: Array = readonly(self.array)
        return view

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.array.item()

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self.array.tolist()

    def __float__(self) -> float:
        return float(self.array.item())

    def __int__(self) -> int:
        return int(self.array.item())

    def __bool__(self) -> bool:
        return bool(self.array)

    def __index__(self) -> int:
        return self.array.__index__()

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__  # `==` compares elements; a tensor is its own key

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __repr__(self) -> str:
        values = np.asarray(to_device(self.array, "cpu"))
        body = np.array2string(values, separator=", ", prefix="tensor(")
        if self.device != "cpu":
            body += f", device='{self.device}'"
        if self.dtype not in (np.float32, np.int64, np.bool_):
            body += f", dtype={self.dtype}"
        if self.node is not None:
            body += f", made_by={self.node.name}"
        elif self.requires_grad:
            body += ", requires_grad=True"
        return f"tensor({body})"


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, device: str | None = None
) -> Tensor:
    """A leaf tensor with a copy of some data.

    Args:
        data: numbers, nested lists, an array (NumPy's or CuPy's) or a Tensor.
        dtype: of the result; else Python floats become float32, arrays keep theirs.
        requires_grad: ask for its gradient.
        device: where it is to live; else where the data are.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    tensor([[1., 2.],
            [3., 4.]], requires_grad=True)
    """
    if isinstance(data, Tensor):
        data = data.array
    is_array = hasattr(data, "dtype") and not isinstance(data, np.generic)
    array = data.copy() if is_array else np.array(data)
    if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        dtype = np.float32  # Python numbers, as in PyTorch
    if array.dtype == object:
        raise TypeError("tensor: the data are not numbers in a regular shape")
    array = array if dtype is None else array.astype(dtype)
    return Tensor(array if device is None else to_device(array, device), requires_grad)
