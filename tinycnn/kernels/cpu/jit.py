"""How the kernels of the CPU are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

from tinycnn.kernels import compilation
from tinycnn.kernels.threads import share
from tinycnn.kernels.types import Array

__all__ = ["jit", "same_dtype", "share"]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def jit(function: Kernel) -> Kernel:
    """Compile a function of arrays at its first call, for the types it is called with.

    The machine code is kept on disk, beside the source or, where that can't be written, in the
    user's cache folder. Sums may be reordered and contracted to fused multiply-adds, but NaN and
    infinity are kept: `nnan` and `ninf` are left out of the fast-math flags.
    """
    flags = {"contract", "reassoc", "nsz"}
    options = {"nogil": True, "error_model": "numpy", "fastmath": flags, "no_cfunc_wrapper": True}
    kernel: Any = numba.njit(**options)(function)
    if kernel is not function:  # as it is with NUMBA_DISABLE_JIT=1
        try:
            kernel._cache = _Cache(function)
        except RuntimeError:  # no folder can be written: compile in every process
            pass
    return kernel


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, but it loads a kernel without what only the compiler needs (half a
    second's imports), and says so when there is none to load."""

    def load_overload(self, signature: Any, target: Any) -> Any:
        rtsys.initialize(target)
        with self._guard_against_spurious_io_errors():
            kernel = self._load_overload(signature, target)
        if kernel is None:
            compilation.begins()
        return kernel


def same_dtype(first: Array, *others: Array | None) -> bool:
    """Whether no array would be promoted, so that one compiled signature serves."""
    return all(other is None or other.dtype == first.dtype for other in others)
