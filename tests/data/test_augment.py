"""Augmentations are what they say: group elements, whole-pixel shifts, affine in the levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.data.augment import (
    _symmetry,
    compose,
    flips,
    flips_and_quarter_turns,
    gain_and_offset,
    quarter_turns,
    shifts,
)

SYMMETRIC = [flips, quarter_turns, flips_and_quarter_turns]
ALL = [*SYMMETRIC, shifts(2), gain_and_offset(0.1, 0.1), compose(flips, shifts(1))]


def noise(count=50, height=6, width=6, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.random((count, 1, height, width)).astype(dtype)


def test_four_quarter_turns_and_two_flips_are_the_identity():
    images = noise()
    turned = images
    for _ in range(4):
        turned = _symmetry(turned, 1)
    np.testing.assert_array_equal(turned, images)
    for flip in (4, 5, 6, 7):
        np.testing.assert_array_equal(_symmetry(_symmetry(images, flip), flip), images)


def test_the_eight_symmetries_are_distinct_and_closed_under_composition():
    images = noise(count=1)
    known = {_symmetry(images, g).tobytes() for g in range(8)}
    assert len(known) == 8
    for g in range(8):
        for h in range(8):
            assert _symmetry(_symmetry(images, g), h).tobytes() in known


@pytest.mark.parametrize(
    ("augmentation", "elements"),
    [(flips, [0, 2, 4, 6]), (quarter_turns, [0, 1, 2, 3]), (flips_and_quarter_turns, range(8))],
)
def test_each_symmetry_of_its_group_is_drawn_equally_often(augmentation, elements):
    images = np.repeat(noise(count=1), 8000, axis=0)
    drawn = augmentation(images, np.random.default_rng(1))
    share = [(drawn == _symmetry(images[:1], g)).all(axis=(1, 2, 3)).mean() for g in elements]
    assert sum(share) == pytest.approx(1)
    assert share == pytest.approx([1 / len(share)] * len(share), abs=0.02)


def test_flips_are_left_right_and_upside_down():
    images = np.arange(6.0).reshape(1, 1, 2, 3)
    drawn = flips(np.repeat(images, 200, axis=0), np.random.default_rng(0))
    expected = [images, images[..., ::-1], images[..., ::-1, :], images[..., ::-1, ::-1]]
    assert {d.tobytes() for d in drawn} == {e.tobytes() for e in expected}


@pytest.mark.parametrize("augmentation", SYMMETRIC)
def test_a_symmetry_keeps_every_grey_level_and_the_power_at_every_radius(augmentation):
    images = noise(dtype=np.float64)
    result = augmentation(images, np.random.default_rng(2))
    assert not np.array_equal(result, images)
    np.testing.assert_array_equal(np.sort(result.reshape(50, -1)), np.sort(images.reshape(50, -1)))
    f = np.fft.fftfreq(6)
    radius = np.round(f[:, None] ** 2 + f**2, 9)
    for r in np.unique(radius):
        power = [(np.abs(np.fft.fft2(x)) ** 2)[..., radius == r].sum(-1) for x in (images, result)]
        np.testing.assert_allclose(*power)


@settings(deadline=None, derandomize=True)
@given(pixels=st.integers(0, 5), height=st.integers(6, 9), width=st.integers(6, 9))
def test_a_shift_moves_whole_pixels_and_reflects_at_the_border(pixels, height, width):
    images = noise(20, height, width)
    result = shifts(pixels)(images, np.random.default_rng(pixels))
    for before, after in zip(images[:, 0], result[:, 0], strict=True):
        padded = np.pad(before, pixels, mode="reflect")
        windows = [
            padded[y : y + height, x : x + width]
            for y in range(2 * pixels + 1)
            for x in range(2 * pixels + 1)
        ]
        assert any(np.array_equal(after, window) for window in windows)


def test_shifts_reach_both_ends_of_their_range_along_both_axes():
    spot = np.zeros((2000, 1, 9, 9), np.float32)
    spot[:, :, 4, 4] = 1
    _, _, rows, columns = np.nonzero(shifts(2)(spot, np.random.default_rng(0)))
    assert set(rows) == set(columns) == {2, 3, 4, 5, 6}
    assert len(set(zip(rows, columns, strict=True))) == 25


def test_gain_and_offset_are_drawn_for_each_image_within_their_range():
    images = noise(count=1000)
    result = gain_and_offset(0.2, 0.1)(images, np.random.default_rng(0))
    low, high = images.min((1, 2, 3)), images.max((1, 2, 3))
    gain = (result.max((1, 2, 3)) - result.min((1, 2, 3))) / (high - low)
    offset = result.min((1, 2, 3)) - gain * low
    assert (gain.min(), gain.max()) == pytest.approx((0.8, 1.2), abs=0.01)
    assert (offset.min(), offset.max()) == pytest.approx((-0.1, 0.1), abs=0.01)
    assert abs(np.corrcoef(gain, offset)[0, 1]) < 0.1


@pytest.mark.parametrize("augmentation", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_and_dtype_stay_and_the_argument_is_left_as_it_was(augmentation, dtype):
    images = noise(dtype=dtype)
    before = images.copy()
    result = augmentation(images, np.random.default_rng(0))
    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("augmentation", ALL)
def test_the_same_generator_state_gives_the_same_images(augmentation):
    one, two = (augmentation(noise(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_composition_applies_the_first_augmentation_first():
    def add_one(images, rng):
        return images + 1

    def double(images, rng):
        return images * 2

    both = compose(add_one, double)
    assert both(np.ones((1, 1, 1, 1)), np.random.default_rng(0)).item() == 4


def test_a_quarter_turn_of_an_oblong_and_a_shift_beyond_the_image_are_errors():
    rng = np.random.default_rng(0)
    oblong = np.zeros((1, 1, 4, 6))
    for augmentation in (quarter_turns, flips_and_quarter_turns):
        with pytest.raises(ValueError, match="square images"):
            augmentation(oblong, rng)
    assert flips(oblong, rng).shape == oblong.shape
    with pytest.raises(ValueError, match="4 pixels need an image larger than 4×6"):
        shifts(4)(oblong, rng)
