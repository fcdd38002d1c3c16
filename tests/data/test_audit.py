"""The audit finds what was planted, and the known facts of the real patches."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinycnn.data import Patches, audit, one_number_rules, read_folder
from tinycnn.errors import InputError

REAL = Path(__file__).parents[3] / "shared/data/mammography_micro"


def random_patches(seed, count=40, prefix="p", brighter=0.0):
    rng = np.random.default_rng(seed)
    images = (rng.random((count, 1, 6, 6)) / 2 + brighter).astype(np.float32)
    numbers = np.arange(count)
    return Patches(
        images,
        numbers % 2,
        np.array([f"{prefix}{n // 4}" for n in numbers]),
        np.array([f"{prefix}/{n}.pgm" for n in numbers]),
    )


def test_clean_data_give_no_finding():
    found = audit({"Train": random_patches(0, prefix="a"), "Test": random_patches(1, prefix="b")})
    assert found.twins == []
    assert found.shared_cases == []
    assert "Identical images: none" in str(found)
    assert "Cases in more than one split: none" in str(found)


def test_identical_images_are_found_across_names_classes_and_splits():
    train, test = random_patches(0, prefix="a"), random_patches(1, prefix="b")
    train.images[5] = train.images[2]
    test.images[7] = train.images[2]
    (group,) = audit({"Train": train, "Test": test}).twins
    assert group.names == ["a/2.pgm", "a/5.pgm", "b/7.pgm"]
    assert group.labels == [0, 1, 1]
    assert group.cases == ["a0", "a1", "b1"]
    assert group.splits == ["Train", "Train", "Test"]
    text = str(audit({"Train": train, "Test": test}))
    assert "1 groups, 1 across classes, 1 across cases, 1 across splits" in text
    assert "a/2.pgm = a/5.pgm = b/7.pgm" in text


def test_a_case_on_both_sides_of_a_split_is_named():
    train, test = random_patches(0), random_patches(1, count=12)
    found = audit({"Train": train, "Test": test})
    assert found.shared_cases == ["p0", "p1", "p2"]
    assert "Cases in more than one split: p0, p1, p2" in str(found)


def test_class_balance_and_grey_levels_are_those_of_the_patches():
    patches = random_patches(0)
    summary = audit({"all": patches}).classes["all"]["1"]
    odd = patches.images[1::2].astype(np.float64)
    assert (summary.patches, summary.cases) == (20, 10)
    assert summary.mean == pytest.approx(odd.mean())
    assert summary.mean_spread == pytest.approx(odd.mean(axis=(1, 2, 3)).std())
    assert summary.contrast == pytest.approx(odd.std(axis=(1, 2, 3)).mean())


def test_a_grey_level_shift_between_splits_shows_as_its_kolmogorov_smirnov_distance():
    from scipy.stats import ks_2samp

    one, other = random_patches(0), random_patches(1, brighter=0.02)
    shifts = audit({"Train": one, "Test": other}).shifts
    assert [(s.splits, s.label) for s in shifts] == [(("Train", "Test"), 0), (("Train", "Test"), 1)]
    means = [p.images[::2].astype(float).mean(axis=(1, 2, 3)) for p in (one, other)]
    assert shifts[0].mean == pytest.approx(ks_2samp(*means).statistic)
    assert shifts[0].mean > 0.2
    apart = audit({"Train": one, "Test": random_patches(1, brighter=0.5)}).shifts
    assert apart[0].mean == 1.0
    same = audit({"Train": one, "Test": one}).shifts
    assert same[0].mean == same[0].contrast == 0.0


def test_the_findings_go_into_json_and_come_back():
    found = audit({"Train": random_patches(0), "Test": random_patches(0)}).as_dict()
    back = json.loads(json.dumps(found))
    assert len(back["twins"]) == 40
    assert back["rules"] == found["rules"]
    assert set(back) == {"twins", "shared_cases", "classes", "shifts", "rules"}


def test_a_split_with_one_class_only_is_an_error():
    patches = random_patches(0)
    with pytest.raises(InputError, match="Test: one class only"):
        audit({"Train": patches, "Test": patches[patches.labels == 1]})


@pytest.mark.parametrize("width", range(1, 255, 7))
def test_equal_ranges_tie_though_their_floats_differ_in_the_last_bit(width):
    levels = np.arange(256 - width)
    images = np.stack([levels, levels + width], axis=1).astype(np.float32) / np.float32(255)
    assert len(np.unique(one_number_rules(images.reshape(-1, 1, 1, 2))["range"])) == 1


def test_ranges_one_16_bit_level_apart_do_not_tie():
    images = np.array([[0, 100], [0, 101]], np.float32).reshape(2, 1, 1, 2) / np.float32(65535)
    assert np.diff(one_number_rules(images)["range"]) > 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the real patches are not beside this checkout")
def test_the_real_patches_give_their_known_facts():
    found = audit(read_folder(REAL))
    rules = {rule: round(auc, 2) for rule, auc in found.rules["Train"].items()}
    assert rules == {"mean": 0.79, "standard deviation": 0.86, "maximum": 0.89, "range": 0.91}
    normal, cluster = (found.classes["Train"][label] for label in "01")
    assert (normal.patches, cluster.patches) == (330, 306)
    assert 255 * normal.mean == pytest.approx(79, abs=0.5)
    assert 255 * cluster.mean == pytest.approx(127, abs=0.5)
    assert 255 * normal.contrast == pytest.approx(7.5, abs=0.1)
    assert 255 * cluster.contrast == pytest.approx(14.6, abs=0.1)
    assert len(found.twins) == 5
    assert all(len(set(group.cases)) == 2 for group in found.twins)
