"""The same case in another guise: float32, or arrays that lie in memory otherwise."""

from __future__ import annotations

import numpy as np

from tinycnn.gradcheck.strategies import LAYOUTS, laid_out
from tinycnn.nn import Module
from tinycnn.proof.inputs import Example, Inputs

# as they come, and in four cases of seven otherwise
DRESSES = ("contiguous", "contiguous", *LAYOUTS)


def dressed(a: Inputs, example: Example) -> Example:
    """A case of float64 arrays as it is, or laid out otherwise, or in one case of eight in
    float32.
    """
    function, arguments = example
    layout, single = a.choice(*DRESSES), a.seldom()
    dtype = np.dtype(np.float32 if single else np.float64)
    if isinstance(function, Module):
        function.to(dtype)
    return function, tuple(
        laid_out(x.astype(dtype), layout)
        if isinstance(x, np.ndarray) and x.dtype == np.float64
        else x
        for x in arguments
    )
