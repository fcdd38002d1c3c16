"""How a training went: loss, accuracy, AUC and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.plot.style import line, new_figure, say, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = {
    "cross-entropy / nat": {"train_loss": "training", "val_loss": "validation"},
    "accuracy, AUC (0 to 1)": {
        "train_accuracy": "training accuracy",
        "val_accuracy": "validation accuracy",
        "val_auc": "validation AUC",
    },
    "learning rate": {"lr": "learning rate"},
}
_MARKERS = {"train": "o", "val": "s"}


@styled
def learning_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Curves over the epochs; the best one (largest validation AUC, first of equals) is marked.

    Args:
        history: for each epoch the keys epoch, train_loss, train_accuracy, val_loss,
            val_accuracy, val_auc and lr.

    >>> row = {"train_loss": 0.7, "train_accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.6,
    ...        "val_auc": 0.7, "lr": 0.01}
    >>> figure = learning_curves([{"epoch": 1, **row}, {"epoch": 2, **row, "val_auc": 0.8}])
    >>> figure.axes[0].get_title()
    'dotted: best epoch 2, validation AUC 0.800, accuracy 0.600, cross-entropy 0.600'
    """
    from matplotlib.ticker import MaxNLocator

    if not history:
        return say(new_figure(6, 2), "no epoch has ended yet")
    epochs = [row["epoch"] for row in history]
    figure = new_figure(7.5, 8)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.3])
    for axes, (label, curves) in zip(panels, _PANELS.items(), strict=True):
        for number, (key, name) in enumerate(curves.items()):
            marker = _MARKERS.get(key.split("_")[0], "^") if key != "val_auc" else "D"
            every = max(1, len(history) // 15)
            values = [row[key] for row in history]
            axes.plot(epochs, values, label=name, marker=marker, markevery=every, **line(number))
        axes.set_ylabel(label)
        axes.grid(True)
        if len(curves) > 1:
            axes.legend()
    for axes in (panels[0], panels[2]):
        axes.update_datalim([(epochs[0], 0)])  # these two are read against zero
        axes.autoscale_view()
    panels[2].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    panels[2].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[2].set_xlabel("epoch")
    figure.align_ylabels(panels)

    aucs = np.array([row["val_auc"] for row in history], dtype=np.float64)
    if not np.all(np.isnan(aucs)):
        best = history[int(np.nanargmax(aucs))]
        for axes in panels:
            axes.axvline(best["epoch"], color="0.35", linestyle=(0, (1, 1)), linewidth=1.5)
        panels[0].set_title(
            f"dotted: best epoch {best['epoch']}, validation AUC {best['val_auc']:.3f}, "
            f"accuracy {best['val_accuracy']:.3f}, cross-entropy {best['val_loss']:.3f}"
        )
    return figure
