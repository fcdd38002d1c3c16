"""The kernels of the way back, compiled by a second process while this one compiles those of the
way forward.

Numba compiles one kernel at a time, however many cores there are, and on a new machine the first
step of training waits for some 13 s of it. The second process leaves what it compiles in the cache
on disk, where this one finds it. If anything goes wrong there, this one compiles all by itself.
"""

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinycnn.kernels.threads import get_num_threads

FORWARD = "forward"
BACKWARD = ("sum_up", "settle", "gradients", "add_blocks")
PROGRAM = "from tinycnn.kernels.cpu import ahead; ahead.compile_backward({!r})"
PATIENCE = 60  # seconds

_processes: list[subprocess.Popen[bytes]] = []


def missing(kernel: str, types: Any) -> bool:
    """A kernel is not on disk, for arguments of such types: whether it may be there now."""
    if kernel == FORWARD and get_num_threads() > 1 and not _processes:
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
    """What the second process does: the way back through a small block."""
    import numpy as np

    from tinycnn.kernels.cpu.block import Kept, conv_block_grad
    from tinycnn.kernels.types import Geometry

    x, g, weight = (np.zeros(s, dtype) for s in ((1, 8, 4, 4), (1, 8, 2, 2), (8, 8, 3, 3)))
    kept = Kept(np.zeros((1, 8, 256), dtype), np.zeros((1, 8, 2, 8), dtype), np.ones((4, 8), dtype))
    conv_block_grad(g, x, weight, True, Geometry((1, 1), (1, 1, 1, 1), (1, 1), 1), True, kept, True)
