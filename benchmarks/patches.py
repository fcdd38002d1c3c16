"""Simulated patches in a file, and batches of them, for processes that do without this library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.networks import Array

TRAIN, TEST = 500, 136
BATCH = 32


def write(path: Path) -> None:
    """All patches that training and evaluation take."""
    from tinycnn.data.phantoms import phantoms

    patches = phantoms(TRAIN + TEST, seed=0)
    np.savez(path, images=patches.images, labels=patches.labels.astype(np.float32)[:, None])


def epoch(images: Array, labels: Array, number: int) -> Iterator[tuple[Array, Array]]:
    """Shuffled batches, each patch flipped and turned by chance."""
    rng = np.random.default_rng(number)
    order = rng.permutation(len(images))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        batch = images[chosen]
        up, left, turned = rng.random((3, len(batch))) < 0.5
        batch[up] = batch[up, :, ::-1]
        batch[left] = batch[left, :, :, ::-1]
        batch[turned] = batch[turned].swapaxes(2, 3)
        yield batch, labels[chosen]
