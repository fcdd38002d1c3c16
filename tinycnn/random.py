"""Where chance comes from when no generator is passed in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycnn.device import to_device
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


def randn(*shape: int, generator: np.random.Generator | None = None, device: str = "cpu") -> Tensor:
    """Standard normal numbers, float32; the same on every device."""
    numbers = (generator or _generator).standard_normal(shape, np.float32)
    return Tensor(to_device(numbers, device))


def rand(*shape: int, generator: np.random.Generator | None = None, device: str = "cpu") -> Tensor:
    """Uniform numbers in [0, 1), float32; the same on every device."""
    return Tensor(to_device((generator or _generator).random(shape, np.float32), device))
