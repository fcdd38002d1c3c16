"""The phantoms are what their docstrings say: seeded, physical, balanced, and not trivial."""

import numpy as np
import pytest

from tinycnn.data.phantoms import (
    MU_CALCIFICATION,
    NUMBER,
    PIXEL_MM,
    SIZE_MM,
    Calcification,
    blur,
    calcifications,
    depth,
    digitise,
    draw_case,
    draw_cluster,
    expose,
    film,
    phantoms,
    tissue,
)
from tinycnn.data.rules import one_number_rules


@pytest.fixture(scope="module")
def many():
    return phantoms(600, seed=0)


def auc(score, labels):
    """Probability that a cluster scores higher than a normal patch; ties count half."""
    cluster, normal = score[labels == 1][:, None], score[labels == 0]
    return (cluster > normal).mean() + (cluster == normal).mean() / 2


def generator(seed=0):
    return np.random.default_rng(seed)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    once, again, other = phantoms(8, seed=5), phantoms(8, seed=5), phantoms(8, seed=6)
    assert once.images.tobytes() == again.images.tobytes()
    assert not any(np.array_equal(a, b) for a, b in zip(once.images, other.images, strict=True))


@pytest.mark.parametrize("arguments", [(-1, 0, 60), (4, -1, 60), (4, 0, 7)])
def test_what_cannot_be_simulated_is_refused_by_name(arguments):
    with pytest.raises(ValueError, match=r"phantoms: (n|seed|size) is -?\d"):
        phantoms(*arguments)
    assert len(phantoms(0, 0)) == 0
    assert phantoms(2, 0, size=8).images.shape == (2, 1, 8, 8)


def test_a_patch_does_not_depend_on_how_many_follow():
    few, more = phantoms(10, seed=2), phantoms(20, seed=2)
    first = more[:10]
    assert few.images.tobytes() == first.images.tobytes()
    assert few.names.tolist() == first.names.tolist()
    assert few.cases.tolist() == first.cases.tolist()


def test_images_are_what_an_8_bit_file_would_give(many):
    assert many.images.shape == (600, 1, 60, 60)
    assert many.images.dtype == np.float32
    levels = np.rint(many.images * 255)
    assert levels.min() >= 0
    assert levels.max() <= 255
    np.testing.assert_array_equal(levels.astype(np.uint8) / np.float32(255), many.images)


def test_half_of_the_patches_and_half_of_every_case_have_a_cluster(many):
    assert many.labels.dtype == np.int64
    assert many.labels.mean() == 0.5
    cases, counts = np.unique(many.cases, return_counts=True)
    assert cases[0] == "0001"
    assert (counts == 4).all()
    assert all(many.labels[many.cases == case].sum() == 2 for case in cases)


def test_names_are_unique_and_begin_with_their_case(many):
    assert len(set(many.names)) == len(many)
    assert all(
        name.split("_")[1] == case for name, case in zip(many.names, many.cases, strict=True)
    )


def test_patches_of_one_case_share_their_exposure_and_film(many):
    """Normal patches of one case are nearer in grey than normal patches of two cases."""
    grey = many.images[many.labels == 0].mean((1, 2, 3)).reshape(-1, 2)
    within = np.abs(grey[:, 0] - grey[:, 1]).mean()
    between = np.abs(grey[1:, 0] - grey[:-1, 1]).mean()
    assert within < 0.6 * between


def test_no_single_grey_level_number_tells_the_classes_apart(many):
    rules = one_number_rules(many.images)
    assert 0.75 < max(auc(scores, many.labels) for scores in rules.values()) < 0.92


