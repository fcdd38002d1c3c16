"""The kernels of a convolution, as pictures."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.plot.style import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 64
_COLUMNS = 8
_WRITTEN_UP_TO = 3  # weights are written into kernels of this size; larger ones have no room


@styled
def kernels(weights: Array) -> Figure:
    """The kernels of a convolution, red where they add and blue where they subtract, white at 0.

    Args:
        weights: (O, I, kh, kw); the first 64 of the O·I kernels are shown, on one colour scale.

    >>> figure = kernels(np.ones((4, 1, 3, 3)))
    >>> len(figure.axes)  # four kernels and the colour bar
    5
    """
    _, inputs, height, width = weights.shape
    every = weights.reshape(-1, height, width)
    shown = every[:_MOST]
    columns = min(_COLUMNS, len(shown))
    rows = ceil(len(shown) / columns)
    figure = new_figure(1.3 * columns + 1.6, 1.55 * rows + 0.6)
    largest = float(np.abs(shown).max()) or 1.0
    for place, kernel in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        drawn = axes.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set(xticks=[], yticks=[])
        output, channel = divmod(place, inputs)
        axes.set_title(f"filter {output}" if inputs == 1 else f"{output} ← {channel}", fontsize=9)
        if max(height, width) <= _WRITTEN_UP_TO:
            for (y, x), weight in np.ndenumerate(kernel):
                colour = "white" if abs(weight) > 0.6 * largest else "black"
                text = f"{weight:z.2f}".replace("-", "−")
                axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=colour)
    figure.colorbar(drawn, ax=figure.axes, label="weight", aspect=max(20, 10 * rows))
    part = f"the first {len(shown)} of " if len(shown) < len(every) else ""
    channels = "" if inputs == 1 else " (filter ← input channel)"
    figure.suptitle(f"{part}{len(every)} kernels of {height} × {width} weights{channels}")
    return figure
