"""The judgement against scikit-learn and counting by hand; its intervals in simulations."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tinycnn.metrics import RATES, auc, best_threshold, judge, roc

RULE = settings(deadline=None, derandomize=True, max_examples=80)


@st.composite
def judged_sets(draw):
    """Labels of both classes, probabilities with ties, and cases of one or more images."""
    n = draw(st.integers(2, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    labels[:2] = [0, 1]
    levels = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    probabilities = draw(st.lists(levels, min_size=n, max_size=n))
    cases = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    return np.array(labels), np.array(probabilities), np.array(cases)


def simulated_scores(rng, n_cases=40, per_case=5, separation=3.0):
    """Scores whose variance is half the case's and half the image's; the true AUC is Φ(sep / 2)."""
    label = np.arange(n_cases) % 2
    case = np.repeat(np.arange(n_cases), per_case)
    score = separation * label[case] + rng.normal(size=n_cases)[case] + rng.normal(size=len(case))
    return label[case], 1 / (1 + np.exp(-score)), case


def true_auc(separation):
    return 0.5 * (1 + math.erf(separation / 2 / math.sqrt(2)))


@RULE
@given(judged_sets(), st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_every_number_equals_scikit_learns(made, threshold):
    labels, probabilities, cases = made
    j = judge(labels, probabilities, cases, threshold, resamples=2)
    called = (probabilities >= threshold).astype(int)
    assert np.array_equal(j.confusion, sk.confusion_matrix(labels, called))
    assert j.n == len(labels)
    assert j.cases == len(set(cases.tolist()))
    expected = {
        "auc": sk.roc_auc_score(labels, probabilities),
        "accuracy": sk.accuracy_score(labels, called),
        "sensitivity": sk.recall_score(labels, called),
        "specificity": sk.recall_score(labels, called, pos_label=0),
        "precision": sk.precision_score(labels, called, zero_division=np.nan),
        "f1": sk.f1_score(labels, called),
    }
    got = {name: getattr(j, name) for name in expected}
    assert got == pytest.approx(expected, nan_ok=True, rel=1e-12)


@RULE
@given(judged_sets())
def test_each_interval_holds_its_number_and_stays_inside_0_to_1(made):
    j = judge(*made, resamples=50)
    for name, (low, high) in j.intervals.items():
        if not math.isnan(low):
            assert 0 <= low <= getattr(j, name) + 1e-12, name
            assert getattr(j, name) - 1e-12 <= high <= 1, name


@RULE
@given(judged_sets(), st.integers(0, 2**32))
def test_the_bootstraps_auc_equals_scikit_learns_with_weights(made, seed):
    from tinycnn.metrics import _weighted_auc

    labels, probabilities, _ = made
    weights = np.random.default_rng(seed).integers(0, 4, size=(3, len(labels)))
    weights[:, :2] += 1  # both classes present
    expected = [sk.roc_auc_score(labels, probabilities, sample_weight=w) for w in weights]
    assert _weighted_auc(labels, probabilities, weights) == pytest.approx(expected, rel=1e-9)


@RULE
@given(judged_sets())
def test_no_threshold_has_a_larger_youden_index_than_the_best_one(made):
    labels, probabilities, _ = made

    def youden(threshold):
        called = probabilities >= threshold
        return called[labels == 1].mean() - called[labels == 0].mean()

    best = best_threshold(labels, probabilities)
    others = [youden(t) for t in probabilities]
    assert youden(best) >= max(others) - 1e-12
    assert 0 <= best <= 1
    lower = [t for t in probabilities if t < best]
    assert all(youden(t) < youden(best) - 1e-13 for t in lower), "the lowest of equals"


def test_the_best_threshold_lies_midway_between_the_scores_it_parts():
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])
    assert best_threshold(labels, probabilities) == pytest.approx(0.4)
    # a float32 network's probabilities are parted exactly too
    close = np.array([0.0, np.nextafter(np.float32(0.5), np.float32(0)), 0.5, 1], np.float32)
    threshold = best_threshold(labels, close)
    assert judge(labels, close, np.arange(4), threshold).accuracy == 1
    # and so are neighbouring doubles, between which there is no midpoint
    neighbours = np.array([0.0, np.nextafter(0.5, 0), 0.5, 1.0])
    assert judge(labels, neighbours, np.arange(4), best_threshold(labels, neighbours)).accuracy == 1


def test_equally_good_thresholds_are_equal_though_their_quotients_round_differently():
    # J is 2/5 − 0/5 after the second, and 3/5 − 1/5 (in binary a little less) after the fourth
    labels = np.array([1, 1, 0, 1, 0, 0, 0, 0, 1, 1])
    assert best_threshold(labels, np.linspace(0.9, 0, 10)) == pytest.approx(0.55)


def test_a_float32_probability_just_below_the_threshold_is_not_called():
    below = np.float32(0.7)  # 0.699999988
    assert judge(np.array([0, 1]), np.array([below, 1], np.float32), [0, 1], 0.7).accuracy == 1


def test_a_useless_classifiers_best_threshold_calls_everything_positive():
    assert best_threshold(np.array([0, 1, 0, 1]), np.full(4, 0.3)) == 0.3
    assert best_threshold(np.array([1, 0]), np.array([0.2, 0.7])) == 0.2


def test_the_roc_curve_runs_from_corner_to_corner_and_its_area_is_the_auc():
    labels, probabilities, _ = simulated_scores(np.random.default_rng(0))
    fpr, tpr, thresholds = roc(labels, probabilities)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(thresholds) < 0)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(labels, probabilities), rel=1e-12)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    made = simulated_scores(np.random.default_rng(0))
    assert judge(*made, seed=3) == judge(*made, seed=3)
    assert judge(*made, seed=3).intervals != judge(*made, seed=4).intervals
    assert judge(*made, resamples=100).intervals != judge(*made, resamples=150).intervals


def test_the_intervals_do_not_depend_on_the_order_of_the_images():
    labels, probabilities, cases = simulated_scores(np.random.default_rng(0))
    shuffled = np.random.default_rng(1).permutation(len(labels))
    one = judge(labels, probabilities, cases)
    other = judge(labels[shuffled], probabilities[shuffled], cases[shuffled])
    for name, interval in one.intervals.items():
        assert other.intervals[name] == pytest.approx(interval, rel=1e-9)


def test_repeating_every_image_within_its_case_teaches_nothing_new():
    labels, probabilities, cases = simulated_scores(np.random.default_rng(0))
    once = judge(labels, probabilities, cases)
    thrice = judge(np.tile(labels, 3), np.tile(probabilities, 3), np.tile(cases, 3))
    for name, interval in once.intervals.items():
        assert thrice.intervals[name] == pytest.approx(interval, rel=1e-9)


def test_intervals_by_case_hold_the_truth_more_often_than_intervals_by_image():
    rng = np.random.default_rng(5)
    held = {"case": 0, "image": 0}
    trials = 100
    for trial in range(trials):
        labels, probabilities, cases = simulated_scores(rng)
        for how, groups in (("case", cases), ("image", np.arange(len(cases)))):
            drawn = judge(labels, probabilities, groups, resamples=100, seed=trial)
            low, high = drawn.intervals["auc"]
            held[how] += low <= true_auc(3.0) <= high
    assert 0.87 <= held["case"] / trials <= 1
    assert held["image"] / trials < 0.82


def test_a_perfect_classifier_of_few_cases_is_not_called_certain():
    labels = np.repeat([0, 1, 0, 1, 0, 1, 1], 5)
    cases = np.repeat(np.arange(7), 5)
    j = judge(labels, labels.astype(float), cases)
    z2 = 1.959963984540054**2
    assert j.intervals["auc"] == pytest.approx((3 / (3 + z2), 1))  # three pairs of cases
    assert j.intervals["sensitivity"] == pytest.approx((4 / (4 + z2), 1))
    assert j.intervals["accuracy"] == pytest.approx((7 / (7 + z2), 1))
    wrong = judge(labels, 1 - labels.astype(float), cases)
    assert wrong.intervals["accuracy"] == pytest.approx((0, z2 / (7 + z2)))


def test_one_lone_error_in_a_lopsided_set_does_not_overflow():
    labels = np.r_[0, 1, np.ones(10_000, int)]
    probabilities = np.r_[0.0, 0.0, np.ones(10_000)]
    cases = np.r_[0, 1, np.full(10_000, 2)]
    low, high = judge(labels, probabilities, cases, resamples=50).intervals["sensitivity"]
    assert low == pytest.approx(0, abs=1e-6)
    assert high == pytest.approx(1)


def test_nothing_called_positive_leaves_precision_undefined_and_null_in_json():
    j = judge(np.array([0, 1, 0, 1]), np.full(4, 0.2), np.arange(4))
    assert math.isnan(j.precision)
    assert j.f1 == 0
    answer = json.loads(json.dumps(j.as_dict(), allow_nan=False))
    assert answer["precision"] is None
    assert answer["precision_interval"] == [None, None]


def test_a_single_case_tells_nothing_about_other_cases():
    j = judge(np.array([0, 1, 1]), np.array([0.1, 0.8, 0.4]), np.array(["a", "a", "a"]))
    assert all(math.isnan(bound) for interval in j.intervals.values() for bound in interval)
    assert json.loads(json.dumps(j.as_dict(), allow_nan=False))["auc_interval"] == [None, None]


def test_the_dictionary_has_a_number_and_an_interval_for_everything():
    j = judge(*simulated_scores(np.random.default_rng(0)), threshold=0.8)
    answer = json.loads(json.dumps(j.as_dict(), allow_nan=False))
    for name in ("auc", *RATES):
        low, high = answer[f"{name}_interval"]
        assert low < answer[name] < high
    for counts, bounds in zip(answer["confusion"], answer["confusion_interval"], strict=True):
        for count, (low, high) in zip(counts, bounds, strict=True):
            assert low < count < high
    assert answer["n"] == sum(map(sum, answer["confusion"])) == 200
    assert answer["cases"] == 40
    assert answer["threshold"] == 0.8


@pytest.mark.parametrize(
    ("labels", "probabilities", "cases", "trouble"),
    [
        ([1, 1], [0.1, 0.2], [0, 1], "all 2 labels are 1"),
        ([], [], [], "no labels"),
        ([0, 1], [0.1, math.nan], [0, 1], "1 of 2 probabilities are NaN"),
        ([0, 1], [0.1, math.inf], [0, 1], "1 of 2 probabilities are NaN or infinite"),
        ([0, 1], [-2.0, 3.0], [0, 1], "outside 0..1"),
        ([0, 1, 1], [0.1, 0.2], [0, 1, 2], r"labels have shape \(3,\), but probabilities \(2,\)"),
        ([0, 1], [0.1, 0.2], [0], "2 labels, but cases of shape"),
        ([0, 2], [0.1, 0.2], [0, 1], "labels must be 0 or 1, but one is 2"),
        ([[0, 1]], [[0.1, 0.2]], [0, 1], r"need \(N,\)"),
    ],
)
def test_what_cannot_be_judged_is_named(labels, probabilities, cases, trouble):
    with pytest.raises(ValueError, match=trouble) as caught:
        judge(np.array(labels), np.array(probabilities), np.array(cases))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [auc, roc, best_threshold])
def test_curves_need_both_classes_too(function):
    with pytest.raises(ValueError, match="needs both classes"):
        function(np.array([0, 0]), np.array([0.1, 0.2]))


def test_many_images_are_judged_in_little_memory_and_time():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5_000)
    j = judge(labels, rng.random(5_000), rng.integers(0, 800, 5_000), resamples=200)
    assert j.intervals["auc"][0] < 0.5 < j.intervals["auc"][1]
