"""Chance that needs no memory: the n-th random number is a function of the key and n."""

from math import prod

import numpy as np

from tinycnn.kernels.cuda import graph
from tinycnn.kernels.cuda.launch import blocks_for, empty, launch
from tinycnn.kernels.types import Array, Shape


def dropout_mask(key: int, shape: Shape, p: float, like: Array) -> Array:
    """Which elements to keep, each with probability 1 − p: bool, where `like` lies.

    The same as `np.random.Generator(np.random.Philox(key=key)).random(shape, np.float32) >= p`;
    in the n-th replay of a CUDA graph Philox also has counter=[0, 0, 0, n].
    """
    kept = empty(like, shape, np.dtype(np.bool_))
    size, low = prod(shape), (1 << 64) - 1
    words = key & low, key >> 64
    launch("dropout_mask", (), blocks_for(-(-size // 8)), kept, graph.replay, size, p, *words)
    return kept
