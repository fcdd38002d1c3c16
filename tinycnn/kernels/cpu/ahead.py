"""The kernels of the way back, compiled by a second process while this one compiles those of the
way forward.

Numba compiles one kernel at a time, however many cores there are, and on a new machine the first
step of training waits for 7 to 13 s of it. The second process leaves what it compiles in the cache
on disk, where this one finds it. If anything goes wrong there, this one compiles all by itself.
"""

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinycnn.kernels.threads import get_num_threads, set_num_threads

FIRST = "pack"  # the first kernel that a convolution wants
BACKWARD = ("sum_up", "settle", "gradients", "add_blocks")
# when all is on disk it ends at once: to put a compiler away takes another fifth of a second
PROGRAM = (
    "import os; from tinycnn.kernels.cpu import ahead; ahead.compile_backward({!r}); os._exit(0)"
)
PATIENCE = 60  # seconds

_processes: list[subprocess.Popen[bytes]] = []


def missing(kernel: str, types: Any) -> bool:
    """A kernel is not on disk, for arguments of such types: whether it may be there now."""
    if kernel == FIRST and get_num_threads() > 1 and not _processes:
        _begin(next(str(kind.dtype) for kind in types if hasattr(kind, "dtype")))
    if kernel not in BACKWARD or not _processes:
        return False
    with suppress(subprocess.TimeoutExpired):
        _processes[0].wait(PATIENCE)
    return True


def _begin(dtype: str) -> None:
    """Start the second process, unless this one is a program with a Python inside."""
    command, quiet = [sys.executable, "-c", PROGRAM.format(dtype)], subprocess.DEVNULL
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    if Path(sys.executable or "").name.startswith("python"):
        with suppress(OSError):
            _processes.append(
                subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment)
            )


@atexit.register
def _end() -> None:
    for process in _processes:
        process.kill()
        process.wait()


def compile_backward(dtype: str) -> None:
    """What the second process does: what the other one wants last on the way forward, and the way
    back through a small block. By then it finds on disk what both ways have in common."""
    import numpy as np

    from tinycnn.kernels.cpu.block import Kept, conv_block_grad
    from tinycnn.kernels.cpu.block_forward import combine, finish
    from tinycnn.kernels.cpu.convolution import add_blocks
    from tinycnn.kernels.types import Geometry

    set_num_threads(1)  # it begins no third
    x, g, weight = (np.zeros(s, dtype) for s in ((1, 8, 4, 4), (1, 8, 2, 2), (8, 8, 3, 3)))
    statistics, variance = np.zeros((2, 1, 8)), np.zeros(8, dtype)
    kept = Kept(np.zeros((1, 8, 256), dtype), np.zeros((1, 8, 2, 8), dtype), np.ones((4, 8), dtype))
    combine(statistics, 16, 1e-5, kept.norm, variance)
    finish(0, 1, kept.peaks, kept.norm, 8, True, g)
    add_blocks(weight[None], weight)
    conv_block_grad(g, x, weight, True, Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1), True, kept, True)
