"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.plot.style import CLASSES, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = (("true negatives", "false positives"), ("false negatives", "true positives"))


@styled
def confusion_matrix(confusion: Sequence[Sequence[int]] | Array, title: str = "") -> Figure:
    """Counts, and the share of each row: what became of the images of each class.

    Args:
        confusion: [[tn, fp], [fn, tp]]; rows are the truth, columns the call.
        title: which images, and at which threshold.

    >>> figure = confusion_matrix([[8, 2], [1, 9]])
    >>> figure.axes[0].texts[1].get_text()
    '2\\n20.0 % of row\\nfalse positives'
    """
    counts = np.asarray(confusion)
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    figure = new_figure(6, 5)
    axes = figure.subplots()
    drawn = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for row in (0, 1):
        for column in (0, 1):
            share = f"{percent[row, column]:.1f} % of row" if totals[row] else "no image in row"
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{share}\n{_CELLS[row][column]}",
                ha="center",
                va="center",
                fontsize=12,
                color="white" if percent[row, column] > 55 else "black",
            )
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
    axes.set_title(title)
    axes.set_xlabel("called")
    axes.set_ylabel("in truth")
    figure.colorbar(drawn, ax=axes, label="share of the row / %")
    return figure
