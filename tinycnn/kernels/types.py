"""The types that kernels speak in."""

from typing import Any, TypeAlias

import numpy as np

# Any array of the NumPy kind: numpy.ndarray here, cupy.ndarray on a GPU.
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
