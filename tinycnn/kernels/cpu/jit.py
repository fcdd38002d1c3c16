"""How the kernels of the CPU are compiled, and what is kept of that."""

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core import base, caching, event
from numba.core.runtime.nrt import rtsys

from tinycnn.kernels import compilation
from tinycnn.kernels.cpu import ahead
from tinycnn.kernels.threads import share
from tinycnn.kernels.types import Array

__all__ = ["inner", "jit", "part", "same_dtype", "share"]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_numba: Any = numba
_context: Any = base.BaseContext
_event: Any = event
_runtime: Any = rtsys


def jit(function: Kernel) -> Kernel:
    """Compile a function of arrays at its first call, for the types it is called with.

    The machine code is kept on disk, beside the source or, where that can't be written, in the
    user's cache folder. Sums may be reordered and contracted to fused multiply-adds, but NaN and
    infinity are kept: `nnan` and `ninf` are left out of the fast-math flags.
    """
    return _compiled(function)


def inner(function: Kernel) -> Kernel:
    """The same for a function that only kernels call: without what lets Python call it, a tenth
    of the wait."""
    return _compiled(function, no_cpython_wrapper=True)


def _compiled(function: Kernel, **options: bool) -> Kernel:
    options |= {"nogil": True, "no_cfunc_wrapper": True}
    flags = {"contract", "reassoc", "nsz"}
    kernel: Any = _numba.njit(error_model="numpy", fastmath=flags, **options)(function)
    if kernel is not function:  # as it is with NUMBA_DISABLE_JIT=1
        with suppress(RuntimeError):  # no folder can be written: compile in every process
            kernel._cache = _Cache(function)
    return kernel


def part(function: Kernel) -> Kernel:
    """Mark a piece of a kernel that is compiled as lines of the kernel that calls it, and not once
    more by itself: that saves the user a quarter of the wait.
    """
    piece: Kernel = _numba.njit(inline="always")(function)
    return piece


class _Cache(caching.FunctionCache):
    """Numba's cache on disk, which loads a kernel without all that only the compiler needs: its 300
    modules are half of the time until the first step of training. A damaged cache is begun anew,
    and on a full disk there is none."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._kernel = function.__name__

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel for these types, or None."""
        _runtime.initialize(target_context)  # for the arrays that a kernel makes
        found = self._found(sig, target_context)
        if found is None and ahead.missing(self._kernel, sig):
            found = self._found(sig, target_context)
        return found

    def _found(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # whatever unpickling a part of a file may lead to
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep it, if that is possible."""
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


class _Compilation(event.Listener):
    """Hears when Numba finds no machine code on disk. What a compiler makes has no end and is not
    garbage: to look for some all the while takes a tenth of its time."""

    def __init__(self) -> None:
        self.depth, self.collected = 0, False

    def on_start(self, event: Any) -> None:
        """Tell it."""
        compilation.begins()
        if self.depth == 0:
            self.collected = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        """Nobody waits any more."""
        self.depth -= 1
        if self.depth == 0 and self.collected:
            gc.enable()


_event.register("numba:compile", _Compilation())


def _alignment(context: Any, kind: Any) -> int:
    """Of arrays that kernels make, in bytes: that of a line of the cache, which the longest vectors
    fill. Across two of them a vector is loaded twice, and Numba would be content with 32."""
    return 64


_context.get_preferred_array_alignment = _alignment


def same_dtype(first: Array, *others: Array | None) -> bool:
    """Whether no array would be promoted, so that one compiled signature serves."""
    return all(other is None or other.dtype == first.dtype for other in others)
