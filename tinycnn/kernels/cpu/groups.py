"""A convolution in groups is one for each group of channels."""

from collections.abc import Callable

import numpy as np

from tinycnn.kernels.types import Array, Geometry

ENOUGH = 2048  # numbers of a group: for fewer a call takes longer than the reference


def worth_a_call_each(x: Array, geometry: Geometry) -> bool:
    """Whether there are groups, of so much."""
    return geometry.groups > 1 and x.size >= ENOUGH * geometry.groups


def by_group(
    compute: Callable[..., Array], geometry: Geometry, axis: int, *given: tuple[Array | None, int]
) -> Array:
    """What `compute` gives for each group's share of the arrays, one behind the other on an axis.

    Args:
        compute: takes the shares, and a `geometry` without groups.
        given: arrays (or None for all groups), and on which axis each is divided.
    """
    groups, alone = geometry.groups, geometry._replace(groups=1)
    shares = [[None] * groups if a is None else np.split(a, groups, on) for a, on in given]
    found = [compute(*share, geometry=alone) for share in zip(*shares, strict=True)]
    return np.concatenate(found, axis)
