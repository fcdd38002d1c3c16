"""Patches, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycnn.data.augment import Augmentation
from tinycnn.data.patches import Patches
from tinycnn.kernels.types import Array


class Loader:
    """Deals patches out in batches, in an order that only the seed and the epoch decide.

    Nothing is remembered from one epoch to the next, so a run that resumes at epoch e sees what an
    uninterrupted one would have seen. There are no worker processes: the patches are in memory.

    The last batch holds what is left over, down to a single patch. It is kept, so that every patch
    is seen in every epoch; batch normalisation of a single patch is defined, over its pixels, but
    its statistics are noisy. A batch size that leaves no such remainder avoids it.

    Args:
        patches: N of them.
        batch_size: how many a batch, at least 1.
        shuffle: whether each epoch has an order of its own, or all that of `patches`.
        seed: of the order and of the augmentation, at least 0.
        augment: changes each batch's images (see `tinycnn.data.augment`).

    Raises:
        ValueError: a batch size below 1, or no patches.

    >>> five = Patches(np.zeros((5, 1, 2, 2), np.float32), np.array([0, 1, 0, 1, 1]),
    ...                np.array(list("aabbc")), np.array(list("vwxyz")))
    >>> loader = Loader(five, batch_size=2)
    >>> len(loader), [labels.tolist() for images, labels in loader.epoch(0)]
    (3, [[0, 1], [0, 1], [1]])
    """

    def __init__(
        self,
        patches: Patches,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Augmentation | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"Loader: batch_size is {batch_size}; it must be 1 or more")
        if len(patches) == 0:
            raise ValueError("Loader: there are no patches")
        self.patches = patches
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.augment = augment

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-len(self.patches) // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Array, Array]]:
        """Yield the batches of an epoch: images (B, 1, H, W) float32, labels (B,) int64.

        The arrays are the caller's own.
        """
        rng = np.random.default_rng((self.seed, number))
        count = len(self.patches)
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        for start in range(0, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            images = self.patches.images[chosen]
            if self.augment is not None:
                images = self.augment(images, rng)
            yield images, self.patches.labels[chosen]
