"""The machine and the libraries the figures belong to."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARIES = ("numpy", "numba", "torch", "jax", "mygrad")
VECTORS = ("sse4_2", "neon", "asimd", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile")


def threads() -> int:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(count: int = 0, compiled: str = "") -> dict[str, str]:
    """The environment of a process.

    Args:
        count: the threads its libraries may use; 0 for as many as this process may.
        compiled: the folder where Numba keeps what it has compiled; by default its usual one.
    """
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    fixed = {f"{pool}_NUM_THREADS": str(count or threads()) for pool in pools}
    cache = {"NUMBA_CACHE_DIR": compiled} if compiled else {}
    return {**os.environ, **fixed, **cache}


def _cpu() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo, where there is one."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().split("\n\n")[0].splitlines() if file.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def description() -> dict[str, str]:
    """Its name, cores, vector extensions, the versions of all libraries, and the date."""
    cpu = _cpu()
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    return {
        "CPU": cpu.get("model name", platform.processor() or platform.machine()),
        "threads": f"{threads()} of {os.cpu_count()} cores",
        "vector extensions": ", ".join(name for name in VECTORS if name in flags) or "unknown",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
        "load before": f"{os.getloadavg()[0]:.2f} (others take cores from all sides, not alike)",
        "date": datetime.date.today().isoformat(),
    }
