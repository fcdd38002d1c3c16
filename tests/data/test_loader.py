"""Every patch once an epoch, in an order that the seed and the epoch alone decide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn.data import Loader, Patches, flips_and_quarter_turns


def numbered(count):
    """Patches whose pixels are their own number."""
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1) + np.zeros((1, 1, 4, 4))
    names = np.arange(count).astype(str)
    return Patches(images.astype(np.float32), np.arange(count) % 2, names, names)


def seen(batches):
    return [images[:, 0, 0, 0].astype(int).tolist() for images, _ in batches]


@settings(deadline=None, derandomize=True)
@given(count=st.integers(1, 40), size=st.integers(1, 50), shuffle=st.booleans())
def test_an_epoch_deals_out_every_patch_once_with_its_own_label(count, size, shuffle):
    loader = Loader(numbered(count), size, shuffle)
    batches = list(loader.epoch(3))
    assert len(batches) == len(loader)
    numbers = np.concatenate(seen(batches))
    np.testing.assert_array_equal(np.sort(numbers), np.arange(count))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), numbers % 2)
    assert all(len(images) == size for images, _ in batches[:-1])
    assert 1 <= len(batches[-1][0]) <= size


def test_batches_have_the_dtypes_of_the_patches():
    images, labels = next(Loader(numbered(5), 2).epoch(0))
    assert (images.shape, images.dtype, labels.dtype) == ((2, 1, 4, 4), np.float32, np.int64)


def test_an_epoch_does_not_depend_on_the_epochs_before_it():
    def run(epochs):
        patches = numbered(20)
        patches.images[:, 0, 1, 2] += 0.5  # so that a turned patch can be told
        loader = Loader(patches, 6, shuffle=True, seed=5, augment=flips_and_quarter_turns)
        return [[images for images, _ in loader.epoch(e)] for e in epochs][-1]

    for resumed, uninterrupted in zip(run([7]), run(range(8)), strict=True):
        np.testing.assert_array_equal(resumed, uninterrupted)


def test_epochs_and_seeds_have_orders_of_their_own():
    def order(seed, epoch):
        return seen(Loader(numbered(50), 50, shuffle=True, seed=seed).epoch(epoch))[0]

    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    assert order(1, 0) == orders[2]


def test_without_shuffling_the_order_is_that_of_the_patches():
    loader = Loader(numbered(5), 2)
    assert seen(loader.epoch(0)) == seen(loader.epoch(9)) == [[0, 1], [2, 3], [4]]


def test_a_batch_is_the_callers_own():
    patches = numbered(4)
    for images, labels in Loader(patches, 2).epoch(0):
        images[:] = -1
        labels[:] = -1
    assert patches.images.min() == 0
    assert patches.labels.tolist() == [0, 1, 0, 1]


def test_a_batch_size_of_nothing_and_no_patches_are_errors():
    with pytest.raises(ValueError, match="batch_size is 0"):
        Loader(numbered(3), 0)
    with pytest.raises(ValueError, match="no patches"):
        Loader(numbered(0), 3)
