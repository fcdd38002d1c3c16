"""Four judgements that look at one number of a patch: what a network has to beat."""

from __future__ import annotations

import numpy as np

from tinycnn.kernels.types import Array


def one_number_rules(images: Array) -> dict[str, Array]:
    """Score each patch by the mean, standard deviation, maximum and range of its grey levels.

    Calcifications are bright specks, so each score should be higher where there are some.

    Args:
        images: (N, 1, H, W), grey levels in 0..1.

    Returns:
        The rule's name → (N,) float64 scores.

    >>> scores = one_number_rules(np.array([[[[0.0, 1.0]]], [[[0.25, 0.25]]]]))
    >>> {rule: score.tolist() for rule, score in scores.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'mean': [0.5, 0.25], 'standard deviation': [0.5, 0.0], 'maximum': [1.0, 0.25],
     'range': [1.0, 0.0]}
    """
    levels = images.reshape(len(images), -1).astype(np.float64)
    return {
        "mean": levels.mean(axis=1),
        "standard deviation": levels.std(axis=1),
        "maximum": levels.max(axis=1),
        # Equal ranges must tie, but 0.8 − 0.6 and 0.4 − 0.2 differ in their last bit. Every 8- and
        # 16-bit level is a multiple of 1/65535.
        "range": np.rint(np.ptp(levels, axis=1) * 65535) / 65535,
    }
