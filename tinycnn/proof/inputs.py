"""What a generated case is made of: shapes and settings drawn by Hypothesis, values by a seed.

Hypothesis can shrink what it draws, so a failure comes back with the smallest shape that still
fails. Values are not drawn one by one: that would be slow, and shrunk values say little.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from tinycnn.kernels.types import Array

# A function of Tensors, or a module, and the arguments to check it at: floating-point arrays are
# differentiated, everything else is a setting.
Example: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]

Shape: TypeAlias = tuple[int, ...]

_integers = cache(st.integers)  # checking the bounds anew each time would take longer than drawing


class Inputs:
    """Draws what a case needs, from Hypothesis' `data` object.

    >>> from hypothesis import given, strategies as st
    >>> @given(data=st.data())
    ... def shapes_have_one_to_three_axes(data):
    ...     assert 1 <= len(Inputs(data).shape(1, 3)) <= 3
    >>> shapes_have_one_to_three_axes()
    """

    def __init__(self, data: Any) -> None:
        self._data = data
        self.rng = np.random.default_rng(self.integer(0, 2**32 - 1))

    # ---- shapes and settings -----------------------------------------------------------------

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        number: int = self._data.draw(_integers(low, high))
        return number

    def choice(self, *options: Any) -> Any:
        """One of the options; a shrunk case has the first."""
        return options[self.integer(0, len(options) - 1)]

    def seldom(self) -> bool:
        """True in one case of eight."""
        return self.integer(0, 7) == 7

    def shape(self, least: int = 0, most: int = 3) -> Shape:
        """So many axes, of length 1 to 3."""
        return tuple(self.integer(1, 3) for _ in range(self.integer(least, most)))

    def maybe_empty(self, least: int = 0, most: int = 3) -> Shape:
        """The same, where one axis may have length 0."""
        shape = self.shape(least, most)
        if not shape or not self.seldom():
            return shape
        empty = self.integer(0, len(shape) - 1)
        return tuple(0 if i == empty else n for i, n in enumerate(shape))

    def part(self, whole: Shape) -> Shape:
        """A shape that broadcasts to this one: axes of length 1, and leading axes left out."""
        kept = tuple(1 if self.integer(0, 3) == 0 else n for n in whole)
        return kept[self.integer(0, len(kept)) if self.integer(0, 2) == 0 else 0 :]

    # ---- values ------------------------------------------------------------------------------

    def normal(self, shape: Shape) -> Array:
        """Standard normal."""
        return np.asarray(self.rng.standard_normal(shape))

    def positive(self, shape: Shape) -> Array:
        """Above 0."""
        return np.asarray(np.exp(self.normal(shape)))

    def scaled(self, shape: Shape) -> Array:
        """Normal, and in one case of eight of magnitudes from 1e-9 to 1e9 side by side."""
        values = self.normal(shape)
        if self.seldom():
            values *= 10 ** self.rng.uniform(-9, 9, shape)
        return values

    def wide(self, shape: Shape) -> Array:
        """Also far out, where an activation is flat."""
        return np.asarray(self.normal(shape) * self.choice(1.0, 10.0, 30.0))

    def spaced(self, shape: Shape) -> Array:
        """No two values, and no value and 0, nearer than 1/50."""
        n = int(np.prod(shape))
        values = (self.rng.permutation(n) - n // 2 + 0.5) / 20
        return values.reshape(shape)

    def tied(self, shape: Shape) -> Array:
        """Spaced, and in one case of eight of few values: with ties, and on the kink at 0."""
        return self._few(shape) if self.seldom() else self.spaced(shape)

    def _few(self, shape: Shape) -> Array:
        return np.asarray(self.rng.integers(-2, 3, shape) / 2)

    def uniform(self, shape: Shape) -> Array:
        """Probabilities, neither 0 nor 1."""
        return np.asarray(self.rng.uniform(0.01, 0.99, shape))

    def pair(self) -> tuple[Array, Array]:
        """Two arrays that broadcast with each other."""
        whole = self.maybe_empty()
        return self.scaled(self.part(whole)), self.scaled(self.part(whole))

    def apart(self) -> tuple[Array, Array]:
        """Two that broadcast, with all values spaced; in one case of eight with ties."""
        whole = self.maybe_empty()
        x, y = self.part(whole), self.part(whole)
        if self.seldom():
            return self._few(x), self._few(y)
        return self.spaced(x), np.asarray(self.spaced(y) + 1 / 80)
