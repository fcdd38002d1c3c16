"""Looking out for another thread, awake and outside the interpreter's lock."""

import os
from typing import Any

import numba
from numba import types

from tinycnn.kernels.cpu.jit import jit

_config: Any = numba.config

# Some 0.5 µs each; where there is no such function in the C library, nobody looks.
LOOKS = 2000 if hasattr(os, "sched_yield") and not _config.DISABLE_JIT else 0
_yield = types.ExternalFunction("sched_yield", types.intc())


@jit
def wait(theirs: Any, least: int, mine: Any, number: int, looks: int, delay: int) -> None:
    """Show `number` in `mine`, then look until `theirs` has reached `least`, or `looks` times;
    then stay away for as long as `delay` further looks.

    Every look lets others have the core that it was taken on. The numbers are hints, so it does
    not matter when a write becomes visible, only that the call keeps the compiler from reading
    once for all.
    """
    mine[0] = number
    for _ in range(looks):
        if theirs[0] >= least:
            for _ in range(delay):
                _yield()
            return
        _yield()
