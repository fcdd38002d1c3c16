"""Which library an array belongs to."""

from typing import Any

import numpy as np

_NUMPYS = (np.ndarray, np.generic, int, float, complex)


def namespace(*arrays: Any) -> Any:
    """The module whose functions work on these arrays: NumPy, or the array's own.

    >>> namespace(np.zeros(2)).__name__
    'numpy'
    """
    for array in arrays:
        if not isinstance(array, _NUMPYS):
            return array.__array_namespace__()
    return np


def readonly(array: Any) -> Any:
    """The same memory as an array that can't be written to, where the library knows of such."""
    view = array.view()
    if isinstance(view, np.ndarray):
        view.setflags(write=False)
    return view
