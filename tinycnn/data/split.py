"""Splits that never part a case: patches of one case overlap, so the test set would leak."""

from __future__ import annotations

import numpy as np

from tinycnn.errors import InputError
from tinycnn.kernels.types import Array


def folds(labels: Array, cases: Array, k: int, seed: int) -> list[tuple[Array, Array]]:
    """Divide N patches into k folds of whole cases with nearly the same mixture of the classes.

    Args:
        labels: (N,) of 0 and 1.
        cases: (N,); what is equal here stays together.
        k: how many folds, at least 2.
        seed: which of the many such divisions; the same seed gives the same one.

    Returns:
        k pairs (training indexes, test indexes), int64, ascending. Every patch is tested once.

    Raises:
        InputError: no such division has both classes on both sides: too few cases of one.

    Source: scikit-learn's StratifiedGroupKFold, a greedy division that deals out the cases one by
    one, the most unbalanced first.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> cases = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> for train, test in folds(labels, cases, k=2, seed=0):
    ...     print(labels[test], set(cases[train]) & set(cases[test]))
    [0 0 1 1] set()
    [0 0 1 1] set()
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _check_enough_cases(labels, cases, k)
    names, case_number = np.unique(cases, return_inverse=True)
    # Cases of equal imbalance are dealt out by their number, so renumbering them at random draws
    # another division. (The class's own shuffle=True lost the stratification until scikit-learn's
    # pull request 32540 of October 2025.)
    renumbered = np.random.default_rng(seed).permutation(len(names))[case_number]
    divisions = list(StratifiedGroupKFold(k).split(labels, labels, renumbered))
    for train, test in divisions:
        if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:
            raise InputError(f"{k} folds of these {len(names)} cases leave one with a single class")
    return divisions


def holdout(labels: Array, cases: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Set about one part in round(1 / fraction) of N patches aside, in whole cases.

    Args:
        labels: (N,) of 0 and 1.
        cases: (N,); what is equal here stays together.
        fraction: the part to set aside, above 0 and at most 0.5.
        seed: which of the many such parts; the same seed gives the same one.

    Returns:
        (training indexes, validation indexes), int64, ascending.

    Raises:
        InputError: the fraction is out of range, or there are too few cases of a class.

    >>> labels, cases = np.array([0, 1] * 10), np.arange(20)
    >>> train, validation = holdout(labels, cases, fraction=0.2, seed=0)
    >>> len(train), sorted(labels[validation].tolist())
    (16, [0, 0, 1, 1])
    """
    if not 0 < fraction <= 0.5:
        raise InputError(f"the fraction to set aside is {fraction}; it must lie in (0, 0.5]")
    k = round(1 / fraction)
    # Not always the first fold: the largest case would be in it whatever the seed.
    return folds(labels, cases, k, seed)[np.random.default_rng(seed).integers(k)]


def _check_enough_cases(labels: Array, cases: Array, k: int) -> None:
    if k < 2:
        raise InputError(f"{k} folds; at least 2 are needed")
    for label in (0, 1):
        count = len(np.unique(cases[labels == label]))
        if count < k:
            raise InputError(
                f"{k} folds by case need {k} cases of class {label} or more; there are {count}"
            )
