"""The patches a classifier got wrong."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.plot.patch import LEVELS, grey_window, label_edges, short_name, show_patch
from tinycnn.plot.style import new_figure, say, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 24
_COLUMNS = 6


@styled
def misclassified(
    images: Array,
    labels: Array,
    probabilities: Array,
    names: Array,
    threshold: float = 0.5,
    pixel_mm: float | None = None,
) -> Figure:
    """The wrongly called patches, the most confident mistake first; up to 24 of them.

    Each has its own grey window, named above it: what was missed may be faint.

    Args:
        images: (N, 1, H, W) in 0..1.
        labels: (N,) of 0 and 1.
        probabilities: (N,) of class 1.
        names: (N,) where each came from.
        threshold: an image is called positive if its probability is ≥ this.
        pixel_mm: side of a pixel in mm (0.085 for 85 µm); without it the axes count pixels.

    >>> images, names = np.zeros((3, 1, 6, 6), np.float32), np.array(["a.png", "b.png", "c.png"])
    >>> figure = misclassified(images, np.array([0, 1, 1]), np.array([0.7, 0.1, 0.9]), names)
    >>> print(figure.axes[0].get_title())
    missed: p = 0.100
    b.png
    grey 0 to 1 of 255
    """
    # as float64: a float32 score would draw the threshold down to float32
    probabilities = probabilities.astype(np.float64)
    wrong = np.flatnonzero((probabilities >= threshold) != labels)
    heading = f"{len(wrong)} of {len(labels)} patches misclassified at threshold {threshold:.3g}"
    if not len(wrong):
        return say(new_figure(6, 2), heading)
    distance = np.abs(probabilities - labels)[wrong]
    shown = wrong[np.argsort(-distance, kind="stable")][:_MOST]
    if len(shown) < len(wrong):
        heading += f": the worst {len(shown)}"

    columns = min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    figure = new_figure(max(1.75 * columns + 0.6, 6.5), 2.25 * rows + 0.8)
    grid = figure.add_gridspec(rows, columns)
    for place, index in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(place, columns)])
        low, high = window = grey_window(images[index])
        show_patch(axes, images[index, 0], window, pixel_mm)
        last = place + columns >= len(shown)
        label_edges(axes, pixel_mm, bottom=last, left=place % columns == 0)
        kind = "missed" if labels[index] else "false alarm"
        axes.set_title(
            f"{kind}: p = {probabilities[index]:.3f}\n{short_name(names[index])}\n"
            f"grey {low * LEVELS:.0f} to {high * LEVELS:.0f} of {LEVELS}",
            fontsize=8,
        )
    figure.suptitle(heading)
    return figure
