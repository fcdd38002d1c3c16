"""Dropout: each element is left out by chance, so that no unit relies on another."""

from __future__ import annotations

import numpy as np

from tinycnn import random
from tinycnn.tensor import Tensor


def dropout(
    x: Tensor,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """In training each element is 0 with probability p, else x / (1 − p), so that the expected
    value stays x; outside training x itself. Srivastava et al. (2014).

    Args:
        x: any shape.
        p: the probability of leaving an element out, 0 ≤ p ≤ 1.
        training: whether to drop at all.
        generator: where chance comes from; `tc.manual_seed`'s by default.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is a probability, not {p}")
    if not training or p == 0:
        return x
    kept = (generator or random.default()).random(x.shape, np.float32) >= p
    return x * (kept / x.dtype.type(1 - p if p < 1 else 1))
