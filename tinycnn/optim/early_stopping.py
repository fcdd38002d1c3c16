"""Stopping when the validation set has nothing more to teach."""

from __future__ import annotations

import math


class EarlyStopping:
    """Says when a figure has not become better for `patience` epochs. Prechelt (1998).

    >>> stopping = EarlyStopping(patience=2, mode="max")
    >>> [stopping.step(auc) for auc in (0.8, 0.9, 0.85, 0.9)]
    [False, False, False, True]

    Attributes:
        best: the best figure so far.
        bad_epochs: how many epochs it has stood for.
    """

    def __init__(self, patience: int, mode: str = "min") -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode is 'min' or 'max', not {mode!r}")
        if patience < 1:
            raise ValueError(f"EarlyStopping: a patience of {patience} would stop at once")
        self.patience, self.mode = patience, mode
        self.best = math.inf if mode == "min" else -math.inf
        self.bad_epochs = 0

    def step(self, figure: float) -> bool:
        """An epoch is over, with this figure: whether to stop."""
        if figure < self.best if self.mode == "min" else figure > self.best:
            self.best, self.bad_epochs = figure, 0
        else:
            self.bad_epochs += 1
        return self.bad_epochs >= self.patience
