"""Where chance comes from when no generator is passed in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycnn.tensor import Tensor

_generator = np.random.default_rng()


def manual_seed(seed: int | Sequence[int]) -> None:
    """Start the default generator anew; the same seed gives the same numbers.

    >>> manual_seed(1)
    >>> a = randn(3)
    >>> manual_seed(1)
    >>> bool((a == randn(3)).all())
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


def default() -> np.random.Generator:
    """The default generator."""
    return _generator


def randn(*shape: int, generator: np.random.Generator | None = None) -> Tensor:
    """Standard normal numbers, float32."""
    return Tensor((generator or _generator).standard_normal(shape, np.float32))


def rand(*shape: int, generator: np.random.Generator | None = None) -> Tensor:
    """Uniform numbers in [0, 1), float32."""
    return Tensor((generator or _generator).random(shape, np.float32))
