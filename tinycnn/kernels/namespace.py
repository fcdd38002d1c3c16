"""Which library an array belongs to."""

import sys
from typing import Any

import numpy as np

_NUMPYS = (np.ndarray, np.generic, int, float, complex)


def namespace(*arrays: Any) -> Any:
    """The module whose functions work on these arrays: NumPy, or the library that they are of.

    >>> namespace(np.zeros(2)).__name__
    'numpy'
    """
    for array in arrays:
        if not isinstance(array, _NUMPYS):
            return sys.modules[type(array).__module__.partition(".")[0]]
    return np


def readonly(array: Any) -> Any:
    """The same memory as an array that can't be written to, where the library knows of such."""
    view = array.view()
    if isinstance(view, np.ndarray):
        view.setflags(write=False)
    return view
