"""Some patches of each class, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.plot.patch import grey_bar, grey_window, label_edges, short_name, show_patch
from tinycnn.plot.style import CLASSES, new_figure, say, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PER_CLASS = 8


@styled
def samples(
    images: Array, labels: Array, names: Array | None = None, pixel_mm: float | None = None
) -> Figure:
    """Up to eight patches of each class, a row a class, all on the same grey scale.

    Args:
        images: (N, 1, H, W) in 0..1.
        labels: (N,) of 0 and 1.
        names: (N,) where each came from, written above it.
        pixel_mm: side of a pixel in mm (0.085 for 85 µm); without it the axes count pixels.

    The patches are taken at even distances from each class, so that many cases are seen.

    >>> figure = samples(np.zeros((5, 1, 6, 6), np.float32), np.array([0, 0, 1, 1, 1]))
    >>> len(figure.axes)  # five patches and the grey-level bar
    6
    """
    classes = [c for c in (0, 1) if np.any(labels == c)]
    if not classes:
        return say(new_figure(6, 2), "no image to show")
    rows = {c: _evenly(np.flatnonzero(labels == c)) for c in classes}
    columns = max(map(len, rows.values()))
    window = grey_window(images[np.concatenate(list(rows.values()))])
    figure = new_figure(1.55 * columns + 1.6, 1.65 * len(rows) + 0.6)
    grid = figure.add_gridspec(len(rows), columns)
    for row, (label, chosen) in enumerate(rows.items()):
        for column, index in enumerate(chosen):
            axes = figure.add_subplot(grid[row, column])
            drawn = show_patch(axes, images[index, 0], window, pixel_mm)
            label_edges(axes, pixel_mm, bottom=row == len(rows) - 1, left=column == 0)
            if column == 0:
                of_all = f"{len(chosen)} of {np.count_nonzero(labels == label)}"
                axes.set_ylabel(f"{CLASSES[label]}\n({of_all})\n\n{axes.get_ylabel()}")
            if names is not None:
                axes.set_title(short_name(names[index]), fontsize=6.5)
    grey_bar(figure, drawn, figure.axes)
    return figure


def _evenly(indexes: Array) -> Array:
    count = min(_PER_CLASS, len(indexes))
    return np.asarray(indexes[np.linspace(0, len(indexes) - 1, count).round().astype(int)])
