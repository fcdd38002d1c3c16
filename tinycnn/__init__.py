"""tinycnn: a deep-learning library to read in an evening.

>>> import tinycnn as tc
>>> x = tc.tensor([-1.0, 2.0], requires_grad=True)
>>> tc.relu(x).sum().backward()
>>> x.grad
tensor([0., 1.])
"""

import numpy as _np

from tinycnn import nn, ops, optim
from tinycnn.anomaly import AnomalyError, detect_anomaly
from tinycnn.autograd import grad
from tinycnn.errors import InputError
from tinycnn.function import differentiable
from tinycnn.grad_mode import enable_grad, is_grad_enabled, no_grad
from tinycnn.kernels.threads import get_num_threads, set_num_threads
from tinycnn.ops import *  # noqa: F403
from tinycnn.random import manual_seed, rand, randn
from tinycnn.summary import summary
from tinycnn.tensor import Tensor, tensor

__version__ = "0.1.0"

float32, float64 = _np.dtype("float32"), _np.dtype("float64")
int64, bool_ = _np.dtype("int64"), _np.dtype("bool")

__all__ = [
    "AnomalyError",
    "InputError",
    "Tensor",
    "bool_",
    "detect_anomaly",
    "differentiable",
    "enable_grad",
    "float32",
    "float64",
    "get_num_threads",
    "grad",
    "int64",
    "is_grad_enabled",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "rand",
    "randn",
    "set_num_threads",
    "summary",
    "tensor",
    *ops.__all__,
]
