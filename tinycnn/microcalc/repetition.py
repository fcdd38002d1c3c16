"""Training again and again: how much of a figure is luck of the split?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinycnn import metrics
from tinycnn.data import Patches, folds
from tinycnn.microcalc.progress import progress_bar
from tinycnn.train import Recipe, Training, probabilities

FOLDS = 5
FIGURES = ("auc", "accuracy", "sensitivity", "specificity")


def repeat(
    recipe: Recipe, patches: Patches, times: int, device: str = "cpu"
) -> Iterator[dict[str, float]]:
    """Train on four fifths of the cases and judge on the rest, `times` times; gives AUC, accuracy,
    sensitivity and specificity at 0.5 of each.

    The splits are the folds of a five-fold cross-validation grouped by case: five times judge
    every patch once; more go on with another division. Nothing is chosen by the patches that are
    judged: it is the last epoch that counts.
    """
    for time in range(times):
        division = folds(patches.labels, patches.cases, FOLDS, recipe.seed + time // FOLDS)
        chosen, apart = division[time % FOLDS]
        training = Training(replace(recipe, seed=recipe.seed + time), patches[chosen], device)
        with progress_bar(training) as show:
            for _ in range(recipe.epochs):
                training.run_epoch(show)
        test = patches[apart]
        p = probabilities(training.model, test.images)
        judgement = metrics.judge(test.labels, p, test.cases)
        yield {figure: getattr(judgement, figure) for figure in FIGURES}


def spread(results: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation (n − 1) of each figure; None for that of a single result."""
    table = np.array([[result[figure] for figure in FIGURES] for result in results])
    deviation = table.std(0, ddof=1).tolist() if len(table) > 1 else [None] * len(FIGURES)
    return {
        figure: {"mean": mean, "sd": sd}
        for figure, mean, sd in zip(FIGURES, table.mean(0).tolist(), deviation, strict=True)
    }
