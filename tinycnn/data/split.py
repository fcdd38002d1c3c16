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

    Source: the greedy division of scikit-learn's StratifiedGroupKFold, with the same result. That
    class itself takes a second to import, which is longer than all else before the first step of
    training.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> cases = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> for train, test in folds(labels, cases, k=2, seed=0):
    ...     print(labels[test], set(cases[train]) & set(cases[test]))
    [0 0 1 1] set()
    [0 0 1 1] set()
    """
    _check_enough_cases(labels, cases, k)
    names, case_number = np.unique(cases, return_inverse=True)
    # Cases of equal imbalance are dealt out by their number, so renumbering them at random draws
    # another division.
    renumbered = np.random.default_rng(seed).permutation(len(names))[case_number]
    fold = _deal_out(labels, renumbered, k)[renumbered]
    divisions = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]
    for train, test in divisions:
        if len(np.unique(labels[train])) < 2 or len(np.unique(labels[test])) < 2:
            raise InputError(f"{k} folds of these {len(names)} cases leave one with a single class")
    return divisions


def _deal_out(labels: Array, cases: Array, k: int) -> Array:
    """The fold of each case: one by one, the most unbalanced first, they go where the shares of
    the classes become most alike, and of equal folds to the one with the fewest patches."""
    counts = np.stack([np.bincount(cases, labels == label) for label in (0, 1)], 1)
    folds, fold_of = np.zeros((k, 2)), np.empty(len(counts), int)
    for case in np.argsort(-counts.std(1), kind="stable"):
        with_it = folds + np.eye(k)[:, :, None] * counts[case]  # in each of them
        unlike, size = (with_it / counts.sum(0)).std(1).mean(1), folds.sum(1)
        best = 0
        for i in range(1, k):
            equal = np.isclose(unlike[i], unlike[best])
            if unlike[i] < unlike[best] or (equal and size[i] < size[best]):
                best = i
        folds[best] += counts[case]
        fold_of[case] = best
    return fold_of


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
