"""Launching a kernel of `kernels.cu`: the one place where arguments meet parameters.

CuPy hands a kernel whatever it is given: a float64 array where it reads float32, a 64-bit integer
where it reads 32 bits. So the parameters are read off the source, and every argument is checked
against them.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinycnn.kernels.namespace import namespace
from tinycnn.kernels.types import Array, Shape

SOURCE = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
CONSTANTS = {n: int(v) for n, v in re.findall(r"^constexpr int (\w+) = (\d+);", SOURCE, re.M)}
THREADS = CONSTANTS["THREADS"]

LARGEST = 1 << 30  # elements of an array: the kernels count in 32 bits
SLICE = 4096  # elements of a long sum that a block takes, at least
SLICES = 64  # of a long sum at most

_KERNEL = re.compile(
    r"(?:template <(?P<template>[^>]*)>\s*)?"
    r"__global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(?P<name>\w+)\((?P<parameters>[^)]*)\)"
)
_DTYPES = {
    "int": np.dtype(np.int32),
    "unsigned char": np.dtype(np.uint8),
    "unsigned long long": np.dtype(np.uint64),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "bool": np.dtype(np.bool_),
}
_WORDS = {dtype: word for word, dtype in _DTYPES.items()}
_REALS = {_DTYPES["float"], _DTYPES["double"]}
_NULL = np.uint64(0)  # as CuPy passes an address


class Parameter(NamedTuple):
    """One of a kernel's: `const T* x` is the pointer x to T."""

    name: str
    type: str
    pointer: bool


@cache
def signatures() -> dict[str, tuple[tuple[str, ...], tuple[Parameter, ...]]]:
    """The kernels by name: what their templates and they themselves take.

    >>> signatures()["relu"][0]
    ('T',)
    >>> signatures()["relu"][1][-1]
    Parameter(name='size', type='int', pointer=False)
    """
    found = {}
    for kernel in _KERNEL.finditer(SOURCE):
        template = (kernel["template"] or "").split(",")
        names = tuple(word.split()[-1] for word in template if word)
        found[kernel["name"]] = names, tuple(map(_parameter, kernel["parameters"].split(",")))
    return found


def _parameter(text: str) -> Parameter:
    words = re.sub(r"\bconst\b|\b__restrict__\b|\*", " ", text).split()
    return Parameter(words[-1], " ".join(words[:-1]), "*" in text)


@cache
def _instance(kernel: str, template: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The kernel with its template's arguments filled in, as C++ writes it; and its parameters,
    each with the dtype it then has.

    >>> _instance("relu", (np.dtype(np.float32),))[0]
    'relu<float>'
    """
    names, parameters = signatures()[kernel]
    words = [str(t).lower() if isinstance(t, bool) else _WORDS[t] for t in template]
    dtypes = _DTYPES | dict(zip(names, template, strict=True))
    expression = f"{kernel}<{', '.join(words)}>" if words else kernel
    return expression, tuple((p, dtypes[p.type]) for p in parameters)


def launch(kernel: str, template: tuple[Any, ...], blocks: int, *arguments: Any) -> None:
    """Start a kernel and do not wait for it.

    Args:
        kernel: its name in `kernels.cu`.
        template: what it is made for: dtypes, and booleans for what is one.
        blocks: of THREADS threads each; with none there is nothing to do.
        arguments: arrays and numbers in the order of the parameters; None for an array that the
            kernel may do without.

    Raises:
        TypeError: an array is not of the parameter's dtype.
        ValueError: an array is not contiguous, or lies on another device than the first one.
    """
    if blocks == 0:
        return
    expression, parameters = _instance(kernel, template)
    device = next(a.device for a, (p, _) in zip(arguments, parameters, strict=True) if p.pointer)
    given = []
    for argument, (parameter, dtype) in zip(arguments, parameters, strict=True):
        if not parameter.pointer:
            given.append(dtype.type(argument))
        elif argument is None:
            given.append(_NULL)
        else:
            _check(argument, f"{kernel}: {parameter.name}", dtype, device)
            given.append(argument)
    _run(expression, device, blocks, tuple(given))


def _check(array: Array, what: str, dtype: np.dtype[Any], device: Any) -> None:
    if array.dtype != dtype:
        raise TypeError(f"{what} is {array.dtype}, but the kernel takes {dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{what} is not contiguous")
    if array.device != device:
        raise ValueError(f"{what} lies on {array.device}, but the first array on {device}")


def _run(expression: str, device: Any, blocks: int, arguments: tuple[Any, ...]) -> None:
    with device:
        _compiled(expression, device.id)((blocks,), (THREADS,), arguments)


@cache
def _compiled(expression: str, device: int) -> Any:
    """CuPy keeps the machine code on disk."""
    import cupy

    options = ("--std=c++17",)
    module = cupy.RawModule(code=SOURCE, options=options, name_expressions=(expression,))
    return module.get_function(expression)


def empty(like: Array, shape: Shape, dtype: Any = None) -> Array:
    """A new array where `like` lies, of its dtype unless told otherwise."""
    return namespace(like).empty(shape, like.dtype if dtype is None else dtype)


def contiguous(x: Array) -> Array:
    """`x`, copied if its elements do not follow each other in memory."""
    return x if x.flags.c_contiguous else namespace(x).ascontiguousarray(x)


def suits(*arrays: Array | None) -> bool:
    """Whether the kernels are made for such arrays: all float32 or all float64, none too large."""
    given = [a for a in arrays if a is not None]
    dtypes = {a.dtype for a in given}
    return len(dtypes) == 1 and dtypes <= _REALS and all(a.size < LARGEST for a in given)


def blocks_for(threads: int) -> int:
    """How many blocks it takes for so many threads.

    >>> blocks_for(0), blocks_for(256), blocks_for(257)
    (0, 1, 2)
    """
    return -(-threads // THREADS)


def slices_of(count: int, least: int | None = None) -> tuple[int, int]:
    """A long sum in slices of equal size, SLICE or `least` at least, the last of which may be
    smaller: size and number. They depend on nothing but the sum's length, so its bits do not
    depend on the device.

    >>> slices_of(100), slices_of(28800), slices_of(10**6)
    ((100, 1), (3600, 8), (15625, 64))
    """
    slices = min(SLICES, max(1, -(-count // (least or SLICE))))
    size = max(1, -(-count // slices))
    return size, max(1, -(-count // size))
