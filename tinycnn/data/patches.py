"""Labelled image patches and the case each was cut from."""

from __future__ import annotations

from dataclasses import dataclass

from tinycnn.kernels.types import Array


@dataclass(frozen=True)
class Patches:
    """Images with a label, a case and a name each.

    Attributes:
        images: (N, 1, H, W) float32; 0 is black, 1 the brightest level the file's format can hold.
        labels: (N,) int64; 0 normal tissue, 1 microcalcification cluster.
        cases: (N,) str; patches of one case may overlap, so a split never parts them.
        names: (N,) str; where each image came from.

    >>> import numpy as np
    >>> two = Patches(np.zeros((2, 1, 4, 4), np.float32), np.array([0, 1]),
    ...               np.array(["0007", "0012"]), np.array(["a.pgm", "b.pgm"]))
    >>> len(two), two[two.labels == 1].names.tolist()
    (2, ['b.pgm'])
    """

    images: Array
    labels: Array
    cases: Array
    names: Array

    def __post_init__(self) -> None:
        counts = {len(self.images), len(self.labels), len(self.cases), len(self.names)}
        if len(counts) != 1:
            raise ValueError(f"Patches: images, labels, cases and names differ in number: {counts}")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: Array | slice) -> Patches:
        """The patches at some indexes, or where a mask is true."""
        return Patches(self.images[which], self.labels[which], self.cases[which], self.names[which])
