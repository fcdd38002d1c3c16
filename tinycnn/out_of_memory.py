"""Where a graphics card's memory ran out: in which layer, or in the derivative of which operation.

CuPy says how many bytes it lacks. Where layers are called, and where derivatives are, its error
comes by here and gets a name.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NoReturn

from tinycnn.device import OutOfMemory, shortage
from tinycnn.node import Node


def blame(culprit: Any, error: MemoryError) -> NoReturn:
    """Raise the error again; if it is CuPy's, as an OutOfMemory that names the culprit, a layer or
    a node of the graph.

    >>> blame(None, MemoryError("the computer's own"))
    Traceback (most recent call last):
    ...
    MemoryError: the computer's own
    """
    if told := shortage(error):
        raise OutOfMemory(f"{_place(culprit)}: {told}") from error
    raise error


def _place(culprit: Any) -> str:
    if not isinstance(culprit, Node):
        return _layer(lambda layer: layer is culprit)
    leaves = [id(edge) for edge in culprit.edges]
    layer = _layer(lambda layer: any(id(p) in leaves for p in layer._parameters.values()))
    return f"the derivative of {culprit.name}" + (layer and f" in {layer}")


def _layer(is_it: Callable[[Any], bool]) -> str:
    """Name and type of the layer of which this is true. It does not know its name itself: that is
    the longest by which a network calls it, among all networks there are.
    """
    networks = [thing for thing in gc.get_objects() if hasattr(type(thing), "named_modules")]
    parts = [part for network in networks for part in network.named_modules() if is_it(part[1])]
    name, layer = max(parts, key=lambda part: len(part[0]), default=("", None))
    kind = type(layer).__name__ if layer else ""
    return f"layer {name!r} ({kind})" if name else kind
