"""No case stands on two sides, both classes stand on both, and the seed decides the rest."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from tinycnn.data import folds, holdout, read_folder
from tinycnn.data.split import _deal_out
from tinycnn.errors import InputError

REAL = Path(__file__).parents[3] / "shared/data/mammography_micro"

# Each case: how many patches of class 0 and how many of class 1 it has.
CASES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(any), min_size=1, max_size=30
)


def expand(counts, seed=0):
    """Labels and cases of patches in random order."""
    pairs = [
        (label, f"case {number}")
        for number, case in enumerate(counts)
        for label in (0, 1)
        for _ in range(case[label])
    ]
    order = np.random.default_rng(seed).permutation(len(pairs))
    labels, cases = zip(*pairs, strict=True)
    return np.array(labels)[order], np.array(cases)[order]


@settings(deadline=None, derandomize=True)
@given(counts=CASES, k=st.integers(2, 6), seed=st.integers(0, 2**32))
def test_a_division_keeps_cases_whole_and_classes_on_both_sides_or_is_refused(counts, k, seed):
    labels, cases = expand(counts)
    try:
        divisions = folds(labels, cases, k, seed)
    except InputError:
        # A division can also fail with enough cases, but never with as many pure ones as this.
        pure = [sum(case[1 - label] == 0 for case in counts) for label in (0, 1)]
        assert min(pure) < 2 * k
        return
    assert len(divisions) == k
    tested = np.concatenate([test for _, test in divisions])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(labels)))
    for train, test in divisions:
        np.testing.assert_array_equal(np.union1d(train, test), np.arange(len(labels)))
        assert not set(cases[train]) & set(cases[test])
        assert set(labels[train]) == set(labels[test]) == {0, 1}


@settings(deadline=None, derandomize=True)
@given(counts=CASES, k=st.integers(2, 6))
def test_cases_are_dealt_out_as_by_scikit_learn(counts, k):
    labels, cases = expand(counts)
    assume(min(np.bincount(labels, minlength=2)) >= k and len(counts) >= k)
    numbers = np.unique(cases, return_inverse=True)[1]
    fold = _deal_out(labels, numbers, k)[numbers]
    for i, (_, test) in enumerate(StratifiedGroupKFold(k).split(labels, labels, numbers)):
        np.testing.assert_array_equal(np.flatnonzero(fold == i), test)


@settings(deadline=None, derandomize=True)
@given(counts=CASES, fraction=st.floats(0.1, 0.5), seed=st.integers(0, 2**32))
def test_a_holdout_keeps_cases_whole_and_classes_on_both_sides(counts, fraction, seed):
    labels, cases = expand(counts)
    try:
        train, validation = holdout(labels, cases, fraction, seed)
    except InputError:
        assume(False)
    assert not set(cases[train]) & set(cases[validation])
    assert len(train) + len(validation) == len(labels)
    assert set(labels[train]) == set(labels[validation]) == {0, 1}


def test_the_same_seed_gives_the_same_division_and_another_seed_another():
    labels, cases = expand([(3, 0), (0, 3)] * 10)
    first, again, other = (folds(labels, cases, 5, seed) for seed in (1, 1, 2))
    for (_, one), (_, two) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_folds_of_unequal_cases_have_nearly_the_same_size_and_mixture():
    labels, cases = expand([(n, 0) for n in range(1, 16)] + [(0, n) for n in range(1, 16)])
    for _, test in folds(labels, cases, 5, seed=3):
        assert np.bincount(labels[test]).tolist() == pytest.approx([24, 24], abs=3)


def test_too_few_cases_of_a_class_are_an_error_that_says_so():
    labels, cases = expand([(3, 0)] * 10 + [(0, 9)] * 4)
    with pytest.raises(InputError, match="need 5 cases of class 1 or more; there are 4"):
        folds(labels, cases, 5, seed=0)
    with pytest.raises(InputError, match="need 10 cases of class 1 or more; there are 4"):
        holdout(labels, cases, 0.1, seed=0)


@pytest.mark.parametrize("fraction", [0, -0.1, 0.6, float("nan")])
def test_a_fraction_out_of_range_is_an_error(fraction):
    with pytest.raises(InputError, match="must lie in"):
        holdout(np.array([0, 1]), np.array(["a", "b"]), fraction, seed=0)


def test_the_largest_case_is_not_held_out_at_every_seed():
    labels, cases = expand([(20, 0)] + [(2, 0)] * 20 + [(0, 3)] * 20)
    held_out = ["case 0" in cases[holdout(labels, cases, 0.2, seed)[1]] for seed in range(30)]
    assert 0 < sum(held_out) < 15


@pytest.mark.skipif(not REAL.is_dir(), reason="the real patches are not beside this checkout")
def test_folds_of_the_real_patches_are_balanced_to_within_three_patches():
    patches = read_folder(REAL)["Train"]
    for seed in range(5):
        for _, test in folds(patches.labels, patches.cases, 5, seed):
            counts = np.bincount(patches.labels[test]).tolist()
            assert counts == pytest.approx([330 / 5, 306 / 5], abs=3)
