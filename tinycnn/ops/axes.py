"""Axes as users give them: counted from the front or, negative, from the back."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

Dims = int | Sequence[int] | None


def axis(dim: int, ndim: int) -> int:
    """One axis, counted from the front.

    Raises:
        numpy.exceptions.AxisError: there is no such axis; an IndexError and a ValueError.

    >>> axis(-1, 3)
    2
    """
    return int(normalize_axis_index(dim, ndim))


def axes(dim: Dims, ndim: int) -> tuple[int, ...]:
    """Some axes, or all for None, counted from the front; none may be named twice.

    >>> axes(None, 3), axes((0, -1), 3)
    ((0, 1, 2), (0, 2))
    """
    if dim is None:
        return tuple(range(ndim))
    return (axis(dim, ndim),) if isinstance(dim, int) else tuple(normalize_axis_tuple(dim, ndim))
