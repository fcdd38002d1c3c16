"""Dropout: each element is left out by chance, so that no unit relies on another."""

from __future__ import annotations

import numpy as np

from tinycnn import kernels, random
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
    key = int((generator or random.default()).integers(2**63))
    kept = kernels.of(x.array).dropout_mask(key, x.shape, float(p), x.array)
    return x * (kept.astype(x.dtype) / (1 - float(p) if p < 1 else 1))
