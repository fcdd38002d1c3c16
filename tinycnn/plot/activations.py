"""What the layers of a network make of one patch."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.plot.patch import grey_bar, grey_window, label_edges, show_patch
from tinycnn.plot.style import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 10.0  # inches for a row of maps
_COLUMNS = 16


@styled
def activation_maps(
    image: Array, maps: Sequence[tuple[str, Array]], pixel_mm: float | None = None
) -> Figure:
    """One patch, and under it every layer's channels, each layer on its own colour scale.

    Args:
        image: (H, W) in 0..1.
        maps: from the first layer to the last, its name and its output (C, h, w).
        pixel_mm: side of the patch's pixel in mm; without it its axes count pixels.

    Channels are numbered from 0, left to right and then down. A layer with negative values is
    shown blue below 0 and red above; one without, from dark blue at 0 to yellow.

    >>> figure = activation_maps(np.zeros((8, 8)), [("conv1", np.ones((4, 8, 8)))])
    >>> figure.axes[2].get_title()  # after the patch and its grey-level bar
    'conv1: 4 channels of 8 × 8'
    """
    mosaics = [_mosaic(channels) for _, channels in maps]
    heights = [2.6] + [_WIDTH * m.shape[0] / m.shape[1] + 0.4 for m in mosaics]
    figure = new_figure(_WIDTH + 1.8, sum(heights))
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1, 2])
    patch = figure.add_subplot(grid[0, 0])
    drawn = show_patch(patch, image, grey_window(image), pixel_mm)
    label_edges(patch, pixel_mm)
    patch.set_title("patch")
    grey_bar(figure, drawn, patch)
    for row, (mosaic, (name, channels)) in enumerate(zip(mosaics, maps, strict=True), start=1):
        axes = figure.add_subplot(grid[row, :])
        _show_layer(figure, axes, mosaic, channels)
        count, height, width = channels.shape
        axes.set_title(f"{name}: {count} channels of {height} × {width}")
    return figure


def _layout(channels: Array) -> tuple[int, int, int]:
    """How (C, h, w) channels are laid out: columns, rows, and the pixels of gap between them."""
    count, _, width = channels.shape
    columns = min(_COLUMNS, max(_COLUMNS // 2, count))
    return columns, ceil(count / columns), max(1, width // 15)


def _mosaic(channels: Array) -> Array:
    """Channels (C, h, w) side by side in one array, with gaps of NaN between them."""
    _, height, width = channels.shape
    columns, rows, gap = _layout(channels)
    mosaic = np.full((rows, height + gap, columns, width + gap), np.nan)
    for place, channel in enumerate(channels):
        row, column = divmod(place, columns)
        mosaic[row, :height, column, :width] = channel
    return mosaic.reshape(rows * (height + gap), columns * (width + gap))[:-gap, :-gap]


def _show_layer(figure: Figure, axes: Axes, mosaic: Array, channels: Array) -> None:
    low, high = float(channels.min()), float(channels.max())
    if low < 0:
        high = max(high, -low)
        low, colours = -high, "RdBu_r"
    else:
        low, colours = 0.0, "cividis"
    drawn = axes.imshow(mosaic, cmap=colours, vmin=low, vmax=high or 1.0, interpolation="nearest")
    figure.colorbar(drawn, ax=axes, label="activation", pad=0.01)

    count, height, _ = channels.shape
    columns, rows, gap = _layout(channels)
    axes.set_yticks(
        [row * (height + gap) + (height - 1) / 2 for row in range(rows)],
        [f"{row * columns} to {min((row + 1) * columns, count) - 1}" for row in range(rows)],
    )
    axes.set_xticks([])
    axes.set_ylabel("channel")
    axes.spines[:].set_visible(False)
