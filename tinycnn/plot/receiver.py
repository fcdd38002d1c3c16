"""Receiver operating characteristics: one model's with its operating points, or several models'."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from tinycnn.kernels.types import Array
from tinycnn.metrics import auc, judge, roc
from tinycnn.plot.style import BLACK, BLUE, ORANGE, VERMILLION, line, new_figure, say, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def roc_curve(
    labels: Array,
    probabilities: Array,
    cases: Array | None = None,
    threshold: float | None = None,
    title: str = "",
) -> Figure:
    """The ROC curve with its AUC and the points where the classifier is operated.

    Args:
        labels: (N,) of 0 and 1.
        probabilities: (N,) of class 1.
        cases: (N,) the case each image comes from; with it the legend has the AUC's 95 % interval.
        threshold: the one chosen on validation images, marked beside 0.5.
        title: which images.

    Raises:
        ValueError: as in `tinycnn.metrics.judge`.

    >>> figure = roc_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.8, 0.6, 0.4]))
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()][:2]
    ['AUC 0.750', 'threshold 0.5: sensitivity 0.500, specificity 0.500']
    """
    figure, axes = _empty_roc()
    axes.set_title(title)
    fpr, tpr, _ = roc(labels, probabilities)
    axes.plot(fpr, tpr, color=BLUE, label=_area(labels, probabilities, cases))
    points = [(0.5, "0.5", "o", VERMILLION)]
    if threshold is not None:
        points.append((threshold, f"{threshold:.3g} (chosen on validation)", "D", ORANGE))
    for at, name, marker, colour in points:
        called = probabilities.astype(np.float64) >= at  # compared as `judge` does
        sensitivity, alarms = called[labels == 1].mean(), called[labels == 0].mean()
        axes.plot(
            alarms,
            sensitivity,
            marker,
            color=colour,
            markeredgecolor=BLACK,
            markersize=8,
            label=f"threshold {name}: sensitivity {sensitivity:.3f}, specificity {1 - alarms:.3f}",
        )
    _finish(axes)
    return figure


@styled
def compare_rocs(models: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Several models' ROC curves in one figure, the largest AUC first.

    Args:
        models: for each name, labels (N,) of 0 and 1 and probabilities (N,) of class 1.

    Raises:
        ValueError: as in `tinycnn.metrics.judge`.

    >>> labels = np.array([0, 1, 0, 1])
    >>> figure = compare_rocs({"a": (labels, np.array([0.1, 0.8, 0.6, 0.4])),
    ...                        "b": (labels, np.array([0.1, 0.8, 0.2, 0.4]))})
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()][:2]
    ['b: AUC 1.000', 'a: AUC 0.750']
    """
    if not models:
        return say(new_figure(6, 2), "no model to compare")
    figure, axes = _empty_roc()
    ranked = sorted(models.items(), key=lambda model: -auc(*model[1]))
    for number, (name, judged) in enumerate(ranked):
        fpr, tpr, _ = roc(*judged)
        axes.plot(fpr, tpr, label=f"{name}: AUC {auc(*judged):.3f}", **line(number))
    _finish(axes)
    return figure


def _area(labels: Array, probabilities: Array, cases: Array | None) -> str:
    text = f"AUC {auc(labels, probabilities):.3f}"
    if cases is None:
        return text
    low, high = judge(labels, probabilities, cases).intervals["auc"]
    return text if isnan(low) else f"{text} (95 % interval {low:.3f} to {high:.3f}, by case)"


def _empty_roc() -> tuple[Figure, Axes]:
    figure = new_figure(6.5, 6.5)
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("1 − specificity (false alarms among normal patches)")
    axes.set_ylabel("sensitivity (clusters found)")
    axes.grid(True)
    return figure, axes


def _finish(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=":", linewidth=1.2, label="chance: AUC 0.5")
    axes.legend(loc="lower right")
