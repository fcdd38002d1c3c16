"""One image patch in a figure: its grey window, its axes in mm, its grey-level bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LEVELS = 255  # grey levels are written on the 8-bit scale, whatever the file's was


def grey_window(images: Array) -> tuple[float, float]:
    """The grey levels shown as black and white, of images in 0..1: their 0.5 and 99.9 % levels.

    The full range would leave calcifications, some 10 % brighter than the tissue round them,
    invisible on a patch that fills a third of it. The upper end cuts less than the lower: the
    calcifications are there.
    """
    low, high = np.quantile(images, [0.005, 0.999])
    return float(low), float(max(high, low + 1 / LEVELS))


def show_patch(
    axes: Axes, image: Array, window: tuple[float, float], pixel_mm: float | None
) -> AxesImage:
    """Draws image (H, W) in the grey window, with axes in mm, or in pixels without pixel_mm.

    Axis labels are left to the caller, who knows which panels stand at the edge.
    """
    height, width = image.shape
    unit = pixel_mm or 1.0
    drawn = axes.imshow(
        image * LEVELS,
        cmap="gray",
        vmin=window[0] * LEVELS,
        vmax=window[1] * LEVELS,
        extent=(0, width * unit, height * unit, 0),
        interpolation="nearest",
    )
    axes.tick_params(labelbottom=False, labelleft=False, length=2)
    return drawn


def label_edges(axes: Axes, pixel_mm: float | None, bottom: bool = True, left: bool = True) -> None:
    """Writes numbers and the unit along the edges of a panel that has no neighbour there."""
    unit = "mm" if pixel_mm else "pixels"
    axes.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        axes.set_xlabel(f"x / {unit}")
    if left:
        axes.set_ylabel(f"y / {unit}")


def grey_bar(figure: Figure, drawn: AxesImage, axes: Axes | Sequence[Axes]) -> None:
    """A bar beside the axes that tells which grey level is shown how bright."""
    low, high = drawn.get_clim()
    bar = figure.colorbar(drawn, ax=axes, extend="both", extendfrac=0.03, aspect=25)
    bar.set_label(f"grey level of {LEVELS}\n(window {low:.0f} to {high:.0f})")


def short_name(name: object, length: int = 24) -> str:
    """A file's name without its folders, and without its middle where it is long.

    >>> short_name("Train/1/0006s1_1_1_1_left_craniocaudal.pgm")
    '0006s1_1_1_…iocaudal.pgm'
    """
    text = PurePath(str(name)).name
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-(length - 1 - half) :]}"