def test_the_breasts_texture_has_power_falling_with_the_third_power_of_frequency():
    side = 256
    power = np.mean(
        [np.abs(np.fft.fft2(tissue(generator(s), 10.0, 3.0, side))) ** 2 for s in range(8)], axis=0
    )
    row, column = np.meshgrid(*2 * [np.fft.fftfreq(side) * side], indexing="ij")
    frequency = np.hypot(row, column)
    rings = np.arange(4, 100, 4)
    radial = [power[np.abs(frequency - ring) < 2].mean() for ring in rings]
    slope = np.polyfit(np.log(rings), np.log(radial), 1)[0]
    assert slope == pytest.approx(-3, abs=0.15)


def test_tissue_has_the_thickness_and_the_contrast_it_was_asked_for():
    thickness = tissue(generator(), mean_mm=12.0, rms_mm=2.5, side=64)
    assert thickness.mean() == pytest.approx(12.0)
    assert thickness.std() == pytest.approx(2.5)


@pytest.mark.parametrize("size", [24, 60])
def test_clusters_keep_to_their_documented_ranges(size):
    for seed in range(100):
        cluster = draw_cluster(generator(seed), size)
        assert NUMBER[0] <= len(cluster) <= NUMBER[1]
        for c in cluster:
            assert SIZE_MM[0] <= c.length_mm <= SIZE_MM[1]
            assert 0.3 * c.length_mm <= c.width_mm <= c.length_mm
            assert 0 < c.x_mm < size * PIXEL_MM
            assert 0 < c.y_mm < size * PIXEL_MM
            assert MU_CALCIFICATION[0] <= c.mu <= MU_CALCIFICATION[1]


def test_a_round_calcification_attenuates_by_its_volume():
    """Σ μ·t over the pixels' area is μ times a sphere's volume, wherever the sphere lies."""
    for x in (1.0, 1.03, 0.0):
        ball = Calcification(x, 1.2, 0.5, 0.5, 0.0, np.zeros(3, complex), 2.0)
        total = calcifications([ball], size=30).sum() * PIXEL_MM**2
        assert total == pytest.approx(2.0 * np.pi / 6 * 0.5**3, rel=0.02)


def test_an_uneven_outline_stays_within_the_calcifications_length():
    y, x = np.mgrid[-1:1:0.01, -1:1:0.01]
    for seed in range(20):
        outline = 0.2 * np.exp(2j * np.pi * generator(seed).random(3))
        lump = Calcification(0.0, 0.0, 0.8, 0.8, 0.3, outline, 1.0)
        assert 0.25 < np.hypot(x, y)[depth(lump, x, y) > 0].max() <= 0.4


def test_the_quanta_fluctuate_as_poisson_does():
    case = draw_case(generator(1))
    light = expose(generator(2), np.zeros((400, 400)), case)
    assert light.mean() == pytest.approx(1 + case.scatter, rel=0.01)
    assert light.var() == pytest.approx(light.mean() / case.quanta, rel=0.03)


def test_blur_keeps_the_mean_and_halves_the_contrast_at_mtf50():
    side = 80
    wave = 1 + 0.5 * np.cos(2 * np.pi * 20 * np.arange(side) / side) * np.ones((side, 1))
    blurred = blur(wave, mtf50=20 / (side * PIXEL_MM))
    np.testing.assert_allclose(blurred - 1, (wave - 1) / 2, atol=1e-12)


def test_more_light_makes_denser_film_and_darker_grey():
    case = draw_case(generator(3))
    light = np.geomspace(0.05, 5, 40)[:, None] * np.ones((1, 500))
    density = film(generator(4), light, case)
    assert (np.diff(density.mean(1)) > 0).all()
    assert (np.diff(digitise(density, case.od_range).mean(1)) <= 0).all()


def test_the_digitiser_rounds_to_the_nearest_grey_level_and_saturates():
    wanted = np.arange(256)
    for off in (-0.4, 0.0, 0.4):
        np.testing.assert_array_equal(digitise(3.6 * (1 - (wanted + off) / 255), 3.6), wanted)
    assert digitise(np.array([-1.0, 9.0]), 3.6).tolist() == [255, 0]
